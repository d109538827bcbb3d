"""WebAssembly programs, run by wasmtime."""

from __future__ import annotations

from pathlib import Path


def run_wasm(program: Path, folder: Path, *words: str) -> tuple[int, str]:
    """Exit code and output of a WASI program that sees `folder` as /."""
    import wasmtime

    engine = wasmtime.Engine()
    linker, store, config = wasmtime.Linker(engine), wasmtime.Store(engine), wasmtime.WasiConfig()
    linker.define_wasi()
    config.argv = [program.name, *words]
    config.preopen_dir(str(folder), "/")
    config.stdout_file = config.stderr_file = str(folder / "output")
    store.set_wasi(config)
    instance = linker.instantiate(store, wasmtime.Module.from_file(engine, str(program)))
    start = instance.exports(store)["_start"]
    assert isinstance(start, wasmtime.Func)
    code = 0
    try:
        start(store)
    except wasmtime.ExitTrap as ended:
        code = ended.code
    return code, (folder / "output").read_text()

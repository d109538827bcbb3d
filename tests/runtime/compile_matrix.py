"""The compile matrix: every compiler at hand, every architecture, every level of optimisation, one file and many.

Each cell compiles the runtime with warnings as errors and nothing else that its answers would need, and answers a
bundle's goldens by the result: here, under qemu, or in wasmtime. Its answers equal, to the bit, those of this machine's
scalar kernels.

    python -m tests.runtime.compile_matrix [clang] [-O3] ...     the cells with these words, all without any, over a
                                                                 tiny student's bundle, printed as a table
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from edgexl.runtime.amalgamate import amalgamate

RUNTIME = Path(__file__).parents[2] / "edgexl" / "runtime"
PROBE = Path(__file__).with_name("compile_probe.c")
ZIG = (sys.executable, "-m", "ziglang", "cc")
LEVELS = ("-O0", "-O1", "-O3", "-Os")
FORMS = ("one", "many")
# By level and form: the standards since C11, and what a compiler does that is told of none.
_STANDARDS = {
    ("-O0", "one"): "-std=c11",
    ("-O1", "one"): "-std=c17",
    ("-O3", "one"): "",
    ("-Os", "one"): "-std=c2x",
    ("-O0", "many"): "-std=c2x",
    ("-O1", "many"): "-std=gnu11",
    ("-O3", "many"): "",
    ("-Os", "many"): "-std=c11",
}


@dataclass(frozen=True)
class Architecture:
    """`triple` of Debian's cross compilers, `zig`'s target, and how programs run here: qemu `cpus` or wasmtime."""

    name: str
    triple: str
    zig: str
    emulator: str = ""
    cpus: tuple[str, ...] = ()


ARCHITECTURES = {
    one.name: one
    for one in (
        Architecture("x86-64", "x86_64-linux-gnu", "x86_64-linux-musl"),
        # without and with dot products, and with matrix products
        Architecture(
            "aarch64",
            "aarch64-linux-gnu",
            "aarch64-linux-musl",
            "qemu-aarch64",
            ("cortex-a53", "cortex-a76", "max,sme=off"),
        ),
        Architecture("armhf", "arm-linux-gnueabihf", "arm-linux-musleabihf", "qemu-arm", ("max",)),
        Architecture("riscv64", "riscv64-linux-gnu", "riscv64-linux-musl", "qemu-riscv64", ("rv64",)),
        Architecture("wasm", "wasm32-wasi", "wasm32-wasi"),
    )
}
COMPILERS = ("gcc", "clang", "zig")


@dataclass(frozen=True)
class Cell:
    """One way to compile the runtime."""

    compiler: str
    architecture: str
    level: str
    form: str

    def __str__(self) -> str:
        return f"{self.compiler} {self.architecture} {self.level} {self.form}"

    @property
    def command(self) -> tuple[str, ...]:
        """The compiler's call, but for sources and output."""
        architecture = ARCHITECTURES[self.architecture]
        if self.compiler == "zig":
            call = (*ZIG, "-target", architecture.zig)
        elif self.architecture == "x86-64":
            call = (self.compiler,)
        elif self.compiler == "clang":
            call = ("clang", f"--target={architecture.triple}", "-static")
        else:
            call = (f"{architecture.triple}-gcc", "-static")
        if self.architecture == "wasm":  # as docs/c-api.md has it
            call = (*call, "-msimd128", "-D_WASI_EMULATED_MMAN")
        standard = _STANDARDS[self.level, self.form]
        return (*call, self.level, *([standard] if standard else []), "-Wall", "-Wextra", "-Wpedantic", "-Werror")

    @property
    def missing(self) -> str:
        """What this machine lacks for it; empty where it has all."""
        architecture = ARCHITECTURES[self.architecture]
        if self.compiler == "zig":
            if importlib.util.find_spec("ziglang") is None:
                return "the package ziglang is not installed"
        elif self.compiler == "clang" and self.architecture == "wasm":
            if not (Path("/usr/include/wasm32-wasi").is_dir() and shutil.which("wasm-ld")):
                return "the packages wasi-libc, libclang-rt-dev-wasm32 and lld are not installed"
        elif self.architecture != "x86-64" and shutil.which(f"{architecture.triple}-gcc") is None:
            return f"gcc-{architecture.triple} is not installed"
        if self.compiler != "zig" and shutil.which(self.command[0]) is None:
            return f"{self.command[0]} is not installed"
        if self.architecture == "wasm" and importlib.util.find_spec("wasmtime") is None:
            return "the package wasmtime is not installed"
        if architecture.emulator and shutil.which(architecture.emulator) is None:
            return f"{architecture.emulator} is not installed"
        return ""


def cells() -> Iterator[Cell]:
    """All of the matrix. gcc has no WebAssembly."""
    for compiler in COMPILERS:
        for architecture in ARCHITECTURES:
            if (compiler, architecture) != ("gcc", "wasm"):
                yield from (Cell(compiler, architecture, level, form) for level in LEVELS for form in FORMS)


# Every compiler, architecture, level and form at least once, in less than a minute of one core: among them those that
# a stranger is likely to meet first.
DIAGONAL = (
    Cell("gcc", "x86-64", "-O0", "many"),
    Cell("gcc", "aarch64", "-O3", "one"),
    Cell("gcc", "armhf", "-O1", "many"),
    Cell("clang", "x86-64", "-O1", "one"),
    Cell("clang", "aarch64", "-Os", "many"),
    Cell("clang", "riscv64", "-O0", "one"),
    Cell("zig", "x86-64", "-O1", "many"),
    Cell("zig", "wasm", "-O3", "one"),
)


class Matrix:
    """A bundle, the sources in both forms, and the answers that every cell must give."""

    def __init__(self, bundle: Path, directory: Path) -> None:
        self.directory = directory
        self.bundle = directory / "bundle.exl"
        shutil.copyfile(bundle, self.bundle)
        (directory / "one").mkdir()
        amalgamate(directory / "one")
        flags = ("-std=c11", "-O1", "-ffp-contract=off")
        program = self._compile(("cc", *flags), "many", directory / "reference", ())
        said = _said_by([str(program), str(self.bundle)])
        scalar = said.partition("scalar\n")[2]
        assert scalar.count("\n") > 1, said
        self.expected = f"{scalar}scalar\n{scalar}"

    def check(self, cell: Cell, extra: tuple[str, ...] = ()) -> None:
        """Compile the cell, with `extra` flags, and compare its answers. Raises AssertionError, saying what differs."""
        program = self.compile(cell, extra)
        try:
            for name, said in self._runs(cell, program):
                assert said == self.expected, f"{cell} {name}: {_first_difference(said, self.expected)}"
        finally:
            program.unlink()

    def compile(self, cell: Cell, extra: tuple[str, ...] = ()) -> Path:
        """The cell's program. Raises AssertionError with the compiler's words."""
        libraries = ("-lwasi-emulated-mman",) if cell.architecture == "wasm" else ()
        program = self.directory / str(cell).replace(" ", "_")
        return self._compile((*cell.command, *extra), cell.form, program, libraries)

    def _compile(self, command: tuple[str, ...], form: str, program: Path, libraries: tuple[str, ...]) -> Path:
        if form == "one":
            sources, include = [self.directory / "one" / "edgexl.c"], self.directory / "one"
        else:
            sources, include = sorted((RUNTIME / "src").glob("*.c")), RUNTIME / "include"
        call = [*command, f"-I{include}", str(PROBE), *map(str, sources), "-o", str(program), *libraries, "-lm"]
        done = subprocess.run(call, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(command)} ({form}): {done.stderr[:2000]}"
        return program

    def _runs(self, cell: Cell, program: Path) -> Iterator[tuple[str, str]]:
        """The answers on each processor that the cell's program is run on, with its name."""
        architecture = ARCHITECTURES[cell.architecture]
        if cell.architecture == "wasm":
            from tests.runtime.wasm import run_wasm

            folder = program.with_suffix(".folder")
            folder.mkdir(exist_ok=True)
            shutil.copyfile(self.bundle, folder / "bundle.exl")
            yield "wasmtime", run_wasm(program, folder, "/bundle.exl")[1]
        elif not architecture.emulator:
            yield "here", _said_by([str(program), str(self.bundle)])
        for cpu in architecture.cpus:
            yield cpu, _said_by([architecture.emulator, "-cpu", cpu, str(program), str(self.bundle)])


def _said_by(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else f"exit code {done.returncode}: {done.stdout}{done.stderr}"


def _first_difference(said: str, expected: str) -> str:
    pairs = zip(said.splitlines(), expected.splitlines(), strict=False)
    return next((f"{ours!r} is not {theirs!r}" for ours, theirs in pairs if ours != theirs), "a line is missing")[:500]


def run(matrix: Matrix, chosen: Iterable[Cell], tell: Callable[[str], None]) -> list[str]:
    """Run the chosen cells and tell them as a table, a line for each compiler and architecture; gives what failed.

    A cell that this machine has no tools for says so in the table, and below it what is not installed.
    """
    heads = [(level, form) for level in LEVELS for form in FORMS]
    tell(" | ".join(["compiler     ", *(f"{level + ' ' + form:>9}" for level, form in heads)]))
    rows = itertools.groupby(chosen, key=lambda cell: (cell.compiler, cell.architecture))
    failures: list[str] = []
    missing: list[str] = []

    def result(cell: Cell) -> str:
        begin = time.monotonic()
        if cell.missing:
            missing.append(cell.missing)
            return "missing"
        try:
            matrix.check(cell)
        except AssertionError as error:
            failures.append(str(error))
            return "FAILED"
        return f"ok {time.monotonic() - begin:.1f} s"

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for (compiler, architecture), row in rows:
            found = {}
            for cell, word in zip(together := list(row), pool.map(result, together), strict=True):
                found[cell.level, cell.form] = word
            line = [f"{found.get(head, ''):>9}" for head in heads]
            tell(" | ".join([f"{compiler:<5} {architecture:<7}", *line]))
    for said in (*failures, *(f"missing: {reason}" for reason in dict.fromkeys(missing))):
        tell(said)
    return failures


def main(words: list[str]) -> int:
    """The command line; the exit code is 1 where a cell failed, 2 where no cell has the words."""
    from edgexl.compiler import compile
    from edgexl.compiler.recipe import IndexRecipe, Recipe
    from tests.command_line import TARGET
    from tests.tiny import AS_IT_IS, tiny_labels, tiny_student

    recipe = Recipe("eight-byte codes", engine="native", index=IndexRecipe(code_bytes=8, overfetch=64), **AS_IT_IS)
    chosen = [cell for cell in cells() if set(words) <= set(str(cell).split())]
    if not chosen:
        known = sorted({word for cell in cells() for word in str(cell).split()})
        print(f"no cell has the words {' '.join(words)}; these are known: {' '.join(known)}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        bundle = compile(tiny_student(tiny_labels(aliases=True)), recipe, TARGET, directory / "tiny.exl").path
        (directory / "matrix").mkdir()
        failures = run(Matrix(bundle, directory / "matrix"), chosen, lambda line: print(line, flush=True))
        return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

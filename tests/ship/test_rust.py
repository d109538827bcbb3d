"""The crate: built offline by cargo, held to the table of vectors to the bit, and to the C header's structs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from edgexl.base.errors import BadInput
from edgexl.runtime.build import HEADER
from edgexl.runtime.declarations import parse_header
from edgexl.ship.crate import rust_text, ship_rust
from edgexl.ship.ffi import write_ffi, write_layout
from edgexl.ship.product import Product
from edgexl.ship.trial import Trial, try_packages
from tests.ship.conftest import Run, unpack

OLDEST = (1, 63)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """For cargo, which needs its toolchain and a folder of its own; C is compiled fast, for it is compiled often."""
    cargo = shutil.which("cargo")
    if cargo is None:
        pytest.skip("cargo is not installed")
    said = subprocess.run([cargo, "--version"], capture_output=True, text=True, check=True).stdout
    if tuple(map(int, re.findall(r"\d+", said)[:2])) < OLDEST:
        pytest.skip(f"{said.strip()} is too old")
    rustup = os.environ.get("RUSTUP_HOME", str(Path.home() / ".rustup"))
    path = f"{Path(cargo).parent}:/usr/local/bin:/usr/bin:/bin"
    own = str(tmp_path_factory.mktemp("cargo"))
    folders = {"RUSTUP_HOME": rustup, "CARGO_HOME": own, "CARGO_TARGET_DIR": f"{own}/target"}
    return {"PATH": path, **folders, "CFLAGS": "-O0"}


@pytest.fixture(scope="module")
def crate(product: Product, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack(ship_rust(product)["tiny-words-1.2.3.crate"], tmp_path_factory.mktemp("rust"))


def test_its_own_tests_pass(crate: Path, environment: dict[str, str], run: Run) -> None:
    """The 50 vectors to the bit, all that the binding does, the structs' places, and the example of the docs."""
    said = run("cargo", "test", "--offline", "--", "--show-output", cwd=crate, **environment)
    assert "50 vectors\n" in said
    assert re.findall(r"(\d+) passed; (\d+) failed", said) == [("1", "0"), ("5", "0"), ("1", "0")]
    assert "warning" not in said


@pytest.mark.slow  # a program of its own, at -O3
def test_the_readme_gives_the_first_answer(
    crate: Path, environment: dict[str, str], product: Product, tmp_path: Path, run: Run
) -> None:
    first = (crate / "README.md").read_text().split("```rust\n")[1].split("```")[0]
    assert len(first.splitlines()) <= 5
    run("cargo", "new", "--quiet", "--vcs", "none", "app", **environment)
    run("cargo", "add", "--quiet", "--offline", "--path", crate, cwd=tmp_path / "app", **environment)
    (tmp_path / "app" / "src" / "main.rs").write_text(first)
    how = {**environment, "CFLAGS": ""}
    assert run("cargo", "run", "--quiet", "--offline", cwd=tmp_path / "app", **how) == product.answer
    assert run("cargo", "run", "--quiet", "--offline", "--example", "first", cwd=crate, **how) == product.answer
    run("cargo", "check", "--offline", "--no-default-features", "--all-targets", cwd=crate, **how)


@pytest.mark.slow  # -O3
def test_the_trial_runs_it(product: Product, tmp_path: Path, environment: dict[str, str]) -> None:
    ((name, content),) = ship_rust(product).items()
    (tmp_path / name).write_bytes(content)
    assert try_packages("rust", [tmp_path / name]) == {tmp_path / name: Trial("answered", "by cargo", 3, 3)}


def test_a_compiler_that_fails_or_lacks_is_named(crate: Path, environment: dict[str, str]) -> None:
    for compiler, said in (("false", "ended with exit status: 1"), ("no-such-cc", "name it in CC or AR")):
        done = subprocess.run(
            ["cargo", "build", "--offline"], cwd=crate, capture_output=True, text=True, check=False,
            env={**environment, "HOST_CC": compiler, "CARGO_TARGET_DIR": f"{environment['CARGO_HOME']}/broken"},
        )  # fmt: skip
        assert done.returncode != 0
        assert said in done.stderr


def test_the_declarations_are_the_headers() -> None:
    text = HEADER.read_text(encoding="utf-8")
    declared = parse_header(text)
    ffi = write_ffi(declared)
    names = set(re.findall(r"^EXL_API .*?(\w+)\(", text, re.M))
    assert set(re.findall(r"pub fn (exl_\w+)", ffi)) == names
    assert "pub predictions: *const *const exl_prediction," in ffi
    assert 'pub progress: Option<unsafe extern "C" fn(context: *mut c_void, done: usize, count: usize)>,' in ffi
    assert "pub sentence: [c_char; 508]," in ffi
    assert "pub fn exl_bundle_close(bundle: *mut exl_bundle);" in ffi
    assert write_layout(declared).count("sizeof(") == len(declared.structs)


def test_names_that_rust_keeps_are_refused(product: Product) -> None:
    with pytest.raises(BadInput, match="Rust keeps the name crate"):
        ship_rust(replace(product, name="crate"))
    assert rust_text('a "b" \\c') == '"a \\"b\\" \\\\c"'


def test_the_same_product_gives_the_same_bytes(product: Product) -> None:
    assert ship_rust(product) == ship_rust(product)

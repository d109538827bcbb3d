"""What `edgexl ship --key` makes opens what the key has signed, and nothing else unless told: the same eight cases in
each binding, by the numbers in edgexl.h."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from edgexl.base.errors import BadInput
from edgexl.bundle.signing import new_key, sign_bundle, store_signature
from edgexl.runtime.binding import NotTrusted
from edgexl.runtime.build import HEADER
from edgexl.runtime.declarations import HEADER as DECLARED
from edgexl.runtime.library import find_library
from edgexl.ship import wheel
from edgexl.ship.crate import ship_rust
from edgexl.ship.jar import JNI, compile_classes, java_sources, jni_flags
from edgexl.ship.npm import ship_web
from edgexl.ship.product import Product, open_product
from tests.ship.conftest import Run, unpack

CPP = HEADER.parents[1] / "cpp"
# as shipped: signed, unsigned, by another key, an older version; then told otherwise: no key, a lower least version, a
# signature beside it, and a key that is none
EXPECTED = [0, 307, 308, 310, 0, 0, 0, 100]
PYTHON = """
import json, sys
from trusting.binding import Bundle, EdgexlError
def status(*arguments, **how):
    try:
        Bundle(*arguments, **how).close()
        return 0
    except EdgexlError as error:
        return error.status
signature = open("plain.sig", "rb").read()
print(json.dumps([status("words.exl"), status("plain.exl"), status("other.exl"), status("old.exl"),
                  status("plain.exl", keys=[]), status("old.exl", least_version=2),
                  status("plain.exl", signature=signature), status("words.exl", keys=["x"])]))
"""
C_PLUS_PLUS = """
#include "edgexl.hpp"
#include <cstdio>
static int status(const char *path, const edgexl::OpenOptions &options) {
    try {
        edgexl::Bundle bundle(path, options);
        return 0;
    } catch (const edgexl::Error &error) {
        return error.status;
    }
}
int main(int, char **arguments) {
    edgexl::OpenOptions shipped, lower, given, wrong;
    shipped.trusted_keys = {arguments[1]}, shipped.least_version = 3;
    lower = given = shipped;
    lower.least_version = 2, given.signature = arguments[2], wrong.trusted_keys = {"x"};
    std::printf("[%d, %d, %d, %d, %d, %d, %d, %d]", status("words.exl", shipped), status("plain.exl", shipped),
                status("other.exl", shipped), status("old.exl", shipped), status("plain.exl", {}),
                status("old.exl", lower), status("plain.exl", given), status("words.exl", wrong));
}
"""
JAVA = """
import java.nio.file.*;
import java.util.Arrays;
import tiny_words.*;
public class Trust {
    static int status(String path, OpenOptions options) {
        try (Bundle bundle = Bundle.open(path, options)) {
            return 0;
        } catch (EdgexlException error) {
            return error.getStatus();
        }
    }
    public static void main(String[] arguments) throws Exception {
        OpenOptions shipped = OpenOptions.DEFAULT;
        byte[] signature = Files.readAllBytes(Paths.get("plain.sig"));
        System.out.println(Arrays.toString(new int[] {
            status("words.exl", shipped), status("plain.exl", shipped), status("other.exl", shipped),
            status("old.exl", shipped), status("plain.exl", shipped.withTrustedKeys()),
            status("old.exl", shipped.withLeastVersion(2)), status("plain.exl", shipped.withSignature(signature)),
            status("words.exl", shipped.withTrustedKeys("x"))}));
    }
}
"""
RUST = """
use tiny_words::{Bundle, OpenOptions, Result};
fn status(opened: Result<Bundle>) -> i32 {
    opened.err().map_or(0, |error| error.number())
}
fn main() {
    let new = OpenOptions::new;
    let signature = std::fs::read("plain.sig").unwrap();
    println!("{:?}", [
        status(Bundle::open("words.exl")), status(Bundle::open("plain.exl")), status(Bundle::open("other.exl")),
        status(Bundle::open("old.exl")), status(new().trusted_keys::<&str>([]).open("plain.exl")),
        status(new().least_version(2).open("old.exl")), status(new().signature(signature).open("plain.exl")),
        status(new().trusted_keys(["x"]).open("words.exl"))]);
}
"""
WEB = """
import { readFileSync } from "node:fs";
import { Bundle } from "./package/index.js";
const status = (name, options) => Bundle.open(readFileSync(name), options).then(() => 0, (error) => error.status);
const signature = readFileSync("plain.sig", "utf8");
console.log(JSON.stringify([
  await status("words.exl"), await status("plain.exl"), await status("other.exl"), await status("old.exl"),
  await status("plain.exl", { keys: [] }), await status("old.exl", { leastVersion: 2 }),
  await status("plain.exl", { signature }), await status("words.exl", { keys: ["x"] })]));
"""


@dataclass(frozen=True)
class Case:
    """A folder with the bundles that the programs open, and the product that trusts one key."""

    folder: Path
    product: Product
    signature: str


@pytest.fixture(scope="module")
def case(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Case:
    folder = tmp_path_factory.mktemp("trust")
    key, other = new_key(), new_key()
    shutil.copy(bundle, folder / "plain.exl")
    for name, by, version in (("words", key, 3), ("old", key, 2), ("other", other, 9)):
        store_signature(bundle, sign_bundle(bundle, by, version), folder / f"{name}.exl")
    signature = sign_bundle(bundle, key, 4).text
    (folder / "plain.sig").write_text(signature)
    product = open_product(folder / "words.exl", "tiny-words", "1.2.3", keys=[key.public.line])
    assert (product.keys, product.least_version) == ((key.public.line,), 3)
    with pytest.raises(NotTrusted):
        open_product(folder / "other.exl", "tiny-words", keys=[key.public.line])
    with pytest.raises(BadInput, match="holds no signature"):
        open_product(folder / "plain.exl", "tiny-words", keys=[key.public.line])
    return Case(folder, product, signature)


def test_python(case: Case, run: Run) -> None:
    """The binding as a wheel has it, over this machine's library."""
    place = case.folder / "trusting"
    place.mkdir()
    binding = (Path(wheel.__file__).parent / "python" / "binding.py").read_text()
    (place / "__init__.py").touch()
    (place / "binding.py").write_text(wheel.trusting(binding, case.product))
    (place / "declarations.py").write_bytes(DECLARED.parents[1].joinpath("declarations.py").read_bytes())
    shutil.copy(HEADER, place)
    shutil.copy(find_library(), place)
    assert json.loads(run(sys.executable, "-c", PYTHON, cwd=case.folder)) == EXPECTED


def test_c_plus_plus(case: Case, tmp_path: Path, run: Run) -> None:
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed")
    (tmp_path / "program.cpp").write_text(C_PLUS_PLUS)
    library = find_library()
    flags = "-std=c++17", "-Wall", "-Wextra", "-Wconversion", "-Werror", f"-I{HEADER.parent}", f"-I{CPP}"
    run("g++", *flags, "program.cpp", library, f"-Wl,-rpath,{library.parent}", "-o", "program")
    said = run(tmp_path / "program", *case.product.keys, case.signature, cwd=case.folder)
    assert json.loads(said) == EXPECTED


def test_java(case: Case, tmp_path: Path, run: Run) -> None:
    if shutil.which("javac") is None:
        pytest.skip("no JDK is installed")
    for name, content in compile_classes(case.product, java_sources(case.product, ("Loader", "Product"))).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    (tmp_path / "Trust.java").write_text(JAVA)
    library = find_library()
    flags = "-std=c11", "-shared", "-fPIC", *jni_flags(case.product), f"-I{HEADER.parent}"
    run("cc", *flags, JNI, library, f"-Wl,-rpath,{library.parent}", "-o", "jni.so")
    subprocess.run(["javac", "-cp", str(tmp_path), "-d", str(tmp_path), str(tmp_path / "Trust.java")], check=True)
    named = f"-Dedgexl.library={tmp_path / 'jni.so'}"
    assert json.loads(run("java", "-Xcheck:jni", named, "-cp", tmp_path, "Trust", cwd=case.folder)) == EXPECTED


@pytest.mark.slow
def test_rust(case: Case, tmp_path: Path, run: Run) -> None:
    cargo = shutil.which("cargo")
    if cargo is None:
        pytest.skip("cargo is not installed")
    crate = unpack(ship_rust(case.product)["tiny-words-1.2.3.crate"], tmp_path)
    (crate / "examples" / "trust.rs").write_text(RUST)
    folders = {"CARGO_HOME": str(tmp_path / "cargo"), "RUSTUP_HOME": str(Path.home() / ".rustup"), "CFLAGS": "-O0"}
    path = f"{Path(cargo).parent}:/usr/local/bin:/usr/bin:/bin"
    run(cargo, "build", "-q", "--offline", "--example", "trust", cwd=crate, PATH=path, **folders)
    assert json.loads(run(crate / "target/debug/examples/trust", cwd=case.folder)) == EXPECTED


@pytest.mark.slow
def test_the_web(case: Case, run: Run) -> None:
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    unpack(ship_web(case.product)["tiny-words-1.2.3.tgz"], case.folder)
    (case.folder / "trust.mjs").write_text(WEB)
    assert json.loads(run("node", "trust.mjs", cwd=case.folder)) == EXPECTED

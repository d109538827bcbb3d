"""What `edgexl ship --key` makes opens what the key has signed, and nothing else unless told: the same eight cases in
each binding, by the numbers in edgexl.h."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from edgexl.base.errors import BadInput
from edgexl.bundle.signing import new_key, sign_bundle, store_signature
from edgexl.runtime.binding import NotTrusted
from edgexl.ship.c_source import ship_c_source
from edgexl.ship.product import Product, open_product
from tests.ship.conftest import Run, unpack
from tests.ship.programs import run_c_plus_plus, run_java, run_node, run_python, run_rust

# as shipped: signed, unsigned, by another key, an older version; then told otherwise: no key, a lower least version, a
# signature beside it, and a key that is none
EXPECTED = [0, 307, 308, 310, 0, 0, 0, 100]
PYTHON = """
import json, sys
from binding import Bundle, EdgexlError
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
C = r"""
#include "edgexl.h"
#include <stdio.h>
static int status(const char *path, const exl_open_options *options) {
    exl_bundle *bundle = NULL;
    const exl_status status = exl_bundle_open(path, options, &bundle, NULL);
    exl_bundle_close(bundle);
    return (int)status;
}
int main(void) {
    static char signature[4096];
    const char *const none = "x";
    FILE *file = fopen("plain.sig", "rb");
    const exl_open_options anyone = {.struct_size = sizeof anyone, .flags = EXL_OPEN_ANYONE},
                           lower = {.struct_size = sizeof lower, .least_version = 2},
                           given = {.struct_size = sizeof given, .signature = signature,
                                    .signature_bytes = fread(signature, 1, sizeof signature, file)},
                           wrong = {.struct_size = sizeof wrong, .trusted_keys = &none, .trusted_key_count = 1};
    fclose(file);
    printf("[%d, %d, %d, %d, %d, %d, %d, %d]", status("words.exl", NULL), status("plain.exl", NULL),
           status("other.exl", NULL), status("old.exl", NULL), status("plain.exl", &anyone), status("old.exl", &lower),
           status("plain.exl", &given), status("words.exl", &wrong));
}
"""
JAVA = """
import java.nio.file.*;
import java.util.Arrays;
import tiny_words.*;
public class Program {
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


def test_python(case: Case, tmp_path: Path, run: Run) -> None:
    assert json.loads(run_python(PYTHON, case.product, case.folder, tmp_path, run)) == EXPECTED


def test_c_plus_plus(case: Case, tmp_path: Path, run: Run) -> None:
    arguments = (*case.product.keys, case.signature)
    assert json.loads(run_c_plus_plus(C_PLUS_PLUS, arguments, case.folder, tmp_path, run)) == EXPECTED


def test_the_c_sources(case: Case, tmp_path: Path, run: Run) -> None:
    folder = unpack(ship_c_source(case.product)[f"{case.product.title}-c-source.tar.gz"], tmp_path)
    (tmp_path / "program.c").write_text(C)
    run("cc", "-O0", f"-I{folder}", "program.c", folder / "edgexl.c", "-o", "program", "-lm", "-ldl", "-lpthread")
    assert json.loads(run(tmp_path / "program", cwd=case.folder)) == EXPECTED


def test_java(case: Case, tmp_path: Path, run: Run) -> None:
    assert json.loads(run_java(JAVA, case.product, case.folder, tmp_path, run)) == EXPECTED


@pytest.mark.slow
def test_rust(case: Case, tmp_path: Path, run: Run) -> None:
    assert json.loads(run_rust(RUST, case.product, case.folder, tmp_path, run)) == EXPECTED


@pytest.mark.slow
def test_the_web(case: Case, run: Run) -> None:
    assert json.loads(run_node(WEB, case.product, case.folder, run)) == EXPECTED

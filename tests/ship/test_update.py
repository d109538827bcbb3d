"""What `edgexl ship --key` makes updates a bundle to what the key has signed, and to nothing else unless told: the same
six patches in each binding, by the numbers in edgexl.h."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from edgexl.bundle.signing import new_key, sign_bundle, sign_patch, store_signature
from edgexl.runtime.binding import open_bundle
from edgexl.ship.product import Product, open_product
from edgexl.use.diff import write_patch
from tests.runtime.tiny_bundle import build
from tests.ship.conftest import Run
from tests.ship.programs import run_c_plus_plus, run_java, run_node, run_python, run_rust

# a.exl by a patch of another bundle, by one that makes an unsigned bundle; that one, told to trust anyone, into p.exl;
# by one that another key has signed; by an unsigned one where it must be signed, and with its signature given. Then the
# new bundle's bytes and its first label for a text.
REFUSED = [321, 307, 0, 308, 307, 0]
PYTHON = """
import json
from binding import Bundle, EdgexlError
def status(patch, out=None, **how):
    try:
        Bundle.update("a.exl", patch, out, **how)
        return 0
    except EdgexlError as error:
        return error.status
signature = open("next.sig", "rb").read()
said = [status("other.exlp"), status("plain.exlp"), status("plain.exlp", "p.exl", keys=[]), status("forged.exlp"),
        status("bare.exlp", signed_patch=True)]
update = Bundle.update("a.exl", "bare.exlp", patch_signature=signature, signed_patch=True)
with Bundle("a.exl") as bundle:
    print(json.dumps([*said, 0, update.new_bytes, bundle.predict(open("text").read(), 1).labels[0].id]))
"""
C_PLUS_PLUS = """
#include "edgexl.hpp"
#include <fstream>
#include <iostream>
#include <iterator>
static std::string read(const char *path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}
static int status(const char *patch, const edgexl::UpdateOptions &options) {
    try {
        edgexl::Bundle::update("a.exl", patch, options);
        return 0;
    } catch (const edgexl::Error &error) {
        return error.status;
    }
}
int main(int, char **arguments) {
    edgexl::UpdateOptions shipped, anyone, strict;
    shipped.open.trusted_keys = {arguments[1]}, shipped.open.least_version = 3;
    strict = shipped, strict.signed_patch = true;
    anyone.out = "p.exl";
    std::cout << '[' << status("other.exlp", shipped) << ", " << status("plain.exlp", shipped) << ", "
              << status("plain.exlp", anyone) << ", " << status("forged.exlp", shipped) << ", "
              << status("bare.exlp", strict) << ", ";
    strict.patch_signature = read("next.sig");
    const exl_patch_report report = edgexl::Bundle::update("a.exl", "bare.exlp", strict);
    edgexl::Bundle bundle("a.exl", shipped.open);
    edgexl::PredictOptions first;
    first.k = 1;
    const edgexl::Answer answer = edgexl::Session(bundle).predict(read("text"), first);
    std::cout << "0, " << report.new_bytes << ", \\"" << answer.labels[0].id << "\\"]";
}
"""
JAVA = """
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import tiny_words.*;
public class Program {
    static int status(String patch, UpdateOptions options) {
        try {
            Bundle.update("a.exl", patch, options);
            return 0;
        } catch (EdgexlException error) {
            return error.getStatus();
        }
    }
    public static void main(String[] arguments) throws Exception {
        UpdateOptions shipped = UpdateOptions.DEFAULT;
        UpdateOptions anyone = shipped.withOpen(OpenOptions.DEFAULT.withTrustedKeys()).withOut("p.exl");
        byte[] signature = Files.readAllBytes(Paths.get("next.sig"));
        String text = new String(Files.readAllBytes(Paths.get("text")), StandardCharsets.UTF_8);
        System.out.print("[" + status("other.exlp", shipped) + ", " + status("plain.exlp", shipped) + ", "
                + status("plain.exlp", anyone) + ", " + status("forged.exlp", shipped) + ", "
                + status("bare.exlp", shipped.withSignedPatch()) + ", ");
        Update update = Bundle.update(
                "a.exl", "bare.exlp", shipped.withSignedPatch().withPatchSignature(signature));
        if (update.getAdded() + update.getRetired() + update.getDropped() != 0) {
            throw new AssertionError("there were no changes of labels");
        }
        try (Bundle bundle = Bundle.open("a.exl")) {
            String id = bundle.predict(text, 1).getLabels().get(0).getId();
            System.out.println("0, " + update.getNewBytes() + ", \\"" + id + "\\"]");
        }
    }
}
"""
RUST = """
use tiny_words::{Bundle, OpenOptions, PredictOptions, UpdateOptions};
fn status(patch: &str, options: UpdateOptions) -> i32 {
    options.update("a.exl", patch).err().map_or(0, |error| error.number())
}
fn main() -> tiny_words::Result<()> {
    let new = UpdateOptions::new;
    let anyone = new().open(OpenOptions::new().trusted_keys::<&str>([])).out("p.exl");
    let refused = Bundle::update("a.exl", "other.exlp").err().map_or(0, |error| error.number());
    let said = [refused, status("plain.exlp", new()), status("plain.exlp", anyone), status("forged.exlp", new()),
                status("bare.exlp", new().signed_patch(true))];
    let signature = std::fs::read("next.sig").unwrap();
    let update = new().signed_patch(true).patch_signature(signature).update("a.exl", "bare.exlp")?;
    let text = std::fs::read_to_string("text").unwrap();
    let answer = Bundle::open("a.exl")?.predict_with(&text, PredictOptions::new().k(1))?;
    print!("[");
    said.iter().for_each(|status| print!("{status}, "));
    println!("0, {}, {:?}]", update.new_bytes, answer.labels[0].id);
    Ok(())
}
"""
WEB = """
import { readFileSync, writeFileSync } from "node:fs";
import { Bundle, update } from "./package/index.js";
const read = (name) => readFileSync(name);
const old = await Bundle.open(read("a.exl"));
old.addLabel({ id: "new-1", text: "zebra lantern" });
old.retireLabel(readFileSync("retired", "utf8"));
const changes = old.changes();
const status = (patch, options) =>
  Bundle.update(read("a.exl"), read(patch), options).then(
    ({ bytes }) => (writeFileSync("p.exl", bytes), 0), (error) => error.status);
const said = [await status("other.exlp"), await status("plain.exlp"), await status("plain.exlp", { keys: [] }),
  await status("forged.exlp", { patchSignature: readFileSync("forged.exlp.minisig", "utf8") }),
  await status("bare.exlp", { signedPatch: true })];
const how = { patchSignature: read("next.sig"), signedPatch: true, changes };
const { bundle, bytes } = await update(read("bare.exlp"), how);
writeFileSync("a.exl", bytes);
const kept = [bundle.predict("zebra lantern", { k: 1 }).labels[0].id, bundle.info.labels];
const { labels } = bundle.predict(readFileSync("text", "utf8"), { k: 1 });
console.log(JSON.stringify([...said, 0, bytes.length, labels[0].id, ...kept]));
"""


@dataclass(frozen=True)
class Case:
    """A folder with bundles and patches, the product that trusts one key, and what the programs print."""

    folder: Path
    product: Product
    expected: list[int | str]


@pytest.fixture(scope="module")
def made(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Case:
    folder = tmp_path_factory.mktemp("update")
    key, other = new_key(), new_key()
    new = build(native=True, aliases=True, lexical=True, labels=310).write(folder / "plain.exl")
    store_signature(bundle, sign_bundle(bundle, key, 3), folder / "words.exl")
    store_signature(new, sign_bundle(new, key, 4), folder / "next.exl")
    for name, of, to in (("other", bundle, "next"), ("plain", folder / "words.exl", "plain")):
        write_patch(of, folder / f"{to}.exl", folder / f"{name}.exlp")
    for name in ("forged", "bare"):
        write_patch(folder / "words.exl", folder / "next.exl", folder / f"{name}.exlp")
    (folder / "forged.exlp.minisig").write_text(sign_patch(folder / "forged.exlp", other).text)
    (folder / "next.sig").write_text(sign_patch(folder / "bare.exlp", key).text_for("patch"))
    with open_bundle(new) as handle, open_bundle(bundle) as before:
        text, id = handle.label_text(305), handle.label_id(305)
        assert handle.predict(text, 1).labels[0].id == id
        assert all(label.id != id for label in before.predict(text).labels)
        (folder / "retired").write_text(handle.label_id(7))
    (folder / "text").write_text(text)
    product = open_product(folder / "words.exl", "tiny-words", "1.2.3", keys=[key.public.line])
    return Case(folder, product, [*REFUSED, (folder / "next.exl").stat().st_size, id])


@pytest.fixture
def case(made: Case, tmp_path: Path) -> Case:
    """The same in a folder of its own, whose a.exl is the old bundle."""
    folder = tmp_path / "files"
    shutil.copytree(made.folder, folder)
    shutil.copy(folder / "words.exl", folder / "a.exl")
    return Case(folder, made.product, made.expected)


def check_files(case: Case) -> None:
    """Both bundles are the new ones, and nothing is left beside them."""
    assert (case.folder / "a.exl").read_bytes() == (case.folder / "next.exl").read_bytes()
    assert (case.folder / "p.exl").read_bytes() == (case.folder / "plain.exl").read_bytes()
    assert not list(case.folder.glob("*.update"))


def test_python(case: Case, tmp_path: Path, run: Run) -> None:
    assert json.loads(run_python(PYTHON, case.product, case.folder, tmp_path, run)) == case.expected
    check_files(case)


def test_c_plus_plus(case: Case, tmp_path: Path, run: Run) -> None:
    assert json.loads(run_c_plus_plus(C_PLUS_PLUS, case.product.keys, case.folder, tmp_path, run)) == case.expected
    check_files(case)


def test_java(case: Case, tmp_path: Path, run: Run) -> None:
    assert json.loads(run_java(JAVA, case.product, case.folder, tmp_path, run)) == case.expected
    check_files(case)


@pytest.mark.slow
def test_rust(case: Case, tmp_path: Path, run: Run) -> None:
    assert json.loads(run_rust(RUST, case.product, case.folder, tmp_path, run)) == case.expected
    check_files(case)


@pytest.mark.slow
def test_the_web(case: Case, run: Run) -> None:
    """And there labels that were added and retired are handed over."""
    assert json.loads(run_node(WEB, case.product, case.folder, run)) == [*case.expected, "new-1", 310]
    check_files(case)

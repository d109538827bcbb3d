"""Proof kits: each that runs here is run as its owner would, what it brings back is accepted, and what is not so is
refused; those for Android, Apple and Windows are looked into as far as tools reach."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgexl.base.errors import BadInput
from edgexl.ship.accept import assign_proofs, read_proof
from edgexl.ship.crate import ship_rust
from edgexl.ship.jar import ship_java
from edgexl.ship.linux import ship_linux
from edgexl.ship.npm import ship_web
from edgexl.ship.product import Product
from edgexl.ship.proof import KITS, RESULT, ProofKit, kit_files, write_kits
from edgexl.ship.ship import PLATFORMS, Shipped
from edgexl.ship.wheel import ship_python
from tests.command_line import Edgexl
from tests.ship.conftest import Run

HERE = "linux-x86-64"
CHANGED = [
    ({"proof": 2}, "make a new kit with --proof"),
    ({"package": None}, "does not tell its package"),
    ({"vectors": "50"}, "does not tell its vectors"),
    ({"tools": [1]}, "does not tell its tools"),
    ({"system": ["sh: uname: not found"]}, "does not tell when and where"),
    ({"date": "yesterday"}, "does not tell when and where"),
    ({"bundle_sha256": "0" * 64}, "is of another bundle than tiny-words.exl"),
]


def prove(kit: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a kit's shell script from elsewhere, as its owner may."""
    return subprocess.run(
        ["sh", str(kit / "prove.sh")],
        cwd="/",
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def kit(product: Product, tmp_path_factory: pytest.TempPathFactory) -> ProofKit:
    """Of the C sources, compiled fast, and run."""
    (kit,) = write_kits(product, ["c-source"], tmp_path_factory.mktemp("a folder"))
    done = prove(kit.folder, CFLAGS="-O0")
    assert done.returncode == 0, done.stderr
    assert "50 of 50 texts are answered as recorded, to the bit." in done.stdout
    assert f"{kit.folder / RESULT} is written" in done.stdout
    return kit


@pytest.fixture(scope="module")
def told(kit: ProofKit) -> dict[str, Any]:
    return json.loads((kit.folder / RESULT).read_text())  # type: ignore[no-any-return]


@pytest.fixture
def write(told: dict[str, Any], tmp_path: Path) -> Callable[[dict[str, Any]], Path]:
    """The kit's result with changes, as a file."""

    def call(changed: dict[str, Any]) -> Path:
        path = tmp_path / "changed.json"
        path.write_text(json.dumps(told | changed))
        return path

    return call


def test_it_brings_back_what_was_where_and_by_what(kit: ProofKit, told: dict[str, Any], product: Product) -> None:
    proof = read_proof(kit.folder / RESULT, product)
    assert (proof.platform, proof.package) == ("c-source", "tiny-words-1.2.3-c-source.tar.gz")
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", proof.date)
    assert f", {'macOS' if platform.system() == 'Darwin' else platform.system()} " in proof.device
    assert re.search("cc|clang", proof.tools[0])
    assert told["vectors"] == product.vectors.decode().splitlines()
    assert {path.name for path in kit.folder.iterdir()} == {
        "tiny-words-1.2.3-c-source.tar.gz", "prove.sh", "result.json", "system.sh", "vectors.c", "vectors.tsv", "work"
    }  # fmt: skip


def test_ship_shows_what_was_proved(
    kit: ProofKit, bundle: Path, edgexl: Edgexl, tmp_path: Path, write: Callable[[dict[str, Any]], Path]
) -> None:
    notices = bundle.with_name("notices.txt")
    said_of_it = ("--version", "1.2.3", "--license", "CC0-1.0", "--notices", notices, "--support", "2030-01-01")
    asked = ("ship", bundle, "--platform", "c-source", "-o", tmp_path / "out", "--no-try", *said_of_it)
    page = tmp_path / "page.html"
    phone = write({"system": ["system=Linux", "libc=bionic, API level 35", "board=Pixel 8", "release=15"]})
    said = edgexl(*asked, "--accept", kit.folder / RESULT, "--accept", phone, "--report", page)
    assert said.status == 0, said.err
    (row,) = (line for line in said.out.splitlines() if line.startswith("c-source "))
    assert row.endswith(" proved")
    told = json.loads((kit.folder / RESULT).read_text())
    assert f"proved by its owner: {told['date']}, Pixel 8, Android 15: c-source.tar.gz" in said.out
    assert "Proved by its owner" in page.read_text()
    assert "Pixel 8, Android 15" in page.read_text()
    package, hashed = edgexl(*asked, "--accept", phone, "--json").json["files"]
    assert [each["device"] for each in package["proofs"]] == ["Pixel 8, Android 15"]
    assert hashed["proofs"] == []
    edgexl(*asked[:-1], "2031-01-01", "--accept", phone).refuses(2, "is of another tiny-words-1.2.3-c-source.tar.gz")
    edgexl(*asked[:3], "rust", *asked[4:], "--accept", phone).refuses(2, "was not packed here")


@pytest.mark.parametrize(("changed", "words"), CHANGED)
def test_what_is_no_proof_of_it_is_refused(
    changed: dict[str, Any], words: str, product: Product, write: Callable[[dict[str, Any]], Path]
) -> None:
    with pytest.raises(BadInput, match=words):
        read_proof(write(changed), product)


def test_answers_that_lack_or_differ_are_refused(
    told: dict[str, Any], product: Product, write: Callable[[dict[str, Any]], Path], tmp_path: Path
) -> None:
    lines = told["vectors"]
    text = lines[7].partition("\t")[0]
    with pytest.raises(BadInput, match=f"lacks the vector '{text}', and 49 of 50 are there"):
        read_proof(write({"vectors": lines[:7] + lines[8:]}), product)
    wrong = f"{lines[7][:-1]}{'0' if lines[7][-1] != '0' else '1'}"
    with pytest.raises(BadInput, match=f"another answer to the vector '{text}'"):
        read_proof(write({"vectors": [*lines[:7], wrong, *lines[8:]]}), product)
    with pytest.raises(BadInput, match="has 51 vectors, and there are 50"):
        read_proof(write({"vectors": [*lines, "more\t0"]}), product)
    for content in (b"", b"[1]", b'{"proof": NaN}'):
        (tmp_path / "no.json").write_bytes(content)
        with pytest.raises(BadInput, match="is not what a proof kit writes"):
            read_proof(tmp_path / "no.json", product)


def test_a_package_that_does_not_answer_so_says_so(kit: ProofKit, product: Product, tmp_path: Path) -> None:
    """A table of other answers stands for a runtime that answers otherwise; and a compiler that fails."""
    folder = tmp_path / "kit"
    shutil.copytree(kit.folder, folder)
    lines = product.vectors.decode().splitlines()
    fields = lines[3].split("\t")
    lines[3] = "\t".join([fields[0], "0" if fields[1] == "1" else "1", *fields[2:]])
    (folder / "vectors.tsv").write_text("".join(f"{line}\n" for line in lines))
    done = prove(folder, CFLAGS="-O0")
    assert done.returncode == 1
    assert "49 of 50 texts" in done.stdout
    done = prove(folder, CC="false")
    assert done.returncode != 0
    assert not (folder / RESULT).exists()
    done = prove(folder, CC="no-such-cc")
    assert (done.returncode, "no-such-cc is not here" in done.stderr) == (3, True)


def test_the_command(bundle: Path, edgexl: Edgexl, tmp_path: Path) -> None:
    asked = ("ship", bundle, "--proof", "android", "--proof", "apple", "-o", tmp_path)
    android, apple = edgexl(*asked, "--json").json["kits"]
    assert (android["kit"], android["commands"]) == ("android", ["sh prove.sh"])
    assert (Path(apple["path"]) / "prove.sh").is_file()
    said = edgexl(*asked).out
    assert "Run `sh prove.sh` in it there, bring back result.json" in " ".join(said.split())
    assert max(map(len, said.splitlines())) <= 80 or str(tmp_path) in said
    edgexl("ship", bundle, "--proof", "androd", "-o", tmp_path).refuses(2, "no proof kit for 'androd'", "android")
    edgexl(*asked, "--platform", "rust").refuses(2, "leave --platform")
    edgexl("ship", "--check", tmp_path, "--proof", "rust").refuses(2, "--proof and --accept out")
    assert {kit.platform for kit in KITS.values()} == set(PLATFORMS) - {"android-aar"}


# ---- the scripts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", KITS)
def test_nothing_is_left_to_fill_in(name: str, product: Product, tmp_path: Path) -> None:
    files = kit_files(product, name)
    for path, content in files.items():
        text = content.decode()
        assert not re.search(r"\{(title|name|version|file|module|Class|vectors|count|result|needs|steps)\}", text), path
        (tmp_path / path).write_text(text)
    if "prove.sh" in files:
        subprocess.run(["sh", "-n", "prove.sh"], cwd=tmp_path, check=True)
    if "prove.ps1" in files:
        text = files["prove.ps1"].decode()
        for one, other in ("{}", "()", "[]"):
            assert text.count(one) == text.count(other)
    assert ("prove.ps1" in files) == (name in ("windows", "java"))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in KITS if name != "windows"])
def test_shellcheck_finds_nothing(name: str, product: Product, tmp_path: Path, run: Run) -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")
    (tmp_path / "prove.sh").write_bytes(kit_files(product, name)["prove.sh"])
    assert run("shellcheck", "prove.sh") == ""


# Of each only what runs here: the others' machines take minutes to compile for.
PACKED: dict[str, Callable[[Product], dict[str, bytes]]] = {
    HERE: lambda product: ship_linux(product, HERE),
    "java": lambda product: ship_java(product, machines=(HERE,)),
    "python": lambda product: ship_python(product, machines=(HERE,)),
    "rust": ship_rust,
    "web": ship_web,
}
NEEDED = {HERE: "cc", "java": "javac", "python": "python3", "rust": "cargo", "web": "node"}


@pytest.mark.slow
@pytest.mark.parametrize("name", PACKED)
def test_a_kit_is_run_and_accepted(name: str, product: Product, tmp_path: Path) -> None:
    """As its owner would, who has what it takes."""
    pytest.importorskip("ziglang", reason="PyPI's ziglang is not installed (the extra `cross`)")
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        pytest.skip("not Linux on x86-64")
    if shutil.which(NEEDED[name]) is None:
        pytest.skip(f"{NEEDED[name]} is not installed")
    for path, content in (PACKED[name](product) | kit_files(product, name)).items():
        (tmp_path / path).write_bytes(content)
    done = prove(tmp_path, CFLAGS="-O0")
    assert done.returncode == 0, done.stdout + done.stderr
    proof = read_proof(tmp_path / RESULT, product)
    shipped = [Shipped(proof.platform, tmp_path / proof.package, 0)]
    assert assign_proofs([proof], shipped) == {tmp_path / proof.package: [proof]}

"""Wheels: what is in them, and one installed into a fresh environment, which answers there."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import venv
import zipfile
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgexl import __version__
from edgexl.runtime.binding import open_bundle
from edgexl.ship.product import Product
from edgexl.ship.wheel import ship_python
from tests.ship.conftest import Run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif((platform.system(), platform.machine()) != ("Linux", "x86_64"), reason="not Linux on x86-64"),
]
HERE = "linux-x86-64"
ALL = r"""
import json, struct, sys, threading, tiny_words as words
from pathlib import Path
b = words.bundle()
texts = b.golden_texts()
out = {"version": words.version(), "goldens": b.self_test()}
out["answers"] = [[(l.id, l.probability, l.logit) for l in a.labels] for a in words.predict_batch(texts, 3)]
out["threshold"] = len(words.predict(texts[0], threshold=0.999999).labels)
out["none_fits"] = words.predict(texts[0]).none_fits
out["rank"] = b.explain(texts[0], out["answers"][0][0][0]).reasoner_rank
out["complete"] = b.complete("old", 2)
data = words.BUNDLE.read_bytes()
for each in (words.Bundle(data=data), words.Bundle(words.BUNDLE, labels_path="changes", verify=True)):
    with each:
        assert [l.probability for l in each.predict(texts[0], 3).labels] == [x[1] for x in out["answers"][0]]
Path("asset").write_bytes(b"12345" + data)
with open("asset", "rb") as asset, words.Bundle(descriptor=asset.fileno(), offset=5) as part:
    assert part.self_test() == out["goldens"]
with words.Bundle(words.BUNDLE, labels_path="changes") as c:
    c.add_label("new-1", "zebra lantern", ["striped lamp"])
    assert c.predict("zebra lantern", 1).labels[0].id == "new-1"
    c.retire_label("new-1")
    out["states"] = [state for id, _, state in c.labels() if id == "new-1"]
    try:
        c.predict("")
    except words.EdgexlError as error:
        out["refused"] = str(error)
vectors = Path(words.__file__).with_name("vectors.tsv").read_text(encoding="utf-8").splitlines()
out["vectors"] = passed = 0
for text, none_fits, *cells in (line.split("\t") for line in vectors):
    a = words.predict(text, len(cells) // 2)
    got = [x for l in a.labels for x in (l.id, struct.pack(">f", l.probability).hex())]
    out["vectors"] += got == cells and a.none_fits == (none_fits == "1")
found = []
def ask(): found.append([l.id for l in words.predict(texts[0], 3).labels])
threads = [threading.Thread(target=ask) for _ in range(8)]
[t.start() for t in threads]; [t.join() for t in threads]
assert len(found) == 8 and all(one == found[0] for one in found)
json.dump(out, sys.stdout)
"""


@pytest.fixture(scope="module")
def arm_root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Debian's Python for 64-bit ARM, unpacked and not installed: nothing in it has run."""
    for needed in ("debootstrap", "qemu-aarch64", "dpkg-deb"):
        if shutil.which(needed) is None or os.geteuid() != 0:
            pytest.skip(f"{needed} is not installed, or this user is not root")
    place = tmp_path_factory.mktemp("root") / "arm64"
    more = ["--include=python3-minimal,libpython3-stdlib,libffi8", "bookworm", str(place)]
    command = ["debootstrap", "--foreign", "--arch=arm64", "--variant=minbase", *more]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"debootstrap cannot make a root here: {done.stdout[-200:]}")
    for package in sorted((place / "var/cache/apt/archives").glob("*.deb")):
        subprocess.run(["dpkg-deb", "-x", package, place], check=True)
    yield place
    shutil.rmtree(place, ignore_errors=True)


@pytest.fixture(scope="module")
def wheel(product: Product, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("ziglang", reason="PyPI's ziglang is not installed (the extra `cross`)")
    ((name, content),) = ship_python(product, machines=(HERE,)).items()
    assert name == "tiny_words-1.2.3-py3-none-manylinux_2_28_x86_64.whl"
    path = tmp_path_factory.mktemp("wheel") / name
    path.write_bytes(content)
    return path


def test_its_record_holds(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        rows = list(csv.reader(archive.read("tiny_words-1.2.3.dist-info/RECORD").decode().splitlines()))
        assert [row[0] for row in rows] == names
        for name, digest, size in rows[:-1]:
            content = archive.read(name)
            assert int(size) == len(content)
            assert digest == "sha256=" + urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")


def test_it_answers_in_a_fresh_environment(
    wheel: Path, bundle: Path, product: Product, tmp_path: Path, run: Run
) -> None:
    venv.create(tmp_path / "fresh", with_pip=False, symlinks=True)
    python = tmp_path / "fresh" / "bin" / "python"
    site = next((tmp_path / "fresh" / "lib").glob("python3*")) / "site-packages"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-index", "--no-deps", str(wheel)]
    subprocess.run(pip, check=True, capture_output=True)
    assert {path.name.partition("-")[0] for path in site.iterdir() if path.name != "__pycache__"} == {"tiny_words"}
    said = json.loads(run(python, "-I", "-c", ALL))
    with open_bundle(bundle) as opened:
        texts = opened.golden_texts()
        for text, answer in zip(texts, said["answers"], strict=True):
            expected = [[each.id, each.probability, each.logit] for each in opened.predict(text, 3).labels]
            assert answer == expected  # to the bit
        assert said["threshold"] == len(opened.predict(texts[0], threshold=0.999999).labels)
        assert said["none_fits"] == opened.predict(texts[0]).none_fits
        completed = [[opened.label_id(each), opened.label_text(each)] for each in opened.complete("old", 2)]
    assert said["complete"] == completed
    assert (said["version"], said["goldens"], said["rank"]) == (__version__, len(texts), 1)
    assert said["vectors"] == 50
    assert said["states"] == ["retired"]
    assert "no token" in said["refused"]
    first = f"import {product.module}; print({product.module}.predict({product.example!r}).labels[0].id)"
    assert run(python, "-I", "-c", first) == product.answer


def test_it_answers_on_arm_under_an_emulator(product: Product, arm_root: Path, tmp_path: Path, run: Run) -> None:
    """By Debian's Python for 64-bit ARM; the table of vectors to the bit."""
    ((name, content),) = ship_python(product, machines=("linux-arm64",)).items()
    (tmp_path / name).write_bytes(content)
    with zipfile.ZipFile(tmp_path / name) as archive:
        archive.extractall(tmp_path / "site")
    interpreter = next((arm_root / "usr" / "bin").glob("python3.*"))
    names = {"PYTHONPATH": tmp_path / "site", "PYTHONHOME": arm_root / "usr"}
    told = [word for key, value in names.items() for word in ("-E", f"{key}={value}")]
    said = json.loads(run("qemu-aarch64", "-cpu", "cortex-a72", "-L", arm_root, *told, interpreter, "-c", ALL))
    assert said["vectors"] == 50
    assert (said["goldens"], said["rank"], said["states"]) == (len(said["answers"]), 1, ["retired"])

"""The page of a comparison, as the command writes it."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest

from tests.command_line import Edgexl
from tests.report.look import look
from tests.runtime.tiny_bundle import WORDS, build


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """A bundle without its reasoner and one with it, and queries: labels' own texts with a word more."""
    folder = tmp_path_factory.mktemp("compare")
    reasoned, screened = build(native=True, labels=300), build(native=True, labels=300, reasons=False)
    draw = np.random.default_rng(0)
    asked = [(f"{text} {draw.choice(WORDS)}", f"L{place:04d}") for place, text in enumerate(reasoned.texts[:120])]
    with (folder / "queries.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("query", "label"), *asked])
    return screened.write(folder / "a.exl"), reasoned.write(folder / "b.exl"), folder / "queries.csv"


def test_what_differs_is_shown(
    files: tuple[Path, Path, Path], edgexl: Edgexl, chromium: str, axe: str, tmp_path: Path
) -> None:
    page = tmp_path / "differences.html"
    said = edgexl("compare", *files, "--timed", "20", "--fail-if-worse", "bytes:0", "--report", page, "--json")
    assert said.status == 1
    found = json.loads(said.out)
    text = look(chromium, axe, page.read_text(encoding="utf-8"), tmp_path)
    by = found["answers"]["metrics"]["P@1"]
    for words in (
        "a.exl and b.exl", f"{by['difference']:+.2f} points", f"{by['first']:.2f} to {by['second']:.2f}: better",
        f"for {sum(found['answers']['gained'].values())} of them", "Beyond the limit bytes:0: the file has",
        found["answers"]["gains"][0]["text"], found["answers"]["gains"][0]["right"], "reasoner weights",
        f"edgexl compare {files[0]}", *found["times"],
    ):  # fmt: skip
        assert words in text, words
    rows = dict(re.findall(r"^(\w[\w ]*)\t[\d,]+\t[\d,]+\t(-?[\d,]+)$", text, re.MULTILINE))
    for section, (first, second) in found["bytes"].items():
        assert int(rows[section.replace("_", " ")].replace(",", "")) == second - first
    hashes = re.findall(r"\b[0-9a-f]{64}\b", text)
    assert len(set(hashes)) == 2


def test_without_queries_it_says_so(files: tuple[Path, Path, Path], edgexl: Edgexl, tmp_path: Path) -> None:
    page = tmp_path / "differences.html"
    assert edgexl("compare", files[0], files[0], "--timed", "4", "--report", page).status == 0
    text = page.read_text(encoding="utf-8")
    assert "No queries whose labels are known were given" in text
    assert "They are the same file, byte for byte." in text
    assert "Examples" not in text

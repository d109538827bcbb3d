"""What descriptions of labels are worth: everyday descriptions of words, asked of a bundle whose labels are described
by WordNet's glosses.

    python benchmarks/descriptions.py WORDS.tsv [STUDENT] [--recipe R] [--form FORM] [--glosses training] [--json]

WORDS.tsv has a word and a description of it a line, with a tab between (a first line of just these two words is passed
over). The glosses are those of WordNet, or of its training split alone, but for those that the student holds out.
Three systems answer: the bundle, its screening alone, and the float student over the same rows; each figure is the rank
of the word: its median, and how often it is among the first 1, 10 and 100.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
from pathlib import Path

import numpy as np

import edgexl
from edgexl.base.arrays import Ints
from edgexl.compiler.pipeline import compile
from edgexl.compiler.recipe import load_recipe
from edgexl.data import open_data
from edgexl.data.layout import Split
from edgexl.predict.float_student import StudentPredictor
from edgexl.student.student import Student, load_student

DEPTH = 100


def main() -> None:
    """Compile, ask, and print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", type=Path, help="a word and its description a line, with a tab between")
    parser.add_argument("student", nargs="?", default="wordnet", help="a shipped student's name or a directory")
    parser.add_argument("--recipe", default="balanced")
    parser.add_argument("--form", choices=("joined", "rows", "none", "auto"), default="auto")
    parser.add_argument("--glosses", choices=("all", "training"), default="all")
    parser.add_argument("--out", type=Path, help="keep the bundle here")
    parser.add_argument("--without-float", action="store_true", help="leave the float student out")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    arguments = parser.parse_args()
    splits: tuple[Split, ...] = ("trn", "tst") if arguments.glosses == "all" else ("trn",)
    student = described(load_student(arguments.student), splits)
    place = {text.casefold(): label for label, text in enumerate(student.labels.texts)}
    lines = [line.split("\t", 1) for line in arguments.words.read_text().splitlines() if line != "word\tdescription"]
    asked = [(place[word.casefold()], text) for word, text in lines if word.casefold() in place]
    words, texts = [label for label, _ in asked], [text for _, text in asked]
    recipe = load_recipe(arguments.recipe)
    recipe = dataclasses.replace(recipe, index=dataclasses.replace(recipe.index, descriptions=arguments.form))
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.out or Path(folder) / "described.exl"
        made = compile(student, recipe, "host", path)
        with edgexl.open_bundle(path) as bundle:
            predictions = [bundle.predict(text, k=1) for text in texts]
            facts = bundle.manifest.get("descriptions")
    found = {
        "bundle": [answer.ranked for answer in predictions],
        "its screening": [answer.shortlist_labels.astype(np.int64) for answer in predictions],
    }
    if not arguments.without_float:
        screened, reasoned = StudentPredictor(student).rank_by_stage(texts, DEPTH)
        found |= {"float student": list(reasoned), "its screening ": list(screened)}
    report = {name: judge(ranked, words) for name, ranked in found.items()}
    if arguments.json:
        print(json.dumps({"words": len(words), "bytes": made.bytes, "descriptions": facts} | report, indent=1))
        return
    print(f"{len(words)} words, a bundle of {made.bytes:,} bytes, {facts}")
    for name, figures in report.items():
        print(f"{name:16}" + "".join(f"{figure:>10} {figures[figure]:<7g}" for figure in figures))


def described(student: Student, splits: tuple[Split, ...]) -> Student:
    """The student over its own labels, described by the glosses of these splits that it does not hold out."""
    dataset = open_data("wordnet")
    held_out = {query.text for query in (*student.calibration, *student.evaluation)}
    uids = dataset.labels.ids
    glosses: dict[str, list[str]] = {}
    for query in (query for split in splits for query in dataset.queries(split)):
        for target in query.targets if query.text not in held_out else ():
            glosses.setdefault(uids[target], []).append(query.text)
    labels = dataclasses.replace(
        student.labels, descriptions=tuple(tuple(glosses.get(uid, ())) for uid in student.labels.ids)
    )
    return student.with_labels(labels, student.calibration, student.evaluation)


def judge(ranked: list[Ints], words: list[int]) -> dict[str, float]:
    """Median rank (infinite where half of them are lost) and the shares found among the first ones."""
    ranks = np.array([[*np.flatnonzero(row == word), np.inf][0] + 1 for row, word in zip(ranked, words, strict=True)])
    shares = {f"acc@{k}": round(float((ranks <= k).mean()), 4) for k in (1, 10, 100)}
    return {"median": float(np.median(ranks)), **shares}


if __name__ == "__main__":
    main()

"""What reading long texts in windows finds, and what it costs: notes of a page over ICD-10-CM, by one bundle.

    python -m benchmarks.long_texts [--encoder all-MiniLM-L6-v2] [--pages 200] [--terms 3] [--bundle FILE] [--json]

A page is a clinic's note of 30 sentences that say nothing of a disease, in another order each, among which three
inclusion terms of ICD-10-CM stand ("Findings: ..."). The encoder's bundle over all 46,881 headings and codes answers
each page cut at what it takes, and in at most 8 and 64 windows, in turns: how many of the terms' codes are among the
first 10 and 100 labels, how many windows were read, and milliseconds a page, medians of one core.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.label_sets import build_icd, without_queries
from benchmarks.lexical import cpu
from edgexl.compiler.pipeline import compile
from edgexl.compiler.recipe import load_recipe
from edgexl.runtime.binding import BundleHandle, open_bundle
from edgexl.student.student import Student

SENTENCES = (
    "The appointment was booked by telephone last week.", "The room was quiet and the interview took half an hour.",
    "A relative came along and waited outside.", "The form was filled in at the desk before noon.",
    "Papers from the former practice were handed over.", "There was time for questions at the end.",
    "The next visit is planned in six weeks.", "Transport home was arranged by the front office.",
    "The insurance card was read without a problem.", "A copy of this letter goes to the family doctor.",
    "The letter was dictated and typed on the same day.", "All answers were given freely and in full.",
    "The working week has four days at present.", "Meals are taken three times a day at regular hours.",
    "A walk of twenty minutes is done each morning.", "The flat is on the second floor and has a lift.",
    "There is a small garden behind the house.", "The daughter lives in the same street.",
    "Reading and cards are named as pastimes.", "The telephone number has not changed.",
    "The signature was given after the text was read aloud.", "Opening hours were explained once more.",
    "The leaflet was handed out and talked through.", "Nothing else was asked for today.",
    "The car was left in the yard behind the building.", "A holiday at the sea is planned for the summer.",
    "The former job was in an office in the town.", "Shopping is done together with a neighbour.",
    "The file was checked and put back.", "The conversation was held in a friendly manner.",
)  # fmt: skip
LEADS = ("Findings: {}.", "Noted today: {}.", "Known for some years: {}.", "The referral names {}.")
WINDOWS = (1, 8, 64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="all-MiniLM-L6-v2")
    parser.add_argument("--recipe", default="labels")
    parser.add_argument("--pages", type=int, default=200)
    parser.add_argument("--terms", type=int, default=3)
    parser.add_argument("--bundle", type=Path, help="kept there, and taken from there where it is")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    labels, queries = build_icd()
    with tempfile.TemporaryDirectory() as scratch:
        path = options.bundle or Path(scratch) / "icd.exl"
        if not path.exists():
            student = Student.from_encoder(options.encoder, labels, evaluation=queries[:100])
            compile(student, without_queries(load_recipe(options.recipe)), "host", path)
        terms = [(query.text, query.targets[0]) for query in queries]
        with open_bundle(path) as bundle:
            report = measure(bundle, make_pages(terms, options.pages, options.terms))
    if options.json:
        print(json.dumps(report))
        return
    print(f"{options.pages} pages of {report['words']:.0f} words, {options.terms} terms, {len(labels):,} labels")
    print(f"the screener takes {report['max_tokens']} tokens; one core of {report['cpu']}")
    print(f"{'windows':>8}{'read':>6}{'R@10':>8}{'R@100':>8}{'ms':>9}")
    for windows, found in report["windows"].items():
        print(f"{windows:>8}{found['read']:6.0f}{found['R@10']:8.1f}{found['R@100']:8.1f}{found['ms']:9.2f}")


def make_pages(terms: list[tuple[str, int]], pages: int, count: int, seed: int = 0) -> list[tuple[str, set[int]]]:
    """Each page with the labels that it names, of which none stands twice."""
    rng = random.Random(seed)
    made = []
    for _ in range(pages):
        chosen = rng.sample(terms, count)
        lines = [*SENTENCES, *(rng.choice(LEADS).format(text) for text, _ in chosen)]
        rng.shuffle(lines)
        made.append((" ".join(lines), {label for _, label in chosen}))
    return made


def measure(bundle: BundleHandle, pages: list[tuple[str, set[int]]]) -> dict[str, Any]:
    """Recall of the pages' labels in percent, and the time, by number of windows."""
    found: dict[int, list[tuple[float, ...]]] = {windows: [] for windows in WINDOWS}
    for text, wanted in pages:
        for windows in WINDOWS:
            answer = bundle.predict(text, windows=windows)
            ranked = answer.ranked.tolist()
            shares = [len(wanted & set(ranked[:k])) / len(wanted) for k in (10, 100)]
            found[windows].append((*shares, answer.windows, answer.ms["total"]))
    shown = {}
    for windows, rows in found.items():
        shares = 100 * np.mean([row[:2] for row in rows], axis=0)
        read, ms = np.median([row[2:] for row in rows], axis=0)
        shown[windows] = {"R@10": round(shares[0], 2), "R@100": round(shares[1], 2), "read": read, "ms": round(ms, 3)}
    words = float(np.mean([len(text.split()) for text, _ in pages]))
    return {"words": words, "max_tokens": bundle.info.max_tokens, "cpu": cpu(), "windows": shown}


if __name__ == "__main__":
    main()

"""A label set of five languages, compiled with a multilingual encoder, and asked in each of them.

    python -m benchmarks.multilingual                      50,000 labels: bytes, P@1, R@100 by language
    python -m benchmarks.multilingual --labels 400 --each  2,000 labels, with whole and cut vocabularies of 8 and 4 bits

Labels are headwords of five thesauri (Debian's mythes-*: English by WordNet's licence; German, French, Spanish and
Russian under the LGPL), 10,000 a language, drawn by a seed. A held-out query is a synonym that is no label itself;
right is every label of its language whose entry lists it. Half of the queries calibrate, the others are asked, so that
no word piece is kept for the sake of what is asked.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from edgexl.base.archives import open_deb
from edgexl.base.fetch import Package, fetch
from edgexl.compiler import compile
from edgexl.compiler.recipe import Recipe, VocabularyRecipe, load_recipe
from edgexl.data import Query
from edgexl.data.label_set import LabelSet
from edgexl.runtime.binding import open_bundle
from edgexl.student.student import Student

ENCODER, QUERIES, SEED = "multilingual-e5-small", 500, 7
MOST_BYTES = 60_000_000


def _package(name: str, version: str, sha256: str) -> Package:
    return Package("apt", name, version, f"{name}_{version.replace(':', '%3a')}_all.deb", sha256)


# By language: the package, and the thesaurus in it.
THESAURI = {
    "en": (
        _package("mythes-en-us", "1:7.5.0-1", "99cea35e4f69c45636dfb60dcb881ea076fa360048948295e78cf2dfd4d7ac7b"),
        "th_en_US_v2.dat",
    ),
    "de": (
        _package("mythes-de", "20160424-4", "d6dd3e78cee27689f20e5e832b8a47ba674f421c925ab8eeb1d992dda09606b0"),
        "th_de_DE_v2.dat",
    ),
    "fr": (
        _package("mythes-fr", "1:7.5.0-1", "c9cdf4b669f05662e2ad474c72f78b2b7a6c3dc4d35d645ac08b334c50b1f94a"),
        "thes_fr.dat",
    ),
    "es": (
        _package("mythes-es", "1:7.5.0-1", "95b53b986c9e42fe7560a83d136b1bf1e3b4c855b0ecd727ddfd5948fb112e40"),
        "th_es_ES_v2.dat",
    ),
    "ru": (
        _package("mythes-ru", "1:7.5.0-1", "bc4b5910dfec133f9dc29598de66ef0b713087112cb2981207719c3d8ccb6638"),
        "th_ru_RU_v2.dat",
    ),
}


def read_thesaurus(language: str) -> dict[str, list[str]]:
    """Headwords with their synonyms."""
    package, name = THESAURI[language]
    with open_deb(fetch(package)) as archive:
        member = archive.extractfile(f"./usr/share/mythes/{name}")
        assert member is not None  # the archive is the one whose hash is known
        content = member.read()
    encoding = content.partition(b"\n")[0].strip().lstrip(b"\xef\xbb\xbf").decode()
    lines = content.decode(encoding, "replace").splitlines()[1:]
    found: dict[str, list[str]] = {}
    at = 0
    while at < len(lines):
        word, _, count = lines[at].rpartition("|")
        senses = int(count) if word and count.isdecimal() else 0
        synonyms = [each for line in lines[at + 1 : at + 1 + senses] for each in line.split("|")[1:]]
        # "hound (generic term)": what kind of a synonym it is stands behind it
        found[word] = list(dict.fromkeys(each.partition(" (")[0].strip() for each in synonyms)) if senses else []
        at += 1 + senses
    return {word: [each for each in synonyms if each and each != word] for word, synonyms in found.items() if synonyms}


def build(count: int, queries: int) -> tuple[LabelSet, dict[str, tuple[list[Query], list[Query]]]]:
    """`count` labels of each language, and its queries to calibrate on and to ask."""
    draw = np.random.default_rng(SEED)
    texts: list[str] = []
    asked: dict[str, tuple[list[Query], list[Query]]] = {}
    for language in THESAURI:
        entries = read_thesaurus(language)
        words = sorted(entries)
        chosen = sorted(words[place] for place in draw.permutation(len(words))[:count])
        first, known = len(texts), {word.lower() for word in chosen}
        texts += chosen
        targets: dict[str, list[int]] = {}
        for place, word in enumerate(chosen):
            for synonym in entries[word]:
                if synonym.lower() not in known:
                    targets.setdefault(synonym, []).append(first + place)
        synonyms = sorted(targets)
        drawn = [synonyms[place] for place in draw.permutation(len(synonyms))[: 2 * queries]]
        made = [Query(f"{language}{place}", text, tuple(targets[text])) for place, text in enumerate(drawn)]
        asked[language] = made[::2], made[1::2]
    ids = tuple(f"{place:05}" for place in range(len(texts)))
    return LabelSet(ids, tuple(texts), ((),) * len(texts)), asked


def recipe_of(keep: Literal["all", "labels"], embeddings: Literal["int8", "int4"]) -> Recipe:
    base = load_recipe("labels")
    languages = tuple(THESAURI) if keep == "labels" else ()
    return replace(
        base,
        screener=replace(base.screener, embeddings=embeddings),
        vocabulary=VocabularyRecipe(keep, languages),
        gates=replace(base.gates, p_at_1_kept=0.0, r_at_100_kept=0.0, reasoner_gain=-100.0),
    )


def ask(path: Path, asked: dict[str, tuple[list[Query], list[Query]]], count: int) -> dict[str, dict[str, float]]:
    """P@1 and R@100 in percent and the median ms of a query, by language."""
    found: dict[str, dict[str, float]] = {}
    with open_bundle(path) as bundle:
        for language, (_, queries) in asked.items():
            first, recall, ms = 0.0, 0.0, []
            for query in queries:
                answer = bundle.predict(query.text, k=min(100, count))
                ids = [int(label.id) for label in answer.labels]
                first += ids[0] in query.targets
                recall += len(set(ids) & set(query.targets)) / len(query.targets)
                ms.append(answer.ms["total"])
            found[language] = {
                "P@1": 100 * first / len(queries), "R@100": 100 * recall / len(queries), "ms": float(np.median(ms)),
                "queries": len(queries),
            }  # fmt: skip
    return found


def measure(student: Student, recipe: Recipe, asked: dict[str, tuple[list[Query], list[Query]]]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path, began = Path(folder) / "languages.exl", time.perf_counter()
        report = compile(student, recipe, "host", path)
        seconds = time.perf_counter() - began
        languages = ask(path, asked, len(student.labels))
    return {
        "vocabulary": report.facts.get("vocabulary"), "bytes": report.bytes, "seconds": seconds,
        "sections": report.sections, "languages": languages,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", type=int, default=10_000, help="of each language")
    parser.add_argument("--queries", type=int, default=QUERIES, help="asked in each language")
    parser.add_argument("--encoder", default=ENCODER)
    parser.add_argument("--each", action="store_true", help="also the whole vocabulary, and 8 bits")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    labels, asked = build(given.labels, given.queries)
    fitted = [query for fit, _ in asked.values() for query in fit]
    judged = [query for _, other in asked.values() for query in other]
    student = Student.from_encoder(given.encoder, labels, fitted, judged)
    kinds: list[tuple[Literal["all", "labels"], Literal["int8", "int4"]]] = [("labels", "int4")]
    if given.each:
        kinds += [("labels", "int8"), ("all", "int4"), ("all", "int8")]
    results = {}
    for keep, embeddings in kinds:
        found = measure(student, recipe_of(keep, embeddings), asked)
        results[f"{keep} {embeddings}"] = found
        if given.json:
            continue
        cut = found["vocabulary"] or {}
        print(f"{len(labels):,} labels, vocabulary {keep}, word table {embeddings}: {found['bytes'] / 1e6:.1f} MB")
        if cut:
            print(
                f"  {cut['pieces']:,} of {cut['of']:,} word pieces; {cut['tokens_lost']:,} of the queries' "
                f"{cut['held_out_tokens']:,} tokens lost, in {cut['texts_changed']:,} of {cut['held_out_texts']:,}"
            )
        for language, numbers in found["languages"].items():
            print(f"  {language}: P@1 {numbers['P@1']:5.1f}  R@100 {numbers['R@100']:5.1f}  {numbers['ms']:6.2f} ms")
    if given.json:
        print(json.dumps(results, indent=1))
    if given.labels == 10_000 and results["labels int4"]["bytes"] > MOST_BYTES:
        sys.exit(f"the bundle is larger than {MOST_BYTES:,} bytes")


if __name__ == "__main__":
    main()

"""What answers: a bundle of ours, and what people would use instead, all over the same rows.

A row is a label's own text, an alias, or "text: description"; a label is as good as its best row.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import edgexl
from benchmarks.distillation.rivals import FASTTEXT, PROGRAMS, prepare
from benchmarks.public.tasks import DEPTH, Task
from edgexl.base.arrays import Array, Ints
from edgexl.compiler.encoding.open_workers import open_workers
from edgexl.compiler.measure.yardstick import reference_pipeline
from edgexl.compiler.passes.encode import Encode
from edgexl.compiler.passes.export import Export
from edgexl.compiler.passes.quantize import Quantize
from edgexl.compiler.pipeline import begin
from edgexl.compiler.recipe import CalibrateRecipe, GateRecipe, load_recipe
from edgexl.student.student import Student
from edgexl.target import load_target

Ranked = list[Ints]
_BATCH = 64
# Okapi's usual ones
_K1, _B = 1.2, 0.75


def rows_of(task: Task) -> tuple[list[str], Ints]:
    """The texts of all rows, and the label of each."""
    texts, labels = [], []
    sets = task.labels
    for label, (text, aliases, descriptions) in enumerate(
        zip(sets.texts, sets.aliases, sets.descriptions, strict=True)
    ):
        own = [text, *aliases, *(f"{text}: {description}" for description in descriptions)]
        texts += own
        labels += [label] * len(own)
    return texts, np.array(labels)


def exact_string(task: Task) -> Ranked:
    """Labels that have the very text, in their order."""
    places: dict[str, list[int]] = {}
    texts, labels = rows_of(task)
    for text, label in zip(texts, labels.tolist(), strict=True):
        places.setdefault(_folded(text), []).append(label)
    return [np.array(list(dict.fromkeys(places.get(_folded(text), ()))), np.int64) for text in task.texts]


def tfidf(task: Task) -> Ranked:
    """Cosine of the weights of runs of 2 to 4 characters inside words."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts, labels = rows_of(task)
    vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True, dtype=np.float32)
    rows = vectorizer.fit_transform(texts)
    return _rank(vectorizer.transform(task.texts), rows.T.tocsr(), labels)


def bm25(task: Task) -> Ranked:
    """Okapi's over words."""
    from scipy import sparse
    from sklearn.feature_extraction.text import CountVectorizer

    texts, labels = rows_of(task)
    vectorizer = CountVectorizer(token_pattern=r"(?u)\b\w+\b", dtype=np.float32)
    counts = vectorizer.fit_transform(texts).tocoo()
    lengths = np.asarray(counts.sum(1)).ravel()
    found = np.bincount(counts.col, minlength=counts.shape[1])
    rare = np.log(1 + (len(texts) - found + 0.5) / (found + 0.5))
    norm = _K1 * (1 - _B + _B * lengths / lengths.mean())
    weights = rare[counts.col] * counts.data * (_K1 + 1) / (counts.data + norm[counts.row])
    rows = sparse.csr_matrix((weights.astype(np.float32), (counts.row, counts.col)), shape=counts.shape)
    return _rank(vectorizer.transform(task.texts), rows.T.tocsr(), labels)


def _rank(queries: Any, rows: Any, labels: Ints) -> Ranked:
    """Labels by their best row; `queries` [Q, terms] and `rows` [terms, rows] are sparse."""
    ranked: Ranked = []
    for begin_at in range(0, queries.shape[0], _BATCH):
        products = (queries[begin_at : begin_at + _BATCH] @ rows).tocsr()
        for at in range(products.shape[0]):
            span = slice(products.indptr[at], products.indptr[at + 1])
            ranked.append(_best_labels(labels[products.indices[span]], products.data[span]))
    return ranked


def _best_labels(labels: Ints, scores: Array) -> Ints:
    order = np.lexsort((labels, -scores))
    return np.array(list(dict.fromkeys(labels[order].tolist()))[:DEPTH], np.int64)


def exact_search(encoder: str, task: Task) -> Ranked:
    """Exact search over the float vectors of an encoder or of a student's screener, as a compile makes them."""
    student = Student.from_encoder(encoder, task.labels)
    recipe = replace(load_recipe(Path("balanced")), gates=GateRecipe(), calibrate=CalibrateRecipe("none"))
    target, workers = load_target(Path("host")), open_workers("local")
    artifact = Export().run(begin(student, recipe, target))
    artifact = Encode(recipe.index, Quantize(recipe, target), workers).run(artifact)
    pipeline = replace(reference_pipeline(artifact, artifact.vectors, artifact.rows), reasoner=None)
    return [answer.labels for answer in pipeline.answers(task.texts, workers.threads)]


@dataclass(frozen=True)
class Answers:
    """Of a bundle: both stages, and only the first."""

    whole: Ranked
    screening: Ranked
    file_bytes: int


def ask_bundle(path: Path, task: Task) -> Answers:
    """What a bundle that holds the task's labels, by their ids, answers."""
    place = {uid: label for label, uid in enumerate(task.labels.ids)}
    with edgexl.open_bundle(path) as bundle:
        of = np.array([place.get(bundle.label_id(number), -1) for number in range(bundle.info.labels)], np.int64)
        found = [bundle.predict(text, k=1) for text in task.texts]
    whole = [of[each.ranked] for each in found]
    return Answers(whole, [of[each.shortlist_labels.astype(np.int64)] for each in found], path.stat().st_size)


def fasttext(task: Task) -> Ranked:
    """fastText's supervised classifier, trained on the rows: each asks for its label. It runs in an environment of its
    own. Raises `benchmarks.distillation.rivals.Stopped` where that cannot be made."""
    python = prepare(FASTTEXT)
    texts, labels = rows_of(task)
    hyper = {"loss": "ns", "neg": 20, "dim": 128, "lr": 0.5, "epoch": 10, "bucket": 200_000}
    settings = {"source": None, "label_texts": False, "features": "words+chars", "threads": os.cpu_count() or 1}
    with tempfile.TemporaryDirectory() as folder:
        work, model = Path(folder) / "work", Path(folder) / "model"
        work.mkdir()
        _write(
            work / "trn.jsonl",
            ({"text": text, "labels": [label]} for text, label in zip(texts, labels.tolist(), strict=True)),
        )
        _write(
            work / "tst.jsonl",
            ({"text": text, "labels": list(gold)} for text, gold in zip(task.texts, task.gold, strict=True)),
        )
        _write(work / "lbl.jsonl", ({"text": text} for text in task.labels.texts))
        for command in ("train", "rank"):
            call = [str(python), str(PROGRAMS / "fasttext_supervised.py"), command, str(work), str(model)]
            subprocess.run([*call, json.dumps(settings | {"hyper": hyper})], check=True, stdout=sys.stderr)
        told = json.loads(model.with_name(model.name + ".rankings.json").read_text(encoding="utf-8"))
    return [np.array(row, np.int64) for row in told]


def _write(path: Path, records: Iterator[dict[str, Any]]) -> None:
    with open(path, "w", encoding="utf-8") as out:
        out.writelines(json.dumps(record) + "\n" for record in records)


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())


RIVALS: dict[str, tuple[str, Callable[[Task], Ranked]]] = {
    "exact": ("the very string", exact_string),
    "tfidf": ("TF-IDF, 2 to 4 characters", tfidf),
    "bm25": ("BM25, words", bm25),
    "fasttext": ("fastText, supervised on the rows", fasttext),
    "minilm": ("MiniLM-L6, exact search", lambda task: exact_search("all-MiniLM-L6-v2", task)),
}

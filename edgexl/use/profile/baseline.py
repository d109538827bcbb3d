"""What people would use instead, timed beside a bundle: sentence-transformers, faiss and a cross-encoder.

all-MiniLM-L6-v2 encodes the query, faiss's exact index finds as many labels as the bundle's shortlist holds among as
many as the bundle has rows, and a cross-encoder of MiniLM's size judges each of them with the query. Its times depend
on none of the numbers in there: the index is filled with random unit vectors, and the cross-encoder's head is not
trained. Its answers mean nothing and are not looked at.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgexl.base.arrays import Floats
from edgexl.base.errors import BadInput
from edgexl.runtime.binding import BundleHandle, open_bundle
from edgexl.use.compare_times import one_core

ENCODER = "all-MiniLM-L6-v2"
NAME = "sentence-transformers, faiss and a cross-encoder"
# Such a query takes 100 times a bundle's: fewer of them tell the median as well.
_MOST_TIMED = 40
_BLOCK = 65_536


def time_baseline(bundle: Path, texts: Sequence[str] | None, runs: int) -> dict[str, Any]:
    """Medians of both over the same texts, a text each in turn, on one core and one thread. Keys: name, p50_ms, p90_ms,
    stages, bundle_p50_ms, ratio (how many times as long it takes). Raises `BadInput` where a package is missing or the
    encoder cannot be had."""
    with open_bundle(bundle) as handle:
        asked = list(texts or handle.golden_texts())
        asked = (asked * (runs // len(asked) + 1))[: min(runs, _MOST_TIMED)]
        answer = _open_baseline(handle)
        ours, theirs = [], []
        with one_core():
            answer(asked[0])
            for text in asked:
                theirs.append(answer(text))
                handle.predict(text)  # the other has driven it out of the caches
                ours.append(handle.predict(text).ms["total"])
    total = [sum(each.values()) for each in theirs]
    p50, own = float(np.median(total)), float(np.median(ours))
    return {
        "name": NAME,
        "queries": len(asked),
        "p50_ms": p50,
        "p90_ms": float(np.quantile(total, 0.9)),
        "stages": {stage: float(np.median([each[stage] for each in theirs])) for stage in theirs[0]},
        "bundle_p50_ms": own,
        "ratio": p50 / own,
    }


def _open_baseline(handle: BundleHandle) -> Callable[[str], dict[str, float]]:
    """What answers a text and tells the ms of its stages."""
    try:
        import faiss
        import torch
        from sentence_transformers import CrossEncoder, SentenceTransformer
        from transformers.utils import logging
    except ModuleNotFoundError as error:
        raise BadInput(f"The baseline needs {error.name}; `pip install edgexl[compile]` brings it.") from None
    from edgexl.student.importer import locate_model

    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)
    directory = str(locate_model(ENCODER))
    encoder = SentenceTransformer(directory, device="cpu")
    before = logging.get_verbosity()
    logging.set_verbosity_error()  # that the head is new is meant so
    try:
        judge = CrossEncoder(directory, num_labels=1, device="cpu")
    finally:
        logging.set_verbosity(before)
    dims = len(encoder.encode(["a"], show_progress_bar=False)[0])
    index = faiss.IndexFlatIP(dims)
    random = np.random.default_rng(0)
    for begin in range(0, handle.info.rows, _BLOCK):
        rows = random.standard_normal((min(_BLOCK, handle.info.rows - begin), dims), np.float32)
        index.add(rows / np.linalg.norm(rows, axis=1, keepdims=True))

    def answer(text: str) -> dict[str, float]:
        began = time.perf_counter()
        vector: Floats = encoder.encode([text], show_progress_bar=False, normalize_embeddings=True)
        encoded = time.perf_counter()
        _, found = index.search(vector, handle.info.shortlist)
        searched = time.perf_counter()
        labels = [handle.label_text(int(row) % handle.info.labels) for row in found[0] if row >= 0]
        judge.predict([(text, label) for label in labels], show_progress_bar=False)
        judged = time.perf_counter()
        moments = {"encode": encoded - began, "search": searched - encoded, "judge": judged - searched}
        return {stage: 1e3 * seconds for stage, seconds in moments.items()}

    return answer

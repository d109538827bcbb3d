"""The simple searches that bundles are compared with, on goods of a shop: against their formulas, written out."""

from __future__ import annotations

import math
import re
import subprocess
import sys

import numpy as np
import pytest

from edgexl.predict.baselines import LabelTexts, bm25, rank_baselines, tf_idf

GOODS = {
    3: ("umbrella", "brolly", "a thing that keeps the rain off"),
    0: ("red wine glass",),
    7: ("dog biscuit", "treat for a dog"),
    4: ("glass cleaner 500 ml",),
    9: ("wine red, dry",),
}
TEXTS = LabelTexts.of(GOODS)


def test_texts_stand_label_by_label() -> None:
    assert TEXTS.labels.tolist() == [0, 3, 4, 7, 9]
    assert TEXTS.starts.tolist() == [0, 1, 4, 5, 7]
    assert TEXTS.texts[1:4] == list(GOODS[3])


def test_bm25_is_its_formula() -> None:
    words = [re.findall(r"\w+", text.lower()) for text in TEXTS.texts]
    mean = sum(map(len, words)) / len(words)
    query = "The dog, the red a"

    def score(text: list[str]) -> float:
        total = 0.0
        for word in re.findall(r"\w+", query.lower()):
            holders = sum(word in other for other in words)
            idf = math.log(1 + (len(words) - holders + 0.5) / (holders + 0.5))
            count = text.count(word)
            total += idf * count * 2.2 / (count + 1.2 * (0.25 + 0.75 * len(text) / mean))
        return total

    assert bm25(TEXTS.texts)([query])[0] == pytest.approx([score(text) for text in words], abs=1e-5)


def test_tf_idf_is_its_formula() -> None:
    def grams(text: str) -> list[str]:
        padded = [f" {word} " for word in text.lower().split()]
        return [word[at : at + n] for word in padded for n in (2, 3, 4) for at in range(len(word) - n + 1)]

    kinds = sorted({gram for text in TEXTS.texts for gram in grams(text)})
    holders = [sum(kind in grams(text) for text in TEXTS.texts) for kind in kinds]
    idf = np.log((1 + len(TEXTS.texts)) / (1 + np.array(holders))) + 1

    def vector(text: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        counts = np.array([grams(text).count(kind) for kind in kinds], float)
        weights = np.where(counts > 0, 1 + np.log(np.maximum(counts, 1)), 0) * idf
        return weights / np.linalg.norm(weights)

    wanted = [vector("gals cleener") @ vector(text) for text in TEXTS.texts]
    assert tf_idf(TEXTS.texts)(["gals cleener"])[0] == pytest.approx(wanted, abs=1e-5)


def test_a_label_is_as_good_as_its_best_text_and_ties_go_to_the_lower_one() -> None:
    found = rank_baselines(TEXTS, ["brolly", "biscuits for dogs", "wine red", "zzz", "keeps me dry in the rain"], 4)
    assert list(found) == ["tf-idf", "bm25", "minilm"]
    assert found["bm25"].tolist()[:4] == [[3, -1, -1, -1], [7, -1, -1, -1], [0, 9, -1, -1], [-1] * 4]
    assert found["tf-idf"][:3, 0].tolist() == [3, 7, 0]
    assert found["tf-idf"][3].tolist() == [-1] * 4
    assert found["minilm"][[0, 1, 4], 0].tolist() == [3, 7, 3]
    for ranked in found.values():
        assert ranked.shape == (5, 4)
    assert (rank_baselines(TEXTS, ["wine red"], 9)["minilm"] >= 0).sum() <= 5


def test_texts_without_a_word_are_found_by_no_word() -> None:
    assert bm25(["!", "?"])(["a word"]).tolist() == [[0, 0]]


def test_a_missing_package_is_named() -> None:
    code = "import sys; sys.modules['sklearn'] = None\n"
    code += "from edgexl.predict.baselines import *\nrank_baselines(LabelTexts.of({0: ['a']}), ['a'], 1)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "The baselines need scikit-learn; `pip install edgexl[compile]` brings it." in done.stderr

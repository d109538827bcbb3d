"""The lexical index: what it finds, that C scores as numpy does to the bit, and what is left out to save bytes."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import pytest

from edgexl.base.errors import BadInput
from edgexl.bundle.lexical import LEFT_OUT, Lexical
from edgexl.index import lexical as building
from edgexl.index.added_words import read_words
from edgexl.index.lexical import build_lexical, weigh_terms
from edgexl.index.lexical_scores import LexicalScores
from edgexl.runtime.lexical import LexicalIndex

SHOP = [
    *("Organic Whole Milk 1 l", "Skimmed Milk 1 l", "Vitamin B12 90 capsules", "Vitamin B12 60 capsules"),
    *("Crème brûlée dessert", "Olive oil, extra virgin", "東京 green tea", "京都 green tea", "Dishwasher tablets 90"),
]
SYLLABLES = [*["ba", "ke", "li", "mo", "nu", "ra", "se", "ti", "vo", "za", "chlo", "phen", "eth", "yl", "ol"]]


def texts_of(count: int, seed: int, common: tuple[str, ...] = ()) -> list[str]:
    """Rows of one to five words; the common ones stand in many."""
    draw = random.Random(seed)
    words = ["".join(draw.choices(SYLLABLES, k=draw.randrange(1, 5))) for _ in range(count // 2)] + ["7", "12", "2024"]
    rows = []
    for _ in range(count):
        row = draw.choices(words, k=draw.randrange(1, 6)) + [word for word in common if draw.random() < 0.6]
        rows.append(" ".join(row))
    return rows


def misspell(text: str, draw: random.Random) -> str:
    at = draw.randrange(len(text))
    return text[:at] + draw.choice(["", draw.choice("abcdef"), text[at] * 2]) + text[at + 1 :]


def assert_same(lexical: Lexical, texts: list[str], most: int = 30) -> None:
    """C and numpy give the same rows, scores and features, bit by bit."""
    index = LexicalIndex(lexical.pack(), lexical.rows, most)
    every = np.arange(lexical.rows, dtype=np.uint32)
    for text in texts:
        rows, scores = index.query(text)
        wanted = LexicalScores(lexical, text)
        assert rows.tolist() == wanted.ranked[:most].tolist(), text
        assert scores.tobytes() == wanted.scores[rows].tobytes(), text
        assert index.scores(every).tobytes() == wanted.scores.tobytes(), text
        assert index.features(0.25).tobytes() == wanted.features(0.25).tobytes(), text


def assert_same_added(
    lexical: Lexical, added: list[str], texts: list[str], dead: np.ndarray | None = None, most: int = 30
) -> None:
    """C and numpy give the same, with added rows behind those of the section, and some of that one's gone."""
    index, first = LexicalIndex(lexical.pack(), lexical.rows, most), lexical.rows + 3
    index.add(added, first)
    words = read_words(lexical, added)
    every = np.concatenate([np.arange(lexical.rows), first + np.arange(len(added))]).astype(np.uint32)
    for text in texts:
        rows, scores = index.query(text, dead)
        wanted = LexicalScores(lexical, text, words, dead)
        assert rows.tolist() == every[wanted.ranked[:most]].tolist(), text
        assert scores.tobytes() == wanted.scores[wanted.ranked[:most]].tobytes(), text
        assert index.scores(every).tobytes() == wanted.scores.tobytes(), text
        assert index.features(0.25).tobytes() == wanted.features(0.25).tobytes(), text
    assert index.scores(np.array([first - 1, first + len(added)], np.uint32)).tolist() == [0, 0]


def best(lexical: Lexical, text: str) -> int:
    return int(LexicalIndex(lexical.pack(), lexical.rows, 1).query(text)[0][0])


def test_it_finds_what_is_misspelled() -> None:
    lexical = build_lexical(SHOP)
    found = {"orgnic mlik": 0, "skimed milk": 1, "vitamin b12 60": 3, "b12 90": 2, "creme brulee": 4, "OLIV OILS": 5}
    assert {text: best(lexical, text) for text in found} == found
    assert best(lexical, "東京") == 6
    assert best(lexical, "京都市") == 7


def test_numbers_are_no_spellings_of_each_other() -> None:
    lexical = build_lexical(SHOP)
    assert LexicalScores(lexical, "9").ranked.tolist() == []
    assert sorted(LexicalScores(lexical, "90").ranked.tolist()) == [2, 8]


def test_the_very_same_text_scores_one() -> None:
    """Another row may score more: one whose word is as good as the same, and rarer."""
    texts = list(dict.fromkeys(" ".join(sorted(set(text.split()))) for text in texts_of(300, 2)))
    lexical = build_lexical(texts)
    for row, text in enumerate(texts):
        scores = LexicalScores(lexical, text).scores
        assert (scores > scores[row]).sum() < 3
        assert 0.97 < scores[row] < 1.03  # norms have 256 levels


def test_c_scores_as_numpy_does() -> None:
    texts = texts_of(400, 3)
    lexical, draw = build_lexical(texts), random.Random(4)
    queries = [misspell(text, draw) for text in texts[:120]]
    assert_same(lexical, [*queries, "", "-", "東", "x", " ".join(texts[:30]), "xyzzy " * 90, "a" * 300])
    assert_same(build_lexical(SHOP), [*SHOP, "milk 90 oil", "\udc80milk"], most=3)


def test_words_of_many_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are looked up in rows that others bring, and bring the shortest of their own."""
    monkeypatch.setattr(building, "_FEWEST_DENSE", 40)
    monkeypatch.setattr(building, "_BROUGHT", 5)
    words = "protein proteins acid human humane mouse methyl ethyl factor factory type types kinase kinases alpha beta"
    common = tuple(words.split())
    texts = [*texts_of(600, 5, common), "protein", "proteinic", "acids"]
    lexical, draw = build_lexical(texts), random.Random(6)
    assert lexical.dense >= len(common)
    queries = [misspell(text, draw) for text in texts[:40]]
    assert_same(lexical, [*queries, *common, "protein acid", "the human protein", " ".join(common), "proteim acidd"])
    assert best(lexical, "protein") == 600
    none = build_lexical(texts, dense_share=1.0)
    assert none.dense == 0
    assert_same(none, [*common, "the human protein"])


def test_rows_beyond_what_a_query_looks_at() -> None:
    """A word of more rows than that, none of them dense: the first ones count."""
    rows = 140_000
    words = [f"{1000 + i % 25}" for i in range(rows)]
    assert_same(build_lexical(words), [" ".join(f"{1000 + i}" for i in range(25))], most=5)


def test_what_is_left_out() -> None:
    texts = texts_of(400, 7, ("acid",))
    whole, draw = build_lexical(texts), random.Random(8)
    part = build_lexical(texts, most_term_share=0.02, most_feature_share=0.05)
    assert len(part.pack()) < len(whole.pack())
    lists = [part.feature_lists[a:b] for a, b in pairwise(part.feature_starts)]
    assert LEFT_OUT in lists
    assert_same(part, [misspell(text, draw) for text in texts[:80]])
    assert LexicalScores(part, "acid").scores.max() == 0
    sparse = build_lexical(texts, most_term_share=0, most_feature_share=0)
    assert_same(sparse, texts[:3])
    assert LexicalScores(sparse, texts[0]).ranked.tolist() == []


def test_features_of_most_words_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = texts_of(400, 10)
    assert build_lexical(texts).pack() == build_lexical(texts, most_feature_share=1).pack()
    monkeypatch.setattr(building, "_FEWEST_LEFT_OUT", 1)
    assert build_lexical(texts).pack() == build_lexical(texts, most_feature_share=0.03).pack()
    assert len(build_lexical(texts).pack()) < len(build_lexical(texts, most_feature_share=1).pack())


def test_a_budget_of_bytes() -> None:
    texts = texts_of(2000, 9, ("acid", "human"))
    whole = len(build_lexical(texts).pack()) / len(texts)
    for share in (0.95, 0.8, 0.7):
        assert 0.9 * share * whole < len(build_lexical(texts, bytes_a_row=whole * share).pack()) / len(texts)
        assert len(build_lexical(texts, bytes_a_row=whole * share).pack()) / len(texts) <= whole * share
    assert build_lexical(texts, bytes_a_row=whole).pack() == build_lexical(texts).pack()
    with pytest.raises(BadInput, match=r"takes about .* bytes a row at least, and 1 were asked for"):
        build_lexical(texts, bytes_a_row=1)


def test_no_word_at_all() -> None:
    for texts in ([], ["--", ""]):
        with pytest.raises(BadInput, match="no label's text has a letter or a digit"):
            build_lexical(texts)


def test_weights() -> None:
    """The integer logarithm is the logarithm, and the same for large sets."""
    for rows in (1, 5, 1000, 354_068, 2**31 - 1):
        counts = np.unique(np.geomspace(1, rows, 200).astype(np.int64))
        exact = np.maximum(np.log((rows + 1) / (counts + 0.5)), 0.05)
        assert np.abs(weigh_terms(rows, counts) / 256 - exact).max() < 1 / 128


def test_equal_texts_give_equal_bytes() -> None:
    assert build_lexical(SHOP).pack() == build_lexical(list(SHOP)).pack()


def test_added_rows_score_as_in_numpy() -> None:
    """With words of the section, of others, and of both; some rows of the section gone."""
    texts, added = texts_of(400, 3), texts_of(150, 17)
    lexical, draw = build_lexical(texts), random.Random(4)
    queries = [misspell(text, draw) for text in [*texts[:60], *added[:60]]] + ["", "7", "xyzzy " * 90]
    dead = np.random.default_rng(1).random(len(texts)) < 0.3
    assert_same_added(lexical, added, queries)
    assert_same_added(lexical, added, queries, dead, most=5)
    assert_same_added(lexical, ["", "--", "7 7 seven", "\udc80milk"], ["7", "seven", "seven 7", "milk"])
    assert_same_added(build_lexical(SHOP), ["東京 milk", "京都 B12 B12"], [*SHOP, "milk 90 oil", "東京"], most=3)


def test_added_rows_of_words_that_most_rows_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "_FEWEST_DENSE", 40)
    monkeypatch.setattr(building, "_BROUGHT", 5)
    common = ("protein", "proteins", "acid", "human", "humane", "mouse")
    lexical, added = build_lexical(texts_of(600, 5, common)), texts_of(90, 6, (*common, "proteine"))
    assert lexical.dense >= len(common)
    assert_same_added(lexical, added, [*added[:30], *common, "protein acid", "proteine human", " ".join(common)])


def test_added_rows_beside_a_section_with_little_in_it() -> None:
    """More terms of their own than the section has, of several rounds of counting; features left out; none at all."""
    added = [f"{SYLLABLES[i % 15]}{SYLLABLES[i // 15 % 15]}{SYLLABLES[i // 225 % 15]}x{i}" for i in range(4500)]
    assert len(read_words(build_lexical(["milk"]), added).sizes) > 4096
    assert_same_added(build_lexical(["milk"]), added, [*added[::500], "bakelix7", "milk"])
    texts = texts_of(400, 7, ("acid",))
    part = build_lexical(texts, most_term_share=0.02, most_feature_share=0.05)
    assert_same_added(part, texts[:50] + texts_of(50, 9), texts[:40])
    sparse = build_lexical(texts, most_term_share=0, most_feature_share=0)
    assert_same_added(sparse, texts[:9], texts[:9])


def test_an_added_row_is_worth_what_a_compiled_one_is() -> None:
    """Scores of added rows are those that the rows would have in the section, but for the norms' levels."""
    texts = texts_of(3000, 21)
    held = texts[2700:]
    whole, part = build_lexical(texts), build_lexical(texts[:2700])
    words, draw = read_words(part, held), random.Random(3)
    off = []
    for text in (misspell(one, draw) for one in held[:80]):
        compiled, added = LexicalScores(whole, text), LexicalScores(part, text, words)
        off.append(np.abs(added.scores[2700:] - compiled.scores[2700:]))
    assert np.mean(np.stack(off) < 0.01) > 0.999  # others: of a word's least alike terms, equals are in another order

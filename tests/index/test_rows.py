"""Which aliases and descriptions become rows, and what their vectors are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgexl.data.label_set import LabelSet
from edgexl.index.rows import Descriptions, Rows
from edgexl.student.text import encode_texts, label_tokens
from tests.tiny import WORDS, tiny_tokenizer

LABELS = LabelSet(
    ("a", "b", "c"),
    ("ba be", "bi bo bu", "bar"),
    (("BA  be", "fa", "fe"), ("fa", "ba be"), ()),
)


def test_rows_are_texts_then_new_aliases() -> None:
    tokenizer = tiny_tokenizer()
    rows = Rows.of(LABELS, tokenizer, 16, aliases=True)
    # "BA  be" has the tokens of its own label's text; "fa" is one row of both its labels; "ba be" is new to b
    assert rows.labels == 3
    assert rows.alias_labels.tolist() == [[0, 1], [0], [1]]
    assert rows.tokens.lengths.tolist() == [4, 5, 3, 3, 3, 4]
    assert len(Rows.of(LABELS, tokenizer, 16, aliases=False).alias_labels) == 0
    np.testing.assert_array_equal(rows.label_pieces(2), label_tokens(tokenizer, LABELS.texts, 2))


ALIASES = st.lists(st.sampled_from(["ba", "BA", "be", "ba be", "fa fe fi", "ba  be bi", "fa fe fo"]), max_size=5)


@given(st.lists(ALIASES, min_size=1, max_size=8), st.sampled_from([4, 16]))
@settings(max_examples=100, deadline=None)
def test_rows_are_those_of_the_definition(aliases: list[list[str]], max_tokens: int) -> None:
    """Label by label, alias by alias, as the docstrings say; cut texts that become the same are one row."""
    tokenizer = tiny_tokenizer()
    texts = WORDS[: len(aliases)]
    labels = LabelSet(tuple(map(str, range(len(aliases)))), texts, tuple(map(tuple, aliases)))
    own = encode_texts(tokenizer, texts, max_tokens)
    found: dict[tuple[int, ...], set[int]] = {}
    for label, more in enumerate(aliases):
        for ids in encode_texts(tokenizer, more, max_tokens):
            if ids != own[label]:
                found.setdefault(tuple(ids), set()).add(label)
    rows = Rows.of(labels, tokenizer, max_tokens, aliases=True)
    assert rows.tokens.tolist() == [*own, *map(list, found)]
    assert rows.alias_labels.tolist() == [sorted(of) for of in found.values()]


def test_an_alias_as_good_as_its_labels_own_text_is_left_out() -> None:
    rows = Rows.of(LABELS, tiny_tokenizer(), 16, aliases=True)
    vectors = np.eye(6, dtype=np.float32)
    vectors[4] = vectors[0]  # says what label 0 says itself
    vectors[3] = vectors[0]  # the same, but label 1 does not say it
    repetitions = rows.repetitions(vectors, 0.99)
    assert repetitions.near_text.tolist() == [False, True, False]
    kept, places = rows.without(repetitions.either)
    assert kept.alias_labels.tolist() == [[0, 1], [1]]
    assert kept.tokens.tolist() == rows.tokens.tolist()[:4] + rows.tokens.tolist()[5:]
    assert places.tolist() == [0, 1, 2, 3, 5]


def test_of_aliases_that_say_the_same_of_the_same_labels_the_first_stays() -> None:
    """Greedily: nearness to an alias that goes itself is no reason to go. Hundreds of aliases, so blocks are met."""
    draw = np.random.default_rng(4)
    words = [f"{a} {b}" for a in WORDS for b in WORDS][:1400]
    labels = LabelSet(("x", "y"), ("ba be bi", "bo bu"), (tuple(words[:900]), tuple(words[700:])))
    rows = Rows.of(labels, tiny_tokenizer(), 16, aliases=True)
    angle = draw.uniform(0, 2 * np.pi, len(rows))
    vectors = np.stack([np.cos(angle), np.sin(angle)], 1).astype(np.float32)
    vectors[0] = vectors[1] = 0
    kept: dict[tuple[int, ...], list[int]] = {}
    wanted = []
    for alias, of in enumerate(map(tuple, rows.alias_labels.tolist())):
        near = [vectors[2 + other] @ vectors[2 + alias] >= 0.98 for other in kept.setdefault(of, [])]
        wanted.append(any(near))
        if not wanted[-1]:
            kept[of].append(alias)
    assert rows.repetitions(vectors, 0.98).either.tolist() == wanted
    assert sorted(kept) == [(0,), (0, 1), (1,)]
    assert 10 < sum(map(len, kept.values())) < 200


def test_two_aliases_are_enough_to_repeat_and_near_is_the_cosine_itself() -> None:
    labels = LabelSet(("x", "y"), ("ba", "be"), (("fa", "fe"), ()))
    rows = Rows.of(labels, tiny_tokenizer(), 16, aliases=True)
    vectors = np.array([[1, 0], [0, 1], [0.5, 0.25], [1, 0.5]], np.float32)  # of x, y, fa and fe
    for cosine, near_text, near_alias in (
        (0.5, [True, True], [False, False]),  # what goes for its text is no alias any more
        (0.51, [False, True], [False, False]),
        (1.01, [False, False], [False, False]),
    ):
        found = rows.repetitions(vectors, cosine)
        assert (found.near_text.tolist(), found.near_alias.tolist()) == (near_text, near_alias)
    vectors[2:] = [[0, 0.5], [0, 1]]
    for cosine, near_alias in ((0.5, [False, True]), (0.51, [False, False])):
        found = rows.repetitions(vectors, cosine)
        assert (found.near_text.tolist(), found.near_alias.tolist()) == ([False, False], near_alias)


DESCRIBED = LabelSet(
    ("a", "b", "c"),
    ("ba be", "bi bo bu", "bar"),
    (("fa",), (), ()),
    (("ba be", "fe fi", "fo"), ("fe  FI", "fe fi"), ("ga ge gi go. gu la le",)),
)


def test_descriptions_are_the_last_rows_one_for_each_label_of_a_text() -> None:
    rows = Rows.of(DESCRIBED, tiny_tokenizer(), 7, aliases=True, descriptions="joined")
    # a's own text describes it no better; "fe fi" is the same to both; c's is cut at its sentence's end
    assert (rows.labels, rows.descriptions, len(rows)) == (3, 5, 9)
    assert rows.alias_labels.tolist() == [[0], [0], [0], [1], [2], [2]]
    assert rows.tokens.take(rows.texts_of[4:]).lengths.tolist() == [4, 3, 4, 7, 5]
    assert len(rows.tokens) == 8
    plain = Rows.of(DESCRIBED, tiny_tokenizer(), 7, aliases=True, descriptions="rows")
    assert plain.tokens.tolist() == rows.tokens.tolist()
    assert plain.alias_labels.tolist() == [[0], [0, 1], [0], [2], [2]]
    assert (plain.descriptions, plain.joined) == (4, False)
    none = Rows.of(DESCRIBED, tiny_tokenizer(), 7, aliases=True)
    assert (len(none), none.descriptions) == (4, 0)
    assert not Rows.of(DESCRIBED, tiny_tokenizer(), 7, aliases=False, descriptions="joined").aliases.size


def test_rows_come_out_of_the_cache_as_they_were() -> None:
    made = [Rows.of(DESCRIBED, tiny_tokenizer(), 9, aliases=True, descriptions="joined") for _ in range(2)]
    for name in ("tokens", "alias_labels"):
        assert getattr(made[0], name).tolist() == getattr(made[1], name).tolist()
    assert made[0].texts_of.tolist() == made[1].texts_of.tolist()
    assert (made[0].descriptions, made[0].joined) == (made[1].descriptions, made[1].joined)


def test_a_descriptions_vector_is_joined_with_that_of_its_label() -> None:
    rows = Rows.of(DESCRIBED, tiny_tokenizer(), 7, aliases=True, descriptions="joined")
    encoded = np.random.default_rng(0).standard_normal((len(rows.tokens), 5)).astype(np.float32)
    encoded /= np.linalg.norm(encoded, axis=1, keepdims=True)
    vectors = rows.vectors(encoded)
    np.testing.assert_array_equal(vectors[:4], encoded[:4])
    for row, label in zip(range(4, 9), (0, 0, 1, 2, 2), strict=True):
        both = encoded[label] + encoded[rows.texts_of[row]]
        np.testing.assert_allclose(vectors[row], both / np.linalg.norm(both), atol=1e-6)
    plain = Rows.of(DESCRIBED, tiny_tokenizer(), 7, aliases=True, descriptions="rows")
    assert plain.vectors(encoded) is encoded


def test_a_description_that_adds_nothing_is_left_out_with_its_text() -> None:
    rows = Rows.of(DESCRIBED, tiny_tokenizer(), 7, aliases=True, descriptions="joined")
    vectors = np.eye(9, dtype=np.float32)
    vectors[4] = vectors[0]  # "fe fi" says what a says, and something new of b
    vectors[8] = vectors[7]  # c's second passage repeats its first
    repetitions = rows.repetitions(vectors, 0.99)
    kept, places = rows.without(repetitions.either)
    assert (repetitions.near_text.tolist(), repetitions.near_alias.tolist()) == (
        [False, True, False, False, False, False],
        [False, False, False, False, False, True],
    )
    assert (kept.descriptions, len(kept), kept.aliases.tolist()) == (3, 7, rows.aliases.tolist())
    assert places.tolist() == [0, 1, 2, 3, 5, 6, 7]
    assert kept.tokens.take(kept.texts_of).tolist() == rows.tokens.take(rows.texts_of[places]).tolist()
    assert len(kept.tokens) == 7


@pytest.mark.parametrize("form", ["joined", "rows"])
def test_each_row_has_its_text_also_where_others_are_left_out(form: Descriptions) -> None:
    tokenizer = tiny_tokenizer()
    rows = Rows.of(DESCRIBED, tokenizer, 7, aliases=True, descriptions=form)
    repeated = np.zeros(len(rows.alias_labels), np.bool_)
    repeated[[0, -2]] = True
    for some in (rows, rows.without(repeated)[0]):
        texts = some.row_texts(DESCRIBED, tokenizer, 7)
        assert len(texts) == len(some)
        assert encode_texts(tokenizer, texts, 7) == some.tokens.take(some.texts_of).tolist()
        assert encode_texts(tokenizer, some.texts(DESCRIBED, tokenizer, 7), 7) == some.tokens.tolist()

"""Which aliases become rows."""

from __future__ import annotations

import numpy as np

from edgexl.compiler.rows import Rows
from edgexl.student.labels import LabelSet
from edgexl.student.text import label_tokens
from tests.tiny import tiny_tokenizer

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
    assert rows.alias_labels == ((0, 1), (0,), (1,))
    assert [len(ids) for ids in rows.tokens] == [4, 5, 3, 3, 3, 4]
    assert Rows.of(LABELS, tokenizer, 16, aliases=False).alias_labels == ()
    np.testing.assert_array_equal(rows.label_pieces(2), label_tokens(tokenizer, LABELS.texts, 2))


def test_an_alias_as_good_as_its_labels_own_text_is_left_out() -> None:
    rows = Rows.of(LABELS, tiny_tokenizer(), 16, aliases=True)
    vectors = np.eye(6, dtype=np.float32)
    vectors[4] = vectors[0]  # says what label 0 says itself
    vectors[3] = vectors[0]  # the same, but label 1 does not say it
    kept, left = rows.without_repetition(vectors)
    assert kept.alias_labels == ((0, 1), (1,))
    assert kept.tokens == rows.tokens[:4] + rows.tokens[5:]
    np.testing.assert_array_equal(left, vectors[[0, 1, 2, 3, 5]])

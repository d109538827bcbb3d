"""Where long descriptions are cut."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from edgexl.index.passages import cut_passages
from tests.tiny import tiny_tokenizer

TOKENIZER = tiny_tokenizer()


def tokens(text: str) -> int:
    return len(TOKENIZER.encode(text, add_special_tokens=False).ids)


def test_a_short_description_is_one_passage_as_it_is() -> None:
    assert cut_passages(TOKENIZER, [" ba  be ", ""], 4) == [[" ba  be "], [""]]


def test_passages_end_with_sentences_else_with_words() -> None:
    text = "ba be bi. bo bu fa fe. fi fo fu ga ge gi go gu la le"
    assert cut_passages(TOKENIZER, [text], 6) == [["ba be bi.", "bo bu fa fe.", "fi fo fu ga ge gi", "go gu la le"]]
    assert cut_passages(TOKENIZER, ["ba be\nbi bo bu fa"], 4) == [["ba be", "bi bo bu fa"]]


@given(st.text(st.sampled_from("abefiou.!  \n\u00e9"), max_size=80), st.integers(1, 7))
@settings(max_examples=200, deadline=None)
def test_passages_hold_the_whole_text_in_order(text: str, most: int) -> None:
    passages = cut_passages(TOKENIZER, [text], most)[0]
    assert "".join("".join(passages).split()) == "".join(text.split())
    if tokens(text) > most:
        assert len(passages) > 1
        assert all(passages)

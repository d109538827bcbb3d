"""Questions and answers: what a prompt shows, and what is found in what models write."""

from __future__ import annotations

import pytest

from edgexl.data.label_set import LabelSet
from edgexl.distill.teachers.prompt import Questionnaire

TEXTS = ("Polish", "polish", "final", "ice  cream", "C++ (language)", "well-known", "3-D film")
LABELS = LabelSet(tuple("abcdefg"), TEXTS, ((), ("to shine",), (), (), (), (), ()))


@pytest.mark.parametrize(
    ("content", "shortlist", "labels", "unmatched"),
    [
        ("- polish\n- Polish\n- POLISH\n\nFinal:\n- Polish", "ba", "a", ()),
        ("1. well-known\n2) Ice Cream.\n\n**Final labels:**\n* `well-known`", "fd", "f", ()),
        ("I think of well-known things.\nwell-known\n- nonsense\nFinal answer: ice cream", "fd", "d", ("nonsense",)),
        ("- final\n- to shine\n## Final\n- final", "cb", "c", ()),
        ("Final: ice cream, 3-d film, moon", "dg", "dg", ("moon",)),
        ("- well-known: it is\n- 3-D film - why not\n- C++ (language)\n- polish (the verb)\nFinal:", "fgeb", "", ()),
        ("- polish\nFinal: to be decided\nhm\n- ice cream\nFinal:\n- ice cream", "bd", "d", ()),
        ("nothing fits", "", "", ()),
        ("", "", "", ()),
    ],
)
def test_labels_are_found_in_answers(content: str, shortlist: str, labels: str, unmatched: tuple[str, ...]) -> None:
    answer = Questionnaire(LABELS).read(content)
    assert "".join(LABELS.ids[number] for number in answer.shortlist) == shortlist
    assert "".join(LABELS.ids[number] for number in answer.labels) == labels
    assert answer.unmatched == unmatched


def test_reasoning_that_comes_apart_comes_first() -> None:
    answer = Questionnaire(LABELS).read("Final:\n- polish", "Let me see.\n- 3-D film\nFinal: no, wait")
    assert (answer.shortlist, answer.labels) == ((6, 1), (1,))


def test_a_prompt_shows_what_it_is_given_and_samples_large_sets() -> None:
    def last(questionnaire: Questionnaire, candidates: list[int] | None = None) -> str:
        return questionnaire.messages("a thing", candidates)[-1]["content"]

    assert last(Questionnaire(LABELS)) == "Labels:\n" + "".join(f"- {text}\n" for text in TEXTS) + "\nText: a thing"
    assert last(Questionnaire(LABELS), [6, 0]) == "Labels:\n- 3-D film\n- Polish\n\nText: a thing"
    many = LabelSet(tuple(map(str, range(1000))), tuple(f"label {i}" for i in range(1000)))
    shown = last(Questionnaire(many))
    assert "1,000 labels" in shown
    assert shown.count("\n- label") == 20
    assert "up to 7 labels" in Questionnaire(LABELS, shortlist=7).messages("x")[0]["content"]


def test_only_an_answer_that_lists_and_does_not_settle_is_asked_again() -> None:
    questionnaire = Questionnaire(LABELS)
    asked = questionnaire.messages("a thing")
    again = questionnaire.messages_to_settle(asked, "- Ice cream\n- dust\n- polish", None)
    assert again is not None
    assert again[:-2] == asked
    assert again[-2] == {"role": "assistant", "content": "- ice  cream\n- polish"}
    assert "Final:" in again[-1]["content"]
    assert questionnaire.messages_to_settle(asked, "- polish\nFinal:\n- polish", None) is None
    assert questionnaire.messages_to_settle(asked, "no idea", None) is None

"""The label set: what it refuses, what it keeps, and the hash that binds calibration to it."""

from __future__ import annotations

import gzip
import subprocess
import sys

import pytest

from edgexl.base.errors import BadInput
from edgexl.data.label_set import LabelSet

LABELS = LabelSet(("d1", "d2"), ("ice cream", "Zürich"), (("gelato", "ice-cream"), ()))


def test_load_gives_what_save_was_given(tmp_path):
    LABELS.save(tmp_path / "labels.json.gz")
    assert LabelSet.load(tmp_path / "labels.json.gz") == LABELS
    assert len(LABELS) == 2


def test_aliases_may_be_left_out():
    assert LabelSet(("a", "b"), ("x", "y")).aliases == ((), ())


def test_the_hash_is_over_everything_and_over_the_order():
    same = LabelSet(LABELS.ids, LABELS.texts, LABELS.aliases)
    others = [
        LabelSet(("d1", "d3"), LABELS.texts, LABELS.aliases),
        LabelSet(LABELS.ids, ("ice cream", "Zurich"), LABELS.aliases),
        LabelSet(LABELS.ids, LABELS.texts),
        LabelSet(LABELS.ids[::-1], LABELS.texts[::-1], LABELS.aliases[::-1]),
    ]
    assert same.sha256() == LABELS.sha256()
    assert len({LABELS.sha256(), *(other.sha256() for other in others)}) == 5


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (((), ()), "empty; a student needs"),
        ((("a",), ("x", "y")), "1 ids, 2 texts"),
        ((("a", "a"), ("x", "y")), "Labels 0 and 1 share the id 'a'"),
        ((("a", ""), ("x", "y")), "Label 1 .* empty id"),
        ((("a", "b"), ("x", " ")), "Label 1 .* empty text"),
        ((("a", "b"), ("x", "y"), ((), ("",))), "Label 1 .* empty alias"),
        ((("a", "b"), ("x", "y\ud800")), "Label 1 .* surrogate"),
    ],
)
def test_wrong_label_sets_are_refused(arguments, complaint):
    with pytest.raises(BadInput, match=complaint):
        LabelSet(*arguments)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (b'{"uid":"b"}', "line 2: a label needs the strings 'uid' and 'title'"),
        (b'{"uid":3,"title":"x"}', "line 2: a label needs"),
        (b'{"uid":"b","title":"x","aliases":"y"}', "line 2: 'aliases' must be a list"),
        (b'{"uid":"a","title":"x"}', "share the id 'a'"),
    ],
)
def test_wrong_label_files_are_refused_by_name(tmp_path, line, complaint):
    path = tmp_path / "lbl.json.gz"
    path.write_bytes(gzip.compress(b'{"uid":"a","title":"first"}\n' + line))
    with pytest.raises(BadInput, match=complaint) as caught:
        LabelSet.load(path)
    assert "lbl.json.gz" in str(caught.value)


LONGEST = "é" * 32_767 + "e"  # 65,535 bytes of UTF-8


@pytest.mark.parametrize("what", ["id", "text", "alias"])
@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("x" * 70_000, "has 70,000 bytes of UTF-8, and at most 65,535 fit"),
        (LONGEST + "e", "has 65,536 bytes of UTF-8"),
        ("a\0b", "holds a NUL character"),
        ("a\ud800b", "surrogate"),
        ("", "empty"),
        (None, "no string"),
        (b"abc", "no string"),
        (5, "no string"),
    ],
)
def test_ids_texts_and_aliases_have_the_same_limits(what, value, complaint):
    def make(value):
        labels = {"id": ("a", "b"), "text": ("x", "y"), "alias": ("z", "w")}
        ids, texts, aliases = (
            (good[0], value if what == name else good[1]) for name, good in labels.items()
        )  # fmt: skip
        return LabelSet(ids, texts, ((aliases[0],), (aliases[1],)))

    with pytest.raises(BadInput, match=complaint) as caught:
        make(value)
    assert what in str(caught.value)
    assert "Label 1" in str(caught.value)
    assert "'b'" in str(caught.value) or what == "id"
    assert len(str(caught.value)) < 300
    assert len(make(LONGEST)) == 2


def test_too_many_aliases_are_refused_by_the_labels_id():
    assert len(LabelSet(("a",), ("x",), (("y",) * 65_535,)).aliases[0]) == 65_535
    with pytest.raises(BadInput, match=r"Label 0 \(id 'a'\) has 65,536 aliases"):
        LabelSet(("a",), ("x",), (("y",) * 65_536,))


def test_lists_make_a_label_set_and_one_string_does_not():
    assert LabelSet(["d1", "d2"], ["ice cream", "Zürich"], [["gelato", "ice-cream"], []]) == LABELS
    for arguments in (("ab", ("x", "y")), (("a", "b"), "xy"), (("a", "b"), ("x", "y"), ("vw", "z")), (None, ())):
        with pytest.raises(BadInput, match="give a list or tuple of strings"):
            LabelSet(*arguments)


DESCRIBED = LabelSet(
    ("d1", "d2"), ("ice cream", "Zürich"), (("gelato",), ()), (("a frozen sweet food", "sold in cones"), ())
)


def test_descriptions_come_back_and_count_in_the_hash(tmp_path):
    DESCRIBED.save(tmp_path / "labels.json.gz")
    assert LabelSet.load(tmp_path / "labels.json.gz") == DESCRIBED
    bare = LabelSet(DESCRIBED.ids, DESCRIBED.texts, DESCRIBED.aliases)
    assert bare.descriptions == ((), ())
    turned = LabelSet(*(getattr(DESCRIBED, name) for name in ("ids", "texts", "aliases")), DESCRIBED.descriptions[::-1])
    assert len({bare.sha256(), DESCRIBED.sha256(), turned.sha256()}) == 3
    # what was hashed before there were descriptions is what it was
    assert LABELS.sha256() == "df322054f028ea9153c5939a07f8609259e0182f0c2dbb4d645840a2988267e2"


def test_a_labels_content_is_its_first_description(tmp_path):
    path = tmp_path / "lbl.json.gz"
    lines = (
        b'{"uid":"a","title":"x","content":"of a","descriptions":["more of a"]}\n{"uid":"b","title":"y","content":""}\n'
        b'{"uid":"c","title":"z","content":null}\n{"uid":"d","title":"w","descriptions":["of d"]}\n'
    )
    path.write_bytes(gzip.compress(lines))
    assert LabelSet.load(path).descriptions == (("of a", "more of a"), (), (), ("of d",))


@pytest.mark.parametrize(
    ("descriptions", "complaint"),
    [
        ((("fine",), ("",)), r"Label 1 \(id 'b'\) has an empty description; remove it"),
        ((("fine",), (" \n",)), "empty description"),
        ((("fine",), ("a\0b",)), "Label 1 .* holds a NUL"),
        ((("fine",), ("a\ud800",)), "Label 1 .* surrogate"),
        ((("fine",), (5,)), "Label 1 .* no string"),
        ((("fine",), ("é" * 500_000 + "e",)), "has 1,000,001 bytes, and at most 1,000,000 fit; give its passages"),
        ((("fine",), ("x",) * 65_536), "Label 1 .* has 65,536 descriptions"),
        ((("fine",),), "1 of descriptions"),
        (("one", "two"), "give a list or tuple of strings"),
    ],
)
def test_wrong_descriptions_are_refused(descriptions, complaint):
    with pytest.raises(BadInput, match=complaint) as caught:
        LabelSet(("a", "b"), ("x", "y"), (), descriptions)
    assert len(str(caught.value)) < 300


def test_the_longest_description_is_taken():
    assert len(LabelSet(("a",), ("x",), (), (("é" * 500_000,),))) == 1


def test_a_description_of_very_many_labels_is_refused_by_name():
    def described(count: int) -> LabelSet:
        ids = tuple(map(str, range(1200)))
        return LabelSet(ids, ids, (), (("no description", "no description"),) * count + (("one",),) * (1200 - count))

    assert len(described(1000)) == 1200
    with pytest.raises(BadInput, match="'no description' stands at 1,001 labels, so it tells none of them from"):
        described(1001)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (b'{"uid":"b","title":"x","content":5}', "line 2: a label's 'content' must be a string"),
        (b'{"uid":"b","title":"x","descriptions":"y"}', "line 2: 'descriptions' must be a list of strings"),
        (b'{"uid":"b","title":"x","descriptions":[""]}', "Label 1 .* empty description"),
    ],
)
def test_wrong_descriptions_of_files_are_refused_by_name(tmp_path, line, complaint):
    path = tmp_path / "lbl.json.gz"
    path.write_bytes(gzip.compress(b'{"uid":"a","title":"first"}\n' + line))
    with pytest.raises(BadInput, match=complaint) as caught:
        LabelSet.load(path)
    assert "lbl.json.gz" in str(caught.value)


def test_importing_labels_and_data_brings_no_torch():
    code = "import sys, edgexl.data.label_set, edgexl.data, edgexl.data.metrics; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

"""Labels found by id, text and prefix however their letters are encoded: compiled ones and added ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from unicodedata import normalize

import pytest

from edgexl.base.errors import BadInput
from edgexl.bundle.layout import Kind
from edgexl.bundle.strings import pack_strings
from edgexl.runtime.binding import BundleHandle, NewLabel, open_bundle
from tests.command_line import exl_run
from tests.runtime.tiny_bundle import build

CAFE = normalize("NFC", "Café")
# Compiled: number 0 and 1 have ids that differ in form alone.
IDS = [normalize("NFC", "é"), normalize("NFD", "é"), normalize("NFC", "über"), "K"]
TEXTS = [CAFE + " noir", normalize("NFD", CAFE) + " au lait", "CAFE", "\u212aelvin"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The tiny bundle with other ids and texts for its first labels."""
    toy = build(native=True)
    toy.sections[Kind.LABEL_IDS] = pack_strings(IDS + [f"L{at:04d}" for at in range(len(IDS), 300)])
    toy.sections[Kind.LABEL_TEXTS] = pack_strings([*TEXTS, *toy.texts[len(TEXTS) :]])
    return toy.write(tmp_path / "toy.exl")


@pytest.fixture
def handle(path: Path) -> Iterator[BundleHandle]:
    with open_bundle(path) as opened:
        yield opened


def test_ids_in_either_form_and_the_same_bytes_first(handle: BundleHandle) -> None:
    assert [handle.find_label(label_id) for label_id in IDS] == [0, 1, 2, 3]
    assert handle.find_label(normalize("NFD", IDS[2])) == 2
    assert handle.find_label("\u212a") == 3  # the Kelvin sign
    with pytest.raises(BadInput, match="no label"):
        handle.find_label("É")  # case counts in an id
    handle.add_labels([NewLabel(normalize("NFD", "über"), "red"), NewLabel("o\u0323\u0302", "blue")])
    assert handle.find_label(normalize("NFD", "über")) == 300
    assert [handle.find_label(form) for form in ("o\u0302\u0323", "\u1ed9")] == [301, 301]
    handle.retire_labels([IDS[1]])
    assert handle.find_label(IDS[1]) == 0
    # what is added may differ from what is there in form alone
    assert handle.add_labels([NewLabel("\u212a", "storm")]) == 302
    with pytest.raises(BadInput, match="label with the id K"):
        handle.add_labels([NewLabel("K", "storm")])


def test_ids_of_any_length(tmp_path: Path) -> None:
    """Around the 512 bytes that a look-up keeps at hand, with ids that begin as others do; the last has é in two."""
    ids = ["x" * length for length in (511, 512, 513, 3000)] + ["x" * 600 + end for end in ("a", "e\u0301", "é", "éa")]
    ids.append(normalize("NFD", "ế" * 6))
    toy = build(native=True)
    toy.sections[Kind.LABEL_IDS] = pack_strings(ids + [f"L{at:04d}" for at in range(len(ids), 300)])
    with open_bundle(toy.write(tmp_path / "toy.exl")) as handle:
        assert [handle.find_label(label_id) for label_id in ids] == list(range(9))
        assert [handle.find_label(normalize(form, ids[at])) for form, at in (("NFD", 7), ("NFC", 8))] == [7, 8]
        for absent in ("x" * 510, "x" * 514, "x" * 3001, "x" * 600 + "e", "x" * 600 + "è", "x" * 5000):
            with pytest.raises(BadInput, match="no label"):
                handle.find_label(absent)
        handle.retire_labels([ids[5], ids[1]])
        assert handle.find_label(ids[5]) == 6
        with pytest.raises(BadInput, match="no label"):
            handle.find_label(ids[1])


def test_labels_retired_and_replaced_by_the_other_form(handle: BundleHandle) -> None:
    handle.retire_labels([normalize("NFD", IDS[2])])
    assert handle.label_state(2) == "retired"
    with pytest.raises(BadInput, match="no label with the id"):
        handle.retire_labels([IDS[2]])
    with pytest.raises(BadInput, match="given twice, in two forms"):
        handle.retire_labels(["K", "\u212a"])
    handle.retire_labels(IDS[:2])
    assert [handle.label_state(label) for label in (0, 1, 3)] == ["retired", "retired", "compiled"]
    assert handle.add_labels([NewLabel("\u212a", "storm")], replace=True) == 300
    assert (handle.label_state(3), handle.label_id(300)) == ("retired", "\u212a")


def test_texts_in_either_form_and_the_same_characters_first(handle: BundleHandle) -> None:
    assert handle.find_label(normalize("NFD", TEXTS[0])) == 0
    assert handle.find_label(normalize("NFC", TEXTS[1])) == 1
    handle.add_labels([NewLabel("N1", normalize("NFD", TEXTS[0]))])
    assert [handle.find_label(form) for form in (TEXTS[0], normalize("NFD", TEXTS[0]))] == [0, 300]
    assert handle.explain("red river", normalize("NFC", TEXTS[1])).index == 1
    with pytest.raises(BadInput, match="no label"):
        handle.find_label(TEXTS[0].upper())


def test_prefixes_in_either_form_and_case_also_of_added_labels(handle: BundleHandle) -> None:
    new = ["cafe\u0301 cre\u0300me", "ΣΊΣΥΦΟΣ", "Москва", "straße", "한국", "ოთხი"]
    handle.add_labels([NewLabel(f"N{at}", text) for at, text in enumerate(new)])
    assert handle.complete("caf") == [0, 1, 2, 300]
    for form in ("CAFÉ", "cafe\u0301"):
        assert handle.complete(form) == [0, 1, 300]
        assert handle.complete(form, 1, 1) == [1]
    assert handle.complete("CAFE", 4, 1) == [1, 2, 300]
    found = {new[1].lower(): 301, normalize("NFD", new[1].casefold()): 301, new[2][:3].upper(): 302}
    found |= {"STRA\xdf": 303, "STRA\u1e9e": 303, "하": 304, "\u1112\u1161": 304, "\u1c9d\u1c97": 305}
    assert {prefix: handle.complete(prefix) for prefix in found} == {prefix: [at] for prefix, at in found.items()}
    assert handle.complete("kelvin") == [3]
    assert handle.complete("strass") == []


def test_retired_labels_are_never_completed(handle: BundleHandle) -> None:
    """Neither those of the bundle nor those that were added."""
    handle.add_labels([NewLabel(f"N{at}", f"Café {at}") for at in range(4)])
    handle.retire_labels(["N1", "N3", IDS[0]])
    assert handle.complete("café") == [1, 300, 302]
    assert handle.complete("cafe\u0301", 1, 301) == [302]
    handle.compact_labels()
    assert [handle.label_id(label) for label in handle.complete("café")] == [IDS[1], "N0", "N2"]
    with pytest.raises(BadInput, match="no label"):
        handle.find_label("Café 1")


def test_the_tool_explains_by_an_id_in_the_other_form(path: Path) -> None:
    said = exl_run(path, "red river", "--explain", normalize("NFD", IDS[2]))
    assert said.status == 0
    assert said.json["explanation"]["index"] == 2


def test_thousands_of_labels_behind_few_candidates_and_cells(tmp_path: Path) -> None:
    """Over-fetch of 40 rows, 8 cells of which 3 are probed; most of the labels come later, and some go."""
    path = build(native=True, cells=8).write(tmp_path / "toy.exl")
    with open_bundle(path) as handle:
        texts = [handle.label_text(at) for at in range(300)]
        handle.add_labels([NewLabel(f"X{at}", f"{texts[at % 300]} {texts[at * 7 % 299]}") for at in range(2000)])
        handle.retire_labels([f"L{at:04d}" for at in range(150)] + [f"X{at}" for at in range(0, 2000, 2)])
        first = []
        for at in range(1, 400, 4):
            answer = handle.predict(handle.label_text(300 + at), k=20)
            assert len(answer.labels) == 20
            assert all(handle.label_state(label.index) != "retired" for label in answer.labels)
            first.append(handle.label_text(300 + at) in [label.text for label in answer.labels])
        assert sum(first) > 90

"""Writing and reading whole bundles: what is written comes back, and every departure from the format is refused."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import math
import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgexl.base.errors import BadInput, DeviceError
from edgexl.base.ragged import Ragged
from edgexl.bundle.calibration import Calibration
from edgexl.bundle.goldens import Golden, Goldens
from edgexl.bundle.layout import ALIGNMENT, ENTRY, HEADER, Kind
from edgexl.bundle.parameters import LARGEST_F32, Parameters
from edgexl.bundle.read import read_bundle
from edgexl.bundle.row_labels import pack_row_labels, unpack_row_labels
from edgexl.bundle.write import bundle_bytes, write_bundle

LABEL_SET = hashlib.sha256(b"labels").digest()


def parameters(**changes: int) -> Parameters:
    sizes = {
        "labels": 3, "rows": 5, "dims": 8, "subspaces": 2, "subspace_dims": 4, "fine_dims": 8, "fine_bits": 4,
        "overfetch": 3, "shortlist": 2, "max_tokens": 8, "label_tokens": 2, "state_dims": 4, "screener_inputs": 3,
        "reasoner_inputs": 0b1111111, "screener_outputs": 3, "vocabulary": 9,
    }  # fmt: skip
    return Parameters(**(sizes | changes), label_set_sha256=LABEL_SET)


def calibration(presence: float) -> bytes:
    """A section with this presence, allowed or not."""
    section = Calibration(LABEL_SET, "logit", 0.5, (-1.0, 1.0), (0.25, 0.75)).pack()
    return section[:44] + np.float32(presence).tobytes() + section[48:]


def sections() -> dict[Kind, bytes]:
    """Sections that agree with each other; those that Python does not look into hold a few bytes."""
    return dict.fromkeys(
        set(Kind) - {Kind.CELLS, Kind.LEXICAL, Kind.LABEL_DESCRIPTIONS, Kind.KNOWN_TOKENS}, b"opaque"
    ) | {
        Kind.MANIFEST: b'{"format": "1.0"}\n',
        Kind.PARAMETERS: parameters().pack(),
        Kind.CODEBOOK: np.arange(128, dtype="<f4").tobytes(),
        Kind.COARSE_CODES: bytes(256),
        Kind.FINE_CODES: bytes(5 * 6),
        Kind.ROW_LABELS: pack_row_labels(Ragged.of([(0, 2), (1,)], np.uint32)),
        Kind.CALIBRATION: calibration(-np.inf),
        Kind.GOLDENS: Goldens(2, 0.01, (Golden("vérité", (1, 2, 3), (2, 0), (0.75, 0.5)),)).pack(),
    }


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_bundle(tmp_path / "a.exl", sections())
    return tmp_path / "a.exl"


def test_what_is_written_comes_back(path: Path) -> None:
    bundle = read_bundle(path)
    for kind, content in sections().items():
        assert bytes(bundle.section(kind)) == content
    assert all(entry.offset % ALIGNMENT == 0 for entry in bundle.entries)
    assert bundle.manifest == {"format": "1.0"}
    assert bundle.parameters == parameters()
    assert bundle.codebook.shape == (2, 16, 4)
    assert [part.tolist() for part in bundle.row_labels] == [[0, 2, 3], [0, 2, 1]]
    assert bundle.goldens.items[0].text == "vérité"
    assert bundle.calibration.probabilities([0.0, 9.0]).tolist() == [0.5, 0.75]


def test_sizes_are_told_beforehand(path: Path, tmp_path: Path) -> None:
    lengths = {kind: len(content) for kind, content in sections().items()}
    assert bundle_bytes(lengths) == path.stat().st_size == write_bundle(tmp_path / "b.exl", sections())
    assert path.read_bytes() == (tmp_path / "b.exl").read_bytes()


def rehashed(data: bytearray) -> bytearray:
    """The table's hash made right again, so that what follows it is judged."""
    count = struct.unpack_from("<I", data, 12)[0]
    data[32:64] = hashlib.sha256(data[64 : 64 + 64 * count]).digest()
    return data


def entry(data: bytearray, place: Kind, /, **changes: int) -> bytearray:
    """The table with a changed entry; `changes` by the field's name."""
    start = HEADER.size + ENTRY.size * (place - 1)
    names = ["kind", "flags", "offset", "length", "sha256", "reserved"]
    values = dict(zip(names, ENTRY.unpack_from(data, start), strict=True)) | changes
    ENTRY.pack_into(data, start, *values.values())
    return rehashed(data)


DAMAGES: dict[str, tuple[Callable[[bytearray], bytes | bytearray], str]] = {
    "empty": (lambda d: b"", "is not an edgexl bundle"),
    "text": (lambda d: b"\x89EXL\n\x1a\n" + bytes(d[8:]), "is not an edgexl bundle"),
    "newer": (lambda d: d[:8] + b"\x04\x00" + d[10:], "version 4.0.*use a newer one"),
    "older": (lambda d: d[:8] + b"\x02\x00" + d[10:], "version 2.0.*compile it again"),
    "cut": (lambda d: d[:-1], "where its header says"),
    "longer": (lambda d: d + b"x", "where its header says"),
    "flags": (lambda d: d[:28] + b"\x01" + d[29:], "header with a number"),
    "alignment": (lambda d: d[:24] + struct.pack("<I", 4096) + d[28:], "header with a number"),
    "no sections": (lambda d: d[:12] + bytes(4) + d[16:], "header with a number"),
    "many sections": (lambda d: d[:12] + struct.pack("<I", 65) + d[16:], "header with a number"),
    "table": (lambda d: d[:64] + b"\x02" + d[65:], "damaged section table"),
    "twice": (lambda d: entry(d, Kind.PARAMETERS, kind=1), "repeated or out of order"),
    "unknown": (lambda d: entry(d, Kind.GOLDENS, kind=77), "unknown, repeated"),
    "entry flags": (lambda d: entry(d, Kind.GOLDENS, flags=1), "unknown, repeated"),
    "overlap": (lambda d: entry(d, Kind.TOKENIZER, offset=ALIGNMENT), "misplaced"),
    "overflow": (lambda d: entry(d, Kind.TOKENIZER, length=2**64 - 1), "longer than the file"),
    "no length": (lambda d: entry(d, Kind.TOKENIZER, length=0), "empty"),
    "smuggled": (lambda d: d[: ALIGNMENT + 100] + b"x" + d[ALIGNMENT + 101 :], "bytes that are not 0"),
    "content": (lambda d: d[: 3 * ALIGNMENT] + b"x" + d[3 * ALIGNMENT + 1 :], "section tokenizer is damaged"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_every_damage_is_one_sentence(path: Path, damage: str) -> None:
    change, sentence = DAMAGES[damage]
    path.write_bytes(change(bytearray(path.read_bytes())))
    with pytest.raises(BadInput, match=sentence) as caught:
        read_bundle(path)
    assert str(caught.value).startswith(str(path))


def test_every_byte_counts(path: Path) -> None:
    """Any flipped bit is noticed, wherever it is, but those of the minor version, any of which is read."""
    sound = path.read_bytes()
    for place in [*np.random.default_rng(0).integers(64, len(sound), 150).tolist(), *range(10), *range(12, 64)]:
        data = bytearray(sound)
        data[place] ^= 1 << place % 8
        path.write_bytes(data)
        with pytest.raises(BadInput):
            read_bundle(path)


@pytest.mark.parametrize(
    ("kind", "content", "sentence"),
    [
        (Kind.MANIFEST, b"[1]", "not a JSON object"),
        (Kind.MANIFEST, b"{", "not JSON"),
        (Kind.CODEBOOK, bytes(4), "4 bytes of codebook"),
        (Kind.CODEBOOK, np.full(128, np.nan, "<f4").tobytes(), "not finite"),
        (Kind.FINE_CODES, bytes(29), "29 bytes of fine_codes"),
        (Kind.COARSE_CODES, bytes(512), "512 bytes of coarse_codes"),
        (Kind.PARAMETERS, parameters(rows=3).pack(), "fine_codes"),
        (Kind.ROW_LABELS, pack_row_labels(Ragged.of([(0, 3), (1,)], np.uint32)), "a label that is not there"),
        (Kind.ROW_LABELS, np.array([0, 0, 1, 1], "<u4").tobytes(), "do not ascend"),
        (Kind.CALIBRATION, Calibration(bytes(32), "logit", 0.5, (0.0, 1.0), (0.0, 1.0)).pack(), "another label set"),
        (Kind.CALIBRATION, calibration(np.nan), "presence must be a number"),
        (Kind.CALIBRATION, calibration(np.inf), "presence must be a number"),
        (Kind.GOLDENS, Goldens(1, 0.1, (Golden("x", (1,), (3,), (0.5,)),)).pack(), "golden with a label"),
        (Kind.GOLDENS, Goldens(1, 0.1, (Golden("x", (1,), (2,), (0.5,)),)).pack() + bytes(4), "goldens are not as"),
    ],
)
def test_sections_that_do_not_agree(tmp_path: Path, kind: Kind, content: bytes, sentence: str) -> None:
    write_bundle(tmp_path / "a.exl", sections() | {kind: content})
    with pytest.raises(BadInput, match=sentence):
        read_bundle(tmp_path / "a.exl")


def test_a_missing_section_and_a_needless_one(tmp_path: Path) -> None:
    without = {kind: content for kind, content in sections().items() if kind != Kind.ROW_LABELS}
    write_bundle(tmp_path / "a.exl", without)
    with pytest.raises(BadInput, match="row_labels"):
        read_bundle(tmp_path / "a.exl")
    with pytest.raises(AssertionError, match="goldens"):
        write_bundle(tmp_path / "b.exl", {k: v for k, v in sections().items() if k != Kind.GOLDENS})


@pytest.mark.parametrize("kind", [Kind.REASONER_GRAPH, Kind.REASONER_WEIGHTS, Kind.CELLS, Kind.LEXICAL])
def test_sections_are_there_exactly_when_the_parameters_say_so(tmp_path: Path, kind: Kind) -> None:
    there = {key: content for key, content in sections().items() if key != kind}
    if len(there) == len(sections()):
        there[kind] = b"opaque"
    write_bundle(tmp_path / "a.exl", there)
    with pytest.raises(BadInput, match=f"a section {kind.name.lower()} exactly where"):
        read_bundle(tmp_path / "a.exl")


def test_a_bundle_without_a_reasoner(tmp_path: Path) -> None:
    plain = {key: content for key, content in sections().items() if "REASONER" not in key.name}
    sizes = parameters(reasoner_inputs=0, label_tokens=0, state_dims=0, reasoner_weight=0, screening_weight=1)
    write_bundle(tmp_path / "a.exl", plain | {Kind.PARAMETERS: sizes.pack()})
    assert read_bundle(tmp_path / "a.exl").parameters == sizes


def test_a_newer_minor_version_may_hold_more(path: Path) -> None:
    """A section of a kind that this version does not know is skipped, in a file whose minor version is larger."""
    data = bytearray(path.read_bytes())
    struct.pack_into("<H", data, 10, 2)
    entry(data, Kind.GOLDENS, kind=77)
    path.write_bytes(data)
    with pytest.raises(BadInput, match="has no section goldens"):
        read_bundle(path)


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": 0}, {"rows": 2}, {"dims": 4}, {"subspaces": 3}, {"subspace_dims": 5}, {"fine_dims": 7},
        {"fine_dims": 10}, {"fine_bits": 5}, {"fine_bits": 2, "fine_dims": 6}, {"overfetch": 1}, {"shortlist": 4097},
        {"fine_gain": 0.0}, {"fine_gain": -1.0}, {"fine_gain": math.inf}, {"fine_gain": math.nan},
        {"fine_gain": 1025.0},
        {"max_tokens": 2}, {"label_tokens": 65}, {"label_tokens": 0}, {"state_dims": 0}, {"screener_inputs": 4},
        {"reasoner_inputs": 256}, {"reasoner_inputs": 0},
        {"screener_outputs": 2}, {"screener_outputs": 1}, {"vocabulary": 0},
    ],
)  # fmt: skip
def test_parameters_out_of_their_limits(changes: dict[str, int]) -> None:
    with pytest.raises(BadInput):
        parameters(**changes)


PLAIN = {"reasoner_inputs": 0b0111011, "label_tokens": 0, "state_dims": 0, "screener_outputs": 1}
MANY = {"labels": 10**6, "rows": 2 * 10**6}
WIDE = {"dims": 4096, "fine_dims": 8}
NO_REASONER = {"label_tokens": 0, "state_dims": 0, "reasoner_inputs": 0, "reasoner_weight": 0.0}
CELLS = {"cells": 4, "probes": 2, "cell_margin": 1.5}


@pytest.mark.parametrize(
    ("given", "name", "inside", "outside"),
    [
        ({"shortlist": 1}, "labels", (1, 5), (0, 6)),
        ({}, "rows", (3, 2**31 - 1), (2, 2**31)),
        ({"rows": 2**31 - 1}, "labels", (2**31 - 1,), (2**31,)),
        ({}, "dims", (8, 4096), (7, 4097)),
        ({"subspaces": 2, "subspace_dims": 1, "fine_dims": 8}, "dims", (8,), (6,)),
        (WIDE | {"subspace_dims": 16}, "subspaces", (2, 256), (0, 1, 3, 258)),
        (WIDE, "subspace_dims", (1, 64), (0, 65)),
        ({}, "subspace_dims", (4,), (5,)),
        ({"dims": 9}, "subspace_dims", (4,), (5,)),
        ({}, "fine_dims", (2, 6, 8), (0, 1, 7, 10)),
        ({"fine_bits": 2}, "fine_dims", (4, 8), (2, 6)),
        ({}, "fine_bits", (2, 4, 8), (0, 1, 3, 6, 16)),
        ({}, "overfetch", (2, 16384), (1, 16385)),
        ({}, "shortlist", (1, 3), (0, 4)),
        (MANY | {"overfetch": 5000}, "shortlist", (4096,), (4097,)),
        ({}, "max_tokens", (3, 8192), (2, 8193)),
        ({}, "label_tokens", (1, 64), (0, 65)),
        (PLAIN, "label_tokens", (0,), (1,)),
        ({}, "state_dims", (1, 8192), (0, 8193)),
        (PLAIN, "state_dims", (0, 8192), (-1,)),
        ({}, "screener_inputs", (1, 3), (0, 4)),
        ({}, "reasoner_inputs", (0b1111111, 0b11111111), (0, 256)),
        (NO_REASONER, "reasoner_weight", (0.0,), (1.0,)),
        (NO_REASONER, "reasoner_inputs", (0,), (4, 64)),
        ({}, "screener_outputs", (3,), (1, 0, 2, 4)),
        (PLAIN, "screener_outputs", (1, 3), (0, 2, 4)),
        ({}, "vocabulary", (1, 2**24), (0, 2**24 + 1)),
        ({}, "fine_gain", (1 / 1024, 1024.0), (1 / 1025, 1024.5)),
        (CELLS | {"probes": 1}, "cells", (1, 5), (0, 6)),
        (MANY | CELLS, "cells", (65536,), (65537,)),
        (CELLS, "probes", (1, 4), (0, 5)),
        ({}, "probes", (0,), (1,)),
        (CELLS, "cell_margin", (0.0, 3.4028234663852886e38), (-0.1, math.inf, math.nan)),
        ({}, "cell_margin", (0.0,), (0.1,)),
        ({}, "descriptions", (0, 2), (-1, 3)),
        ({}, "reasoner_weight", (0.0, 0.5, LARGEST_F32), (-0.5, math.inf, math.nan)),
        ({}, "screening_weight", (0.0, 0.5, LARGEST_F32), (-0.5, math.inf, math.nan)),
        ({}, "votes_temperature", (1 / 1024, 1.0), (0.0, 1 / 1025, 1.5, math.nan)),
        ({}, "votes_weight", (0.0, 16.0), (-1.0, 16.5, math.nan)),
        ({}, "lexical_weight", ((0.0,) * 7 + (-LARGEST_F32,), tuple(range(8))), ((1.0,) * 7, (math.nan,) * 8)),
        ({}, "lexical_most", (0.0,), (1.0, math.nan)),
        ({"lexical_candidates": 1}, "lexical_most", (0.0, 16.0), (-0.5, 16.5, math.nan)),
        ({}, "lexical_candidates", (0, 1, 4096), (-1, 4097)),
        ({}, "least_known", (0.0, 1.0), (-0.5, 1.5, math.nan)),
        ({}, "same_text", (0.0, 2.0), (-0.5, 2.5, math.nan)),
        ({}, "windows", (0, 1, 256), (-1, 257)),
    ],
)
def test_parameters_limits_are_the_formats(
    given: dict[str, int], name: str, inside: tuple[float, ...], outside: tuple[float, ...]
) -> None:
    """Both sides of each limit of docs/format.md, "Parameters section"; what lies inside comes back."""
    for value in inside:
        made = parameters(**(given | {name: value}))  # type: ignore[arg-type]
        assert getattr(made, name) == value
        assert Parameters.unpack(made.pack()) == (
            dataclasses.replace(made, fine_gain=float(np.float32(made.fine_gain)))
        )
    for value in outside:
        with pytest.raises(BadInput):
            parameters(**(given | {name: value}))  # type: ignore[arg-type]


def test_parameters_that_are_cut_or_of_another_engine() -> None:
    section = parameters().pack()
    assert len(section) == 256
    longer = struct.pack("<I", 260) + section[4:] + bytes(4)  # of a later minor version
    assert Parameters.unpack(longer) == parameters()
    for place, byte in ((4, b"\x03"), (4, b"\x00"), (192, b"\x01"), (255, b"\x01"), (0, b"\xfc"), (1, b"\x02")):
        with pytest.raises(BadInput):
            Parameters.unpack(section[:place] + byte + section[place + 1 :])
    for cut in (section[:-1], section + bytes(4), b""):
        with pytest.raises(BadInput):
            Parameters.unpack(cut)
    native = dataclasses.replace(parameters(), engine=2)
    assert Parameters.unpack(native.pack()).engine == 2


@pytest.mark.parametrize(
    ("starts", "labels", "good"),
    [
        ((0, 2, 3), (0, 2, 1), True),
        ((1, 2, 3), (0, 2, 1), False),
        ((0, 2, 2), (0, 2), False),
        ((0, 3, 2), (0, 2), False),
        ((0, 2, 4), (0, 2, 1), False),
        ((0, 2, 3), (0, 3, 1), False),
        ((0, 2, 3), (0, 2, 1, 1), False),
        ((0, 2), (), False),
    ],
)
def test_row_labels_ascend_and_are_there(starts: tuple[int, ...], labels: tuple[int, ...], good: bool) -> None:
    """Of two aliases over three labels."""
    section = np.array([*starts, *labels], "<u4").tobytes()
    if good:
        assert [part.tolist() for part in unpack_row_labels(section, 5, 3)] == [list(starts), list(labels)]
        section += b"\0"
    with pytest.raises(BadInput, match="row labels"):
        unpack_row_labels(section, 5, 3)


@pytest.mark.parametrize("place", [0, -1])
@pytest.mark.parametrize("kind", [Kind.MANIFEST, Kind.GOLDENS])
def test_no_byte_between_sections_is_anything_but_zero(path: Path, kind: Kind, place: int) -> None:
    """The first and the last of those before a section, for each of the first and the last one."""
    data = bytearray(path.read_bytes())
    entries = list(read_bundle(path).entries)
    at = [entry.kind for entry in entries].index(kind)
    end = HEADER.size + ENTRY.size * len(entries) if at == 0 else entries[at - 1].offset + entries[at - 1].length
    gap = range(end, entries[at].offset)
    assert len(gap) > 1
    data[gap[place]] = 1
    path.write_bytes(data)
    with pytest.raises(BadInput, match=f"before the section {kind.name.lower()}"):
        read_bundle(path)


def test_a_full_disk_leaves_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    before = path.read_bytes()
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DeviceError, match="disk is full"):
        write_bundle(path, sections() | {Kind.MANIFEST: b'{"other": 1}'})
    assert path.read_bytes() == before
    assert [found.name for found in path.parent.iterdir()] == ["a.exl"]


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be written"):
        write_bundle(tmp_path / "none" / "a.exl", sections())
    with pytest.raises(BadInput, match="cannot be read"):
        read_bundle(tmp_path)

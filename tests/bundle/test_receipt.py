"""Receipts: what the runtime writes is what the format says, and a file that is not exactly so is refused."""

from __future__ import annotations

import hashlib
import hmac
import struct
from pathlib import Path

import numpy as np
import pytest

from edgexl.base.errors import BadInput
from edgexl.bundle.read import read_bundle
from edgexl.bundle.receipt import (
    HEADER,
    Receipt,
    add_signature,
    differences,
    hash_text,
    name_bundle,
    name_key,
    parse_receipts,
    read_receipt_key,
    read_receipts,
)
from edgexl.bundle.signing import new_key, secret_key, sign_bare, sign_bundle, store_signature
from edgexl.runtime.binding import BundleHandle, EmptyText, NewLabel, open_bundle
from edgexl.runtime.ed25519 import is_signed_by
from tests.runtime.tiny_bundle import build

KEY = b"a secret of the app"
TEXT = "old kings of cold rivers"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(native=True, aliases=True, windows=5).write(tmp_path_factory.mktemp("receipts") / "tiny.exl")


@pytest.fixture(scope="module")
def record(bundle: Path) -> bytes:
    with open_bundle(bundle) as handle:
        return handle.receipt(TEXT, KEY, note="ward 3", time=5)[0]


def read(content: bytes) -> Receipt:
    (receipt,) = parse_receipts(content)
    return receipt


def test_a_receipt_holds_the_answer_and_not_the_text(bundle: Path) -> None:
    with open_bundle(bundle) as handle:
        content, answer = handle.receipt(TEXT, KEY, k=3, note="ward 3", time=5)
        receipt = read(content)
        ids = [handle.label_id(int(label)) for label in receipt.shortlist["label"]]
    assert TEXT.encode() not in content
    assert receipt.text == hmac.digest(KEY, TEXT.encode(), "sha256") == hash_text(KEY, TEXT.encode())
    assert receipt.bundle == hashlib.sha256(read_bundle(bundle).signed_bytes[64:]).digest()
    assert (receipt.note, receipt.time, receipt.signature, receipt.verified) == (b"ward 3", 5, b"", True)
    assert (receipt.options.k, receipt.options.threshold, receipt.options.windows) == (3, -1, 5)
    assert receipt.key == name_key(KEY)
    np.testing.assert_array_equal(receipt.shortlist["label"], answer.shortlist_labels)
    np.testing.assert_array_equal(receipt.shortlist["logit"].view("<f4"), answer.shortlist_logits)
    np.testing.assert_array_equal(receipt.shortlist["score"].view("<f4"), answer.shortlist_scores)
    best = receipt.shortlist[receipt.answers]
    assert best["label"].tolist() == [label.index for label in answer.labels]
    assert best["probability"].view("<f4").tolist() == [label.probability for label in answer.labels]
    # numpy takes NULs off the end
    hashes = [entry.ljust(8, b"\0") for entry in receipt.shortlist["id"].tolist()]
    assert hashes == [hashlib.sha256(uid.encode()).digest()[:8] for uid in ids]


def test_options_are_kept_as_they_came_out(bundle: Path) -> None:
    with open_bundle(bundle) as handle:
        own = read(handle.receipt(TEXT, KEY, k=0, threshold=-1)[0]).options
        assert own.threshold == pytest.approx(handle.info.threshold)
        assert own.k == handle.info.shortlist
        covered = read(handle.receipt(TEXT, KEY, coverage=0.5)[0])
        assert (covered.options.coverage, covered.coverage_holds) == (0.5, True)


def test_the_label_set_is_named_whatever_was_done_to_it(bundle: Path, tmp_path: Path) -> None:
    def labels(handle: BundleHandle) -> bytes:
        return read(handle.receipt(TEXT, KEY)[0]).labels

    with open_bundle(bundle, labels_path=tmp_path / "labels") as handle:
        compiled = read_bundle(bundle).parameters.label_set_sha256
        nothing = hashlib.sha256().digest()
        assert labels(handle) == hashlib.sha256(compiled + nothing).digest()
        handle.add_labels([NewLabel("new-1", "zebra lantern")])
        added = labels(handle)
        operations = (tmp_path / "labels").read_bytes()[256:]
        assert added == hashlib.sha256(compiled + hashlib.sha256(operations).digest()).digest()
        handle.retire_labels(["L0000"])
        assert len({added, labels(handle), hashlib.sha256(compiled + nothing).digest()}) == 3


def test_a_signature_that_is_stored_changes_nothing(bundle: Path, tmp_path: Path, record: bytes) -> None:
    signed = tmp_path / "signed.exl"
    store_signature(bundle, sign_bundle(bundle, new_key()), signed)
    with open_bundle(signed) as handle:
        assert differences(read(handle.receipt(TEXT, KEY)[0]), read(record)) == []
    assert name_bundle(read_bundle(signed)) == name_bundle(read_bundle(bundle)) == read(record).bundle


def test_a_record_is_signed_by_the_app(bundle: Path) -> None:
    key = secret_key(b"edgexl 1", bytes([7]) * 32)
    with open_bundle(bundle) as handle:
        receipt = read(handle.receipt(TEXT, KEY, sign=lambda content: sign_bare(content, key))[0])
    assert is_signed_by(key.public, receipt.record, receipt.signature)
    assert add_signature(receipt.record, receipt.signature)[-64:] == receipt.signature
    other = secret_key(b"edgexl 1", bytes([8]) * 32).public
    assert not is_signed_by(other, receipt.record, receipt.signature)
    assert not is_signed_by(key.public, receipt.record + b" ", receipt.signature)
    assert not is_signed_by(key.public, receipt.record, receipt.signature[:-1])


def test_what_makes_no_receipt_is_refused(bundle: Path, tmp_path: Path) -> None:
    def fail(_: bytes) -> bytes:
        raise OSError("the card is out")

    with open_bundle(bundle) as handle:
        with pytest.raises(BadInput, match="15 bytes"):
            handle.receipt(TEXT, b"15 bytes long..")
        with pytest.raises(BadInput, match="4096 at most"):
            handle.receipt(TEXT, KEY, note=bytes(4097))
        with pytest.raises(EmptyText):
            handle.receipt(" ", KEY)
        with pytest.raises(BadInput, match="shortlist"):
            handle.receipt(TEXT, KEY, k=4096)
        with pytest.raises(OSError, match="the card is out"):
            handle.receipt(TEXT, KEY, sign=fail)
        for length in (0, 8193):
            with pytest.raises(BadInput, match=f"{length} bytes of 8192"):
                handle.receipt(TEXT, KEY, sign=lambda _, length=length: bytes(length))
        with pytest.raises(BadInput, match="time is -1"):
            handle.receipt(TEXT, KEY, time=-1)
        assert read(handle.receipt(TEXT, KEY, sign=lambda _: bytes(8192))[0]).signature == bytes(8192)
    with (
        open_bundle(build().write(tmp_path / "ort.exl")) as handle,
        pytest.raises(BadInput, match="engine ort gives no receipts"),
    ):
        handle.receipt(TEXT, KEY)


def test_receipts_follow_one_another_in_a_file(record: bytes, tmp_path: Path) -> None:
    second = add_signature(read(record).record, b"signed")
    (tmp_path / "all").write_bytes(record + second + record)
    assert [one.signature for one in read_receipts(tmp_path / "all")] == [b"", b"signed", b""]
    (tmp_path / "none").write_bytes(b"")
    with pytest.raises(BadInput, match="none holds no receipt"):
        read_receipts(tmp_path / "none")
    with pytest.raises(BadInput, match=r"receipt 2, at byte [\d,]+, does not begin as one does"):
        list(parse_receipts(record + b"x"))


def changed(record: bytes, at: int, kind: str, value: int) -> bytes:
    content = bytearray(record)
    struct.pack_into(kind, content, at, value)
    return bytes(content)


@pytest.mark.parametrize(
    ("at", "kind", "value", "said"),
    [
        (0, "<B", 1, "does not begin"),
        (8, "<H", 2, "format version 2"),
        (12, "<I", 1 << 31, "cut off"),
        (12, "<I", 212, "breaks the format's rules"),
        (24, "<I", 5, "breaks the format's rules"),  # note bytes
        (28, "<I", 16, "breaks the format's rules"),  # flags
        (32, "<B", 255, "breaks the format's rules"),  # the version
        (48, "<I", 1, "breaks the format's rules"),  # the engine
        (76, "<I", 4097, "breaks the format's rules"),  # the shortlist
        (80, "<I", 4, "breaks the format's rules"),  # answers
        (84, "<I", 1, "breaks the format's rules"),
        (-4, "<I", 1, "ends inside its signature"),
        (-4, "<I", 8193, "breaks the format's rules"),
    ],
)
def test_a_wrong_receipt_is_refused(record: bytes, at: int, kind: str, value: int, said: str) -> None:
    with pytest.raises(BadInput, match=f"receipt 1, at byte 0, {said}" if "begin" in said else said):
        read(changed(record, at % len(record), kind, value))


def test_an_answer_that_is_not_on_the_shortlist_is_refused(record: bytes) -> None:
    places = HEADER.size + 24 * len(read(record).shortlist)
    with pytest.raises(BadInput, match="not on its shortlist"):
        read(changed(record, places, "<I", len(read(record).shortlist)))


@pytest.mark.parametrize("length", [1, 8, 100, 208, 300, -5, -1])
def test_a_cut_receipt_is_refused(record: bytes, length: int) -> None:
    with pytest.raises(BadInput, match="receipt 1"):
        read(record[:length])


@pytest.mark.parametrize(
    ("at", "part"),
    [
        (16, None), (32, None), (52, "options"), (56, "options"), (68, "tokenize"), (72, "tokenize"), (88, "key"),
        (96, "text"), (128, "bundle"), (160, "labels"), (192, "tokenize"), (200, "encode"), (208, "shortlist"),
        (212, "shortlist"), (216, "reason"), (220, "calibrate"), (224, "shortlist"),
    ],
)  # fmt: skip
def test_each_part_that_differs_is_named(record: bytes, at: int, part: str | None) -> None:
    """Time and version are no part of it."""
    other = read(changed(record, at, "<B", record[at] ^ 1))
    assert differences(read(record), other) == ([part] if part else [])


def test_flags_and_answers_that_differ_are_named(record: bytes) -> None:
    places = HEADER.size + 24 * len(read(record).shortlist)
    swapped = record[:places] + record[places + 4 : places + 8] + record[places : places + 4] + record[places + 8 :]
    assert differences(read(record), read(swapped)) == ["answer"]
    for bit, part in ((1, ["calibrate"]), (2, ["tokenize"]), (4, ["answer"]), (8, [])):
        assert differences(read(record), read(changed(record, 28, "<B", record[28] ^ bit))) == part


def test_a_key_is_long_enough(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(bytes(15))
    with pytest.raises(BadInput, match="has 15 bytes, and a key of receipts 16 at least"):
        read_receipt_key(tmp_path / "key")
    (tmp_path / "key").write_bytes(bytes(16))
    assert read_receipt_key(tmp_path / "key") == bytes(16)

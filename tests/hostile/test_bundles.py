"""Damaged bundles through the command line and the C tool: one clear line, the right exit status, nothing written."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from edgexl.bundle.layout import MAJOR, Kind
from edgexl.bundle.read import read_bundle
from edgexl.bundle.signing import new_key, sign_bundle, store_signature
from tests.command_line import Edgexl, Tiny, exl_run

# cells are for millions of labels, and no label here is described; `test_hostile.c` damages both
KINDS = [kind for kind in Kind if kind not in (Kind.CELLS, Kind.LABEL_DESCRIPTIONS)]


def refused_by_all(edgexl: Edgexl, bundle: Path, *words: str) -> None:
    """`bundle` is refused by every command that opens one, and by the C tool."""
    edgexl("inspect", bundle).refuses(2, bundle.name, *words)
    edgexl("run", bundle, "a text").refuses(2, bundle.name)
    edgexl("profile", bundle).refuses(2, bundle.name)
    exl_run(bundle, "a text").refuses(2, bundle.name)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name.lower())
def test_a_flipped_byte_in_any_section(kind: Kind, tiny: Tiny, tmp_path: Path, edgexl: Edgexl) -> None:
    entry = next(entry for entry in read_bundle(tiny.bundle).entries if entry.kind == kind)
    content = bytearray(tiny.bundle.read_bytes())
    content[entry.offset + entry.length // 2] ^= 0x10
    damaged = tmp_path / "damaged.exl"
    damaged.write_bytes(content)
    edgexl("inspect", damaged).refuses(2, "damaged.exl", kind.name)
    exl_run(damaged, "a text").refuses(2, "damaged.exl")


@pytest.mark.parametrize("place", [9, 33, 70, 63 + 64])
def test_a_flipped_byte_in_header_or_table(place: int, tiny: Tiny, tmp_path: Path, edgexl: Edgexl) -> None:
    content = bytearray(tiny.bundle.read_bytes())
    content[place] ^= 0x10
    damaged = tmp_path / "damaged.exl"
    damaged.write_bytes(content)
    refused_by_all(edgexl, damaged)


@pytest.mark.parametrize("share", [0.0, 0.0001, 0.1, 0.5, 0.99999])
def test_a_file_that_was_cut(share: float, tiny: Tiny, tmp_path: Path, edgexl: Edgexl) -> None:
    content = tiny.bundle.read_bytes()
    cut = tmp_path / "cut.exl"
    cut.write_bytes(content[: int(share * len(content))])
    refused_by_all(edgexl, cut)


def test_a_file_that_goes_on_after_its_end(tiny: Tiny, tmp_path: Path, edgexl: Edgexl) -> None:
    longer = tmp_path / "longer.exl"
    longer.write_bytes(tiny.bundle.read_bytes() + b"\0")
    refused_by_all(edgexl, longer)


def test_a_newer_major_version(tiny: Tiny, tmp_path: Path, edgexl: Edgexl) -> None:
    content = bytearray(tiny.bundle.read_bytes())
    struct.pack_into("<H", content, 8, MAJOR + 1)
    newer = tmp_path / "newer.exl"
    newer.write_bytes(content)
    edgexl("inspect", newer).refuses(2, "newer.exl", f"version {MAJOR + 1}", "newer")
    edgexl("run", newer, "a text").refuses(2, "newer.exl", "newer")
    exl_run(newer, "a text").refuses(2, "newer.exl", "newer")


def test_what_is_no_bundle_at_all(tmp_path: Path, edgexl: Edgexl) -> None:
    (tmp_path / "text.exl").write_text("not a bundle\n" * 100)
    (tmp_path / "directory.exl").mkdir()
    for name in ("text.exl", "directory.exl", "missing.exl"):
        refused_by_all(edgexl, tmp_path / name)


def test_a_signed_bundle_that_was_changed(tiny: Tiny, tmp_path: Path, edgexl: Edgexl) -> None:
    """Its own section is hashed as all others are; who mends the hashes is found out by the signature."""
    key = new_key()
    signed = tmp_path / "signed.exl"
    store_signature(tiny.bundle, sign_bundle(tiny.bundle, key, version=3), signed)
    content, place = signed.read_bytes(), read_bundle(signed).signed
    assert place is not None
    assert "3.1" in edgexl("inspect", signed).out
    assert exl_run(signed, "a text").status == 0
    damaged = bytearray(content)
    line = content.index(b"\n", place.offset) + 1  # base64 of the key's id, which comes first, and of the signature
    damaged[line + 60] = ord("A") if content[line + 60] != ord("A") else ord("B")
    signed.write_bytes(damaged)
    edgexl("inspect", signed).refuses(2, "signed.exl", "signature")
    exl_run(signed, "a text").refuses(2, "signed.exl", "hash")
    edgexl("verify", signed, "--key", key.public.line).refuses(2, "signed.exl", "signature")
    store_signature(tiny.bundle, None, signed)
    edgexl("verify", signed, "--key", key.public.line).refuses(2, "signed.exl", "no signature")

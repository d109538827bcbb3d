"""`edgexl run --device`: answers of another device, by a real sshd on loopback and in an emulated CPU."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgexl.device import ssh
from edgexl.device.emulated import why_not
from tests.command_line import Edgexl, Tiny
from tests.device.sshd import serve, why_no_server


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if reason := why_no_server():
        pytest.skip(reason)
    with serve(tmp_path_factory.mktemp("sshd")) as running, pytest.MonkeyPatch.context() as patch:
        patch.setattr(ssh, "CLIENT", running.client)
        yield running.address


def as_there(record: dict[str, Any]) -> dict[str, Any]:
    """An answer of this machine as exl-run tells it: it rounds to six digits, and counts no tokens."""
    labels = [label | {"probability": pytest.approx(label["probability"], rel=1e-5)} for label in record["labels"]]
    return {name: value for name, value in record.items() if name not in ("ms", "tokens")} | {"labels": labels}


@pytest.mark.parametrize(
    "options",
    [(), ("-k", "3"), ("--threshold", "0.9"), ("--threshold", "own"), ("--windows", "1")],
    ids=lambda words: " ".join(words) or "plain",
)
def test_a_text_is_answered_as_here(address: str, tiny: Tiny, edgexl: Edgexl, options: tuple[str, ...]) -> None:
    asked = ("run", tiny.bundle, 'it\'s a "small"\nred $HOME', *options, "--json")
    here, there = edgexl(*asked), edgexl(*asked, "--device", address)
    assert there.status == here.status == 0, there.err
    assert there.json == as_there(here.json) | {"ms": there.json["ms"]}
    assert list(there.json["ms"]) == list(here.json["ms"])
    shown = edgexl(*asked[:-1], "--device", address)
    assert shown.out.split("  ms:")[0] == edgexl(*asked[:-1]).out.split("  ms:")[0]


def test_a_stream_keeps_its_order_and_its_refusals(address: str, tiny: Tiny, edgexl: Edgexl) -> None:
    stdin = b"old king\n\xff\xfe\na red river\r\n"
    asked = ("run", tiny.bundle, "-", "--json")
    here, there = edgexl(*asked, stdin=stdin), edgexl(*asked, "--device", address, stdin=stdin)
    assert there.status == here.status == 2
    assert [line.get("text") for line in there.lines] == [line.get("text") for line in here.lines]
    assert there.lines[1]["error"] == here.lines[1]["error"]
    assert there.err == here.err
    nothing = edgexl(*asked, "--device", address, stdin=b"")
    assert (nothing.status, nothing.out) == (0, "")


def test_a_labels_way_is_told(address: str, tiny: Tiny, edgexl: Edgexl) -> None:
    label = edgexl("run", tiny.bundle, "old king", "--json").json["labels"][0]["id"]
    asked = ("run", tiny.bundle, "old king", "--explain", label, "--json")
    here, there = edgexl(*asked).json["explanation"], edgexl(*asked, "--device", address).json["explanation"]
    assert list(there) == list(here)
    for name, value in here.items():
        assert there[name] == (pytest.approx(value, rel=1e-4) if isinstance(value, float) else value), name


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("-k", "5000"), ("k is 5000", "shortlist")),
        (("--explain", "no such label"), ("no such label",)),
        (("--threads", "2"), ("tiny0/tiny.exl: the native engine", "leave threads at 1")),
        (("--coverage", "0.9"), ("--coverage is answered on this machine alone",)),
    ],
)
def test_what_is_wrong_is_one_sentence(
    address: str, tiny: Tiny, edgexl: Edgexl, options: tuple[str, ...], words: tuple[str, ...]
) -> None:
    edgexl("run", tiny.bundle, "old king", *options, "--device", address).refuses(2, *words)


def test_what_is_no_bundle(address: str, edgexl: Edgexl, tmp_path: Path) -> None:
    (tmp_path / "no.exl").write_bytes(b"nothing")
    edgexl("run", tmp_path / "no.exl", "old king", "--device", address).refuses(2, "is not an edgexl bundle")


@pytest.mark.slow
@pytest.mark.skipif(bool(why_not("cortex-a72")), reason=why_not("cortex-a72") or "it is there")
def test_an_emulated_cpu_answers(tiny: Tiny, edgexl: Edgexl) -> None:
    asked = ("run", tiny.bundle, "old king", "--json")
    there = edgexl(*asked, "--device", "emulated:raspberry-pi-4")
    assert there.status == 0, there.err
    assert [label["id"] for label in there.json["labels"]] == [label["id"] for label in edgexl(*asked).json["labels"]]


def test_a_key_is_asked_for_there_too(address: str, tiny: Tiny, tmp_path: Path, edgexl: Edgexl) -> None:
    key, other = tmp_path / "shop.key", tmp_path / "other.key"
    for each in (key, other):
        edgexl("keys", "new", each, "--no-password")
    edgexl("sign", tiny.bundle, "--key", key, "--version", "2", "-o", tmp_path / "signed.exl")
    asked = ("run", tmp_path / "signed.exl", "old king", "--key", tmp_path / "shop.pub", "--device", address)
    assert edgexl(*asked, "--least-version", "2").status == 0
    edgexl(*asked, "--least-version", "3").refuses(2, "3 is the least accepted")
    edgexl(*asked[:4], tmp_path / "other.pub", *asked[5:]).refuses(2, "not one of the trusted")

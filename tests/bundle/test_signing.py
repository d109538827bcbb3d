"""Signed bundles: minisign and edgexl check each other's signatures, and whatever was changed is refused."""

from __future__ import annotations

import base64
import hashlib
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgexl.base.errors import BadInput
from edgexl.bundle.layout import ENTRY, HEADER, SIGNATURE
from edgexl.bundle.read import read_bundle
from edgexl.bundle.signing import (
    PublicKey,
    SecretKey,
    Signature,
    new_key,
    parse_signature,
    read_public_key,
    read_secret_key,
    read_signature,
    sign,
    sign_bundle,
    store_signature,
    write_keys,
)
from edgexl.runtime.answers import NewLabel
from edgexl.runtime.binding import NotTrusted, open_bundle
from edgexl.runtime.declarations import read_header
from edgexl.runtime.library import call, load_library
from tests.command_line import Edgexl
from tests.runtime.tiny_bundle import build

TEXT = "old kings of cold rivers"
PASSWORD = "long enough"
needs_minisign = pytest.mark.skipif(shutil.which("minisign") is None, reason="minisign is not installed")


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return build(native=True).write(tmp_path_factory.mktemp("bundle") / "tiny.exl").read_bytes()


@pytest.fixture(scope="module")
def key() -> SecretKey:
    return new_key()


@pytest.fixture
def plain(content: bytes, tmp_path: Path) -> Path:
    (tmp_path / "plain.exl").write_bytes(content)
    return tmp_path / "plain.exl"


@pytest.fixture
def signed(plain: Path, key: SecretKey) -> Path:
    out = plain.with_name("signed.exl")
    store_signature(plain, sign_bundle(plain, key, version=3), out)
    return out


def opens(path: Path, *keys: PublicKey, **how: Any) -> str:
    """What it answers first, where it is opened."""
    with open_bundle(path, keys=[key.line for key in keys], **how) as bundle:
        return bundle.predict(TEXT, k=1).labels[0].id


def refused(path: Path, *keys: PublicKey, **how: Any) -> str:
    with pytest.raises(BadInput) as error:
        opens(path, *keys, **how)
    return str(error.value)


def minisign(*arguments: str | Path, typed: str = "") -> str:
    done = subprocess.run(
        ["minisign", *map(str, arguments)], input=typed, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done
    return done.stdout


def test_a_signature_changes_nothing_of_what_is_signed(plain: Path, signed: Path, key: SecretKey) -> None:
    content = plain.read_bytes()
    with_one = read_bundle(signed)
    assert with_one.signed_bytes == content[: HEADER.size + ENTRY.size * len(with_one.entries)]
    assert (with_one.major, with_one.minor) == (3, 1)
    assert parse_signature(with_one.signature) == sign_bundle(plain, key, 3) == sign_bundle(signed, key, 3)
    assert store_signature(signed, None) == len(content)
    assert signed.read_bytes() == content


def test_signing_again_takes_the_old_signature_s_place(plain: Path, signed: Path, key: SecretKey) -> None:
    again = plain.with_name("again.exl")
    store_signature(plain, sign_bundle(plain, key, version=4), again)
    store_signature(signed, sign_bundle(signed, key, version=4))
    assert signed.read_bytes() == again.read_bytes()


def test_the_signature_may_lie_in_the_bundle_beside_it_or_in_memory(plain: Path, signed: Path, key: SecretKey) -> None:
    answer = opens(plain)
    assert opens(signed, key.public) == answer
    text = sign_bundle(plain, key, version=3).text
    assert opens(plain, key.public, signature=text.encode()) == answer
    assert "holds no signature" in refused(plain, key.public)
    beside = plain.with_name("plain.exl.minisig")
    beside.write_bytes(text.replace("\n", "\r\n").encode())
    assert opens(plain, key.public) == answer
    beside.write_bytes(bytes(20000))
    assert "too long" in refused(plain, key.public)
    beside.write_bytes(b"")
    assert "holds no signature" in refused(plain, key.public)


def test_only_trusted_keys_count_and_only_new_versions(plain: Path, signed: Path, key: SecretKey) -> None:
    other = new_key()
    assert key.public.name in refused(signed, other.public)
    with open_bundle(signed, keys=[other.public.line, key.public.text], least_version=3, engine=False) as bundle:
        assert (bundle.info.signed_by, bundle.info.signed_version) == (1, 3)
    assert "version 3; 4 is" in refused(signed, key.public, least_version=4)
    same_id = SecretKey(key.id, other.seed, PublicKey(key.id, other.public.key))
    store_signature(plain, sign_bundle(plain, same_id), plain.with_name("forged.exl"))
    assert "does not hold" in refused(plain.with_name("forged.exl"), key.public)
    assert opens(plain.with_name("forged.exl"), key.public, same_id.public)  # the id is no more than a name
    with pytest.raises(NotTrusted):
        opens(plain, key.public)
    with open_bundle(signed, engine=False) as bundle:
        assert (bundle.info.signed_by, bundle.info.signed_version) == (None, 0)


def test_a_signature_without_a_version_is_version_0(plain: Path, key: SecretKey) -> None:
    store_signature(plain, sign_bundle(plain, key, comment="of the spring fair"))
    assert opens(plain, key.public)
    assert "version 0; 1 is" in refused(plain, key.public, least_version=1)


@pytest.mark.parametrize("comment", ["version:", "version:x", "version:1 version:2", f"version:{2**64}", "version:-1"])
def test_a_version_that_is_none_is_refused(comment: str, plain: Path, key: SecretKey) -> None:
    signature = sign(read_bundle(plain).signed_bytes, key, comment)
    assert "is no number, or two" in refused(plain, key.public, signature=signature.text.encode())
    with pytest.raises(BadInput, match="no number, or two"):
        _ = signature.version


def test_the_largest_version_and_words_around_it(plain: Path, key: SecretKey) -> None:
    signature = sign(read_bundle(plain).signed_bytes, key, f"our\tversion:{2**64 - 1} aversion:3")
    assert signature.version == 2**64 - 1
    assert opens(plain, key.public, signature=signature.text.encode(), least_version=2**64 - 1)


def test_every_byte_of_header_and_table_and_a_sample_of_the_others(signed: Path, key: SecretKey) -> None:
    """One bit of each is turned; nothing may open, whatever way it is refused."""
    content, bundle = bytearray(signed.read_bytes()), read_bundle(signed)
    assert bundle.signed is not None
    table = HEADER.size + ENTRY.size * (len(bundle.entries) + 1)
    inner = [place for entry in bundle.entries for place in (entry.offset, entry.offset + entry.length - 1)]
    own = range(bundle.signed.offset, bundle.signed.offset + bundle.signed.length)
    places = [*range(table), *inner, *own, *random.Random(24).sample(range(table, len(content)), 200)]
    library, header = load_library(), read_header()
    for place in places:
        content[place] ^= 1 << place % 8
        assert _status_of(library, header, bytes(content), key.public), f"byte {place} may be changed"
        content[place] ^= 1 << place % 8
    assert _status_of(library, header, bytes(content), key.public) == 0


def _status_of(library: Any, header: Any, content: bytes, key: PublicKey) -> int:
    import ctypes

    bundle = ctypes.c_void_p()
    options = header.make(
        "exl_open_options",
        flags=header.constants["EXL_OPEN_COPY"] | header.constants["EXL_OPEN_NO_ENGINE"],
        trusted_keys=(ctypes.c_char_p * 1)(key.line.encode()),
        trusted_key_count=1,
    )
    status, _ = call(
        library, "exl_bundle_open_memory", content, len(content), ctypes.byref(options), ctypes.byref(bundle)
    )
    if status == 0:
        library.exl_bundle_close(bundle)
    return status


def reseal(content: bytes, change: Callable[[bytearray], None]) -> bytes:
    """A change by one who mends the hashes behind it: of the last section, and of the table."""
    changed = bytearray(content)
    change(changed)
    count = int.from_bytes(changed[12:16], "little")
    end = HEADER.size + ENTRY.size * count
    kind, flags, offset, length, _, zero = ENTRY.unpack_from(changed, end - ENTRY.size)
    length = len(changed) - offset
    digest = hashlib.sha256(changed[offset:]).digest()
    ENTRY.pack_into(changed, end - ENTRY.size, kind, flags, offset, length, digest, zero)
    changed[16:24] = len(changed).to_bytes(8, "little")
    changed[32:64] = hashlib.sha256(changed[HEADER.size : end]).digest()
    return bytes(changed)


def test_nobody_changes_a_signature_that_is_stored(signed: Path, key: SecretKey) -> None:
    content, text = signed.read_bytes(), read_bundle(signed).signature

    def replaced(old: bytes, new: bytes) -> str:
        def change(bundle: bytearray) -> None:
            bundle[-len(text) :] = text.replace(old, new, 1)

        signed.write_bytes(reseal(content, change))
        read_bundle(signed)  # its hashes are right
        return refused(signed, key.public)

    assert "not written as stored ones are" in replaced(b"signature of", b"signed by")
    assert "not written as stored ones are" in replaced(b"\n", b"\r\n")
    assert "something behind it" in replaced(text, text + b"\n")
    assert "not written as stored ones are" in replaced(text, text[:-1])
    assert "does not hold" in replaced(b"version:3", b"version:4")
    assert "no trusted comment" in replaced(b"trusted comment: v", b"comment: v")
    lines = text.split(b"\n")
    assert "second line" in replaced(lines[1], lines[1][:-1])
    assert "not known" in replaced(lines[1], base64.b64encode(b"XX" + base64.b64decode(lines[1])[2:]))
    # a byte of base64 that stands for no bit
    loose = lines[3][:-3] + bytes([lines[3][-3] + 1]) + b"=="
    assert base64.b64decode(loose) == base64.b64decode(lines[3])
    assert "last line" in replaced(lines[3], loose)
    signed.write_bytes(reseal(content, lambda bundle: None))
    assert opens(signed, key.public)


def test_a_signature_stands_last_and_makes_version_3_1(signed: Path, plain: Path, key: SecretKey) -> None:
    for path, minor in ((signed, 0), (plain, 1)):
        content = bytearray(path.read_bytes())
        content[10] = minor
        path.write_bytes(content)
        for read in (read_bundle, opens):
            with pytest.raises(BadInput, match=r"kind 1000|signature"):
                read(path)


def test_hashes_may_wait_until_they_are_needed(signed: Path, content: bytes, key: SecretKey) -> None:
    codes = next(entry for entry in read_bundle(signed).entries if entry.name == "fine_codes")
    texts = next(entry for entry in read_bundle(signed).entries if entry.name == "label_texts")
    assert opens(signed, key.public, lazy=True)
    damaged = bytearray(signed.read_bytes())
    damaged[codes.offset] ^= 1
    signed.write_bytes(damaged)
    assert "fine_codes" in refused(signed, key.public)
    with open_bundle(signed, keys=[key.public.line], lazy=True) as bundle:
        assert bundle.labels_info().labels > 0
        for use in (
            lambda: bundle.predict(TEXT),
            lambda: bundle.explain(TEXT, 0),
            bundle.self_test,
            bundle.golden_texts,
            lambda: bundle.add_labels([NewLabel("new", "new")]),
        ):
            with pytest.raises(BadInput, match="fine_codes"):
                use()
    with (
        open_bundle(signed, keys=[key.public.line], lazy=True, verify=False) as bundle,
        pytest.raises(BadInput, match="fine_codes"),
    ):
        bundle.predict(TEXT)
    damaged[codes.offset] ^= 1
    damaged[texts.offset] ^= 1
    signed.write_bytes(damaged)
    assert "label_texts" in refused(signed, key.public, lazy=True)


def test_options_that_say_nothing_are_refused(plain: Path, key: SecretKey) -> None:
    assert "mean nothing without trusted_keys" in refused(plain, least_version=1)
    assert "mean nothing without trusted_keys" in refused(plain, signature=b"x")
    assert "EXL_OPEN_LAZY needs" in refused(plain, lazy=True, verify=False)
    with pytest.raises(BadInput, match="is no public key"):
        open_bundle(plain, keys=[key.public.line[:-4]])


def test_labels_survive_a_signature(plain: Path, key: SecretKey) -> None:
    with open_bundle(plain) as bundle:
        bundle.add_labels([NewLabel("new", TEXT)])
    store_signature(plain, sign_bundle(plain, key))
    with open_bundle(plain, keys=[key.public.line]) as bundle:
        assert bundle.predict(TEXT, k=1).labels[0].id == "new"


def test_keys_are_kept_and_read_again(tmp_path: Path, key: SecretKey) -> None:
    public = write_keys(tmp_path / "shop.key", key, PASSWORD)
    assert public == tmp_path / "shop.pub"
    assert (tmp_path / "shop.key").stat().st_mode & 0o777 == 0o600
    assert read_secret_key(tmp_path / "shop.key", lambda: PASSWORD) == key
    assert read_public_key(public) == read_public_key(key.public.line) == read_public_key(key.public.text) == key.public
    lines = (tmp_path / "shop.key").read_text().splitlines()
    (tmp_path / "damaged.key").write_text(f"{lines[0]}\n{lines[1][:-4]}AAA=\n")
    with pytest.raises(BadInput, match="password is wrong"):
        read_secret_key(tmp_path / "damaged.key", lambda: PASSWORD)
    with pytest.raises(BadInput, match="is there already"):
        write_keys(tmp_path / "shop.key", key)
    with pytest.raises(BadInput, match="no secret key"):
        read_secret_key(public, lambda: PASSWORD)
    with pytest.raises(BadInput, match="no public key"):
        read_public_key(tmp_path / "shop.key")
    assert str(key.seed) not in repr(key)


@needs_minisign
def test_minisign_checks_what_edgexl_signs(plain: Path, key: SecretKey, tmp_path: Path) -> None:
    (tmp_path / "table").write_bytes(read_bundle(plain).signed_bytes)
    (tmp_path / "table.minisig").write_text(sign_bundle(plain, key, 3, "of the spring fair").text)
    said = minisign("-V", "-m", tmp_path / "table", "-P", key.public.line)
    assert "Trusted comment: version:3 of the spring fair" in said


@needs_minisign
@pytest.mark.parametrize("legacy", [False, True], ids=["prehashed", "legacy"])
def test_edgexl_checks_what_minisign_signs(legacy: bool, plain: Path, tmp_path: Path, edgexl: Edgexl) -> None:
    minisign("-G", "-W", "-p", tmp_path / "m.pub", "-s", tmp_path / "m.key")
    assert edgexl("sign", plain, "--signed-bytes", tmp_path / "table").status == 0
    more = ["-l"] if legacy else []
    minisign("-S", *more, "-s", tmp_path / "m.key", "-m", tmp_path / "table", "-t", "version:7", "-x", tmp_path / "sig")
    public = read_public_key(tmp_path / "m.pub")
    assert opens(plain, public, signature=tmp_path / "sig", least_version=7)
    assert edgexl("sign", plain, "--signature", tmp_path / "sig").status == 0
    said = edgexl("verify", plain, "--key", tmp_path / "m.pub", "--least-version", "7", "--json").json
    assert (said["key"], said["version"]) == (public.name, 7)
    # its secret keys are edgexl's
    made = edgexl("sign", plain, "--key", tmp_path / "m.key", "--version", "8")
    assert made.status == 0, made
    assert opens(plain, public, least_version=8)


@needs_minisign
def test_minisign_signs_with_an_encrypted_key_of_edgexl(plain: Path, key: SecretKey, tmp_path: Path) -> None:
    write_keys(tmp_path / "shop.key", key, PASSWORD)
    (tmp_path / "table").write_bytes(read_bundle(plain).signed_bytes)
    minisign("-S", "-s", tmp_path / "shop.key", "-m", tmp_path / "table", typed=f"{PASSWORD}\n")
    assert opens(plain, key.public, signature=tmp_path / "table.minisig")
    assert read_signature(tmp_path / "table.minisig").key_name == key.public.name


@needs_minisign
@pytest.mark.slow
def test_edgexl_signs_with_an_encrypted_key_of_minisign(plain: Path, tmp_path: Path) -> None:
    """Which takes a gigabyte of memory, as minisign has it."""
    typed = f"{PASSWORD}\n{PASSWORD}\n"
    minisign("-G", "-p", tmp_path / "m.pub", "-s", tmp_path / "m.key", typed=typed)
    read = read_secret_key(tmp_path / "m.key", lambda: PASSWORD)
    store_signature(plain, sign_bundle(plain, read))
    assert opens(plain, read_public_key(tmp_path / "m.pub"))


def test_the_commands(plain: Path, tmp_path: Path, edgexl: Edgexl) -> None:
    key, public, content = tmp_path / "shop.key", tmp_path / "shop.pub", plain.read_bytes()
    made = edgexl("keys", "new", key, "--no-password", "--json").json
    assert made == {
        "secret": str(key), "public": str(public), "key": made["key"], "public_key": read_public_key(public).line
    }  # fmt: skip
    assert edgexl("keys", "show", public, "--json").json == {"key": made["key"], "public_key": made["public_key"]}
    how = "--key", key, "--version", 3
    said = edgexl("sign", plain, *how, "--detached", "--json").json
    assert (said["path"], said["version"]) == (f"{plain}.minisig", 3)
    assert plain.read_bytes() == content
    assert "version 3; all" in edgexl("verify", plain, "--key", public).out
    Path(said["path"]).unlink()
    edgexl("verify", plain, "--key", public).refuses(2, "plain.exl", "no signature")
    assert "signed by key" in edgexl("sign", plain, *how).out
    other = new_key().public.line
    assert "version 3" in edgexl("verify", plain, "--key", other, "--key", made["public_key"]).out
    edgexl("verify", plain, "--key", other).refuses(2, "not one of the trusted")
    edgexl("verify", plain, "--key", public, "--least-version", 4).refuses(2, "version 3; 4 is")
    edgexl("verify", plain).refuses(2, "--key")
    edgexl("sign", plain).refuses(2, "--key", "--signature")
    edgexl("sign", plain, "--key", key, "--remove").refuses(2, "one of")
    edgexl("sign", plain, "--signature", public).refuses(2, "no signature of minisign")
    edgexl("sign", plain, "--signature", plain, "--version", 3).refuses(2, "as it is")
    edgexl("sign", plain, *how[:-1], 0, "--comment", "version:3").refuses(2, "version of its own")
    edgexl("keys", "new", key, "--no-password").refuses(2, "is there already")
    edgexl("keys", "show", plain).refuses(2)
    assert edgexl("sign", plain, "--remove").status == 0
    assert plain.read_bytes() == content


@pytest.mark.filterwarnings("ignore:Can not control echo")
def test_a_password_comes_from_a_file_or_is_typed(plain: Path, tmp_path: Path, edgexl: Edgexl) -> None:
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    (tmp_path / "none").write_text("\n")
    key = tmp_path / "shop.key"
    assert edgexl("keys", "new", key, "--password-file", tmp_path / "password").status == 0
    assert edgexl("sign", plain, "--key", key, stdin=f"{PASSWORD}\n".encode()).status == 0
    assert opens(plain, read_public_key(tmp_path / "shop.pub"))
    edgexl("sign", plain, "--key", key, "--password-file", tmp_path / "none").refuses(2, "no password")
    edgexl("keys", "new", tmp_path / "other.key", "--no-password", "--password-file", tmp_path / "none").refuses(2)


def test_a_damaged_bundle_is_not_signed(plain: Path, key: SecretKey) -> None:
    content = bytearray(plain.read_bytes())
    content[-1] ^= 1
    plain.write_bytes(content)
    with pytest.raises(BadInput, match="damaged"):
        sign_bundle(plain, key)


def test_signatures_that_are_none() -> None:
    signature = Signature(bytes(8), bytes(64), "edgexl", bytes(64))
    text = signature.text.encode()
    assert parse_signature(text) == parse_signature(text.replace(b"\n", b"\r\n")) == signature
    for wrong in (b"", b"\xff", text[1:], text.replace(b"\nR", b"\nS"), text + b"x", text.replace(b"\ntrusted", b"\n")):
        with pytest.raises(BadInput):
            parse_signature(wrong)
    assert SIGNATURE == 1000

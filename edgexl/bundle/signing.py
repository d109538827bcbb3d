"""Signatures of bundles and patches, and the keys that make them, as minisign has them (https://jedisct1.github.io/minisign).

What is signed is a bundle's header and section table (`Bundle.signed_bytes`), which hold the hash of every section, or
a patch's header (`edgexl.bundle.patch.read_signed_bytes`), and a comment, in which stands the version that the signer
gives the bundle. A signature is text: a file beside the bundle, or a section at its end, which changes nothing of what
is signed. `minisign` checks what this makes, and the other way round. Who checks signatures is the runtime
(`edgexl.runtime.binding.open_bundle` with `keys`); nothing does here.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from edgexl.base.errors import BadInput, DeviceError, shorten
from edgexl.base.files import PathLike, check_output, read_input, write_bytes, write_file
from edgexl.bundle.layout import ENTRY, HEADER, MAGIC, SIGNATURE, SIGNED_MINOR, align
from edgexl.bundle.patch import read_signed_bytes
from edgexl.bundle.read import Bundle, read_bundle

# Of the file beside a bundle: its name and this.
SUFFIX = ".minisig"
MOST_SIGNATURE_BYTES = 16384
LARGEST_VERSION = 2**64 - 1

_UNTRUSTED, _TRUSTED = "untrusted comment: ", "trusted comment: "
# The first line is signed by nobody: a signature that is stored in a bundle has none but this, so that no byte of a
# bundle is anybody's. One of a patch names that instead.
_LINE = f"{_UNTRUSTED}signature of an edgexl "
_LONGEST_COMMENT = 1024
_PIECE_BYTES = 1 << 20
# kinds of signature, of key derivation and of checksum; salt, its work and memory; id, seed, public key and checksum
_SECRET = struct.Struct("<2s2s2s32sQQ8s32s32s32s")
_ENCRYPTED_BYTES = 104  # those from the id on
# scrypt's N = 2^17, r = 8, p = 1 (128 MB, half a second), in libsodium's measures; OWASP's least is that
_SCRYPT_WORK, _SCRYPT_MEMORY = 1 << 22, 1 << 27


@dataclass(frozen=True)
class PublicKey:
    """A key by which signatures are checked: the 8 bytes of its id, and 32 of Ed25519."""

    id: bytes
    key: bytes

    @property
    def name(self) -> str:
        """Its id as minisign shows it: 16 digits."""
        return f"{int.from_bytes(self.id, 'little'):016X}"

    @property
    def line(self) -> str:
        """The 56 characters by which an app names it."""
        return _encode(b"Ed" + self.id + self.key)

    @property
    def text(self) -> str:
        """The content of its file."""
        return f"{_UNTRUSTED}edgexl public key {self.name}\n{self.line}\n"


@dataclass(frozen=True)
class SecretKey:
    """A key that signs: its id, the 32 bytes that Ed25519 makes it of, and its public key."""

    id: bytes
    seed: bytes = field(repr=False)
    public: PublicKey

    def pack(self, password: str = "", salt: bytes | None = None) -> str:
        """The content of its file, encrypted where there is a password. `salt`: 32 bytes, by default new ones."""
        checksum = hashlib.blake2b(b"Ed" + self.id + self.seed + self.public.key, digest_size=32).digest()
        plain = self.id + self.seed + self.public.key + checksum
        if not password:
            packed = b"Ed\0\0B2" + bytes(48) + plain
        else:
            salt = os.urandom(32) if salt is None else salt
            head = b"EdScB2" + salt + struct.pack("<QQ", _SCRYPT_WORK, _SCRYPT_MEMORY)
            packed = head + _mask(plain, password, salt, _SCRYPT_WORK, _SCRYPT_MEMORY)
        return f"{_UNTRUSTED}edgexl {'encrypted' if password else 'unencrypted'} secret key\n{_encode(packed)}\n"


@dataclass(frozen=True)
class Signature:
    """A signature: who made it, of the message and of comment and itself, 64 bytes each; `comment` is trusted."""

    key_id: bytes
    of_message: bytes
    comment: str
    of_comment: bytes
    prehashed: bool = True

    @property
    def key_name(self) -> str:
        """The id of the key that made it, as minisign shows it."""
        return PublicKey(self.key_id, b"").name

    @property
    def version(self) -> int:
        """What stands behind "version:" in the comment; 0 where nothing does."""
        found = [word for word in re.split("[ \t]", self.comment) if word.startswith("version:")]
        if not found:
            return 0
        number = found[0].removeprefix("version:")
        if len(found) > 1 or not re.fullmatch("[0-9]+", number) or int(number) > LARGEST_VERSION:
            raise BadInput("The signature's comment has a version that is no number, or two of them; sign it again.")
        return int(number)

    @property
    def text(self) -> str:
        """The text of it that bundles hold."""
        return self.text_for("bundle")

    def text_for(self, what: str) -> str:
        """Its text, whose first line says that it is of a bundle or of a patch."""
        head = _encode((b"ED" if self.prehashed else b"Ed") + self.key_id + self.of_message)
        return f"{_LINE}{what}\n{head}\n{_TRUSTED}{self.comment}\n{_encode(self.of_comment)}\n"


def new_key() -> SecretKey:
    """A key that nobody has."""
    return secret_key(os.urandom(8), os.urandom(32))


def secret_key(uid: bytes, seed: bytes) -> SecretKey:
    """The key of this id and these 32 bytes. Raises `DeviceError` where `cryptography` is not installed."""
    return SecretKey(uid, seed, PublicKey(uid, _private(seed).public_key().public_bytes_raw()))


def read_public_key(key: str | os.PathLike[str]) -> PublicKey:
    """A public key: the text of its file, its line of base64, or the path of its file. Raises `BadInput`."""
    text = os.fspath(key)
    refusal = f"{shorten(repr(text))} is no public key of minisign's; give its file, or its line that begins with RW."
    if not re.match(rf"RW[\w+/]{{54}}\s*$|{_UNTRUSTED}", text, re.ASCII):
        if text.startswith("RW") and not os.path.exists(text):
            raise BadInput(refusal)
        text = read_input(text, 4096).decode("utf-8", "replace")
    lines = [line for line in text.splitlines() if line.strip()]
    packed = _decode(lines[-1], 42) if lines and len(lines) <= 2 else None
    if packed is None or packed[:2] != b"Ed" or (len(lines) == 2 and not lines[0].startswith(_UNTRUSTED)):
        raise BadInput(refusal)
    return PublicKey(packed[2:10], packed[10:])


def read_secret_key(path: PathLike, ask: Callable[[], str]) -> SecretKey:
    """The secret key in a file of edgexl's or minisign's; `ask` is asked for the password of an encrypted one.

    Raises `BadInput` where it is none or the password is wrong, `DeviceError` where the memory does not suffice that
    its password asks for (1 GB for minisign's own, 128 MB for edgexl's).
    """
    lines = read_input(path, 4096).decode("utf-8", "replace").splitlines()
    packed = _decode(lines[1], _SECRET.size) if len(lines) == 2 else None
    if packed is None:
        raise BadInput(f"{os.fspath(path)} is no secret key of minisign's; make one by `edgexl keys new`.")
    kind, derivation, check, salt, work, memory, *_ = _SECRET.unpack(packed)
    if kind != b"Ed" or check != b"B2" or derivation not in (b"Sc", b"\0\0"):
        raise BadInput(f"{os.fspath(path)} is a secret key of a kind that edgexl does not know.")
    content = packed[-_ENCRYPTED_BYTES:]
    if derivation == b"Sc":
        content = _mask(content, ask(), salt, work, memory)
    uid, seed, public, checksum = content[:8], content[8:40], content[40:72], content[72:]
    expected = hashlib.blake2b(b"Ed" + content[:72], digest_size=32).digest()
    # minisign writes none into a key without a password, and looks at none there
    if checksum != expected and (derivation == b"Sc" or any(checksum)):
        raise BadInput(f"{os.fspath(path)}: the password is wrong, or the file is damaged.")
    return SecretKey(uid, seed, PublicKey(uid, public))


def write_keys(path: Path, key: SecretKey, password: str = "") -> Path:
    """Write the secret key to `path`, readable by its owner alone, and the public key beside it, and give the latter's
    path. Raises `BadInput` where one of them is there already: what it has signed could not be signed again."""
    public = path.with_name(f"{path.name.removesuffix('.key')}.pub")
    for each in (path, public):
        if each.exists():
            raise BadInput(f"{each} is there already; give another path, or move it away.")
        check_output(each)
    with write_file(path) as stream:
        os.fchmod(stream.fileno(), 0o600)
        stream.write(key.pack(password).encode())
    write_bytes(public, key.public.text.encode())
    return public


def sign(message: bytes, key: SecretKey, comment: str) -> Signature:
    """Sign bytes and a comment of one line; the same of them give the same signature. Raises `BadInput` where the
    comment is none, `DeviceError` where `cryptography` is not installed."""
    if len(comment.encode()) > _LONGEST_COMMENT or not comment.replace("\t", " ").isprintable():
        raise BadInput(f"The comment is to be one line of at most {_LONGEST_COMMENT} bytes.")
    private = _private(key.seed)
    of_message: bytes = private.sign(hashlib.blake2b(message).digest())
    return Signature(key.id, of_message, comment, private.sign(of_message + comment.encode()))


def sign_bare(message: bytes, key: SecretKey) -> bytes:
    """The bare Ed25519 signature of bytes, 64 of them, as receipts have it. Raises `DeviceError` where `cryptography`
    is not installed."""
    made: bytes = _private(key.seed).sign(message)
    return made


def sign_bundle(path: PathLike, key: SecretKey, version: int = 0, comment: str = "") -> Signature:
    """The signature of a bundle, whose bytes are all checked before; `version` 0 gives it none.

    Raises `BadInput` where the bundle is not sound, `DeviceError` where `cryptography` is not installed.
    """
    comment = trusted_comment(version, comment)
    return sign(read_bundle(path).signed_bytes, key, comment)


def trusted_comment(version: int = 0, comment: str = "") -> str:
    """The comment that is signed: the version, unless it is 0, and what the signer says. Raises `BadInput`."""
    if not 0 <= version <= LARGEST_VERSION:
        raise BadInput(f"The version is {version}; it must lie within 1 and {LARGEST_VERSION}.")
    if "version:" in comment:
        raise BadInput("The comment has a version of its own; give it by itself.")
    words = [f"version:{version}"] if version else []
    return " ".join([*words, *([comment] if comment else [])]) or "edgexl"


def sign_patch(path: PathLike, key: SecretKey, comment: str = "") -> Signature:
    """The signature of a patch: of its header, which vouches for every byte. It has no version; the bundle that the
    patch makes has. Raises `BadInput` where it is no patch, `DeviceError` where `cryptography` is not installed."""
    if "version:" in comment:
        raise BadInput("A patch has no version; sign the bundle that it makes with one.")
    return sign(read_signed_bytes(path), key, comment or "edgexl")


def read_signature(path: PathLike) -> Signature:
    """The signature in a file that edgexl or minisign has written. Raises `BadInput`."""
    try:
        return parse_signature(read_input(path, MOST_SIGNATURE_BYTES))
    except BadInput as error:
        raise BadInput(f"{os.fspath(path)}: {error}") from None


def parse_signature(content: bytes) -> Signature:
    """Read a signature's text. Raises `BadInput`."""
    try:
        lines = content.decode().split("\n")
    except UnicodeDecodeError:
        lines = []
    lines = [line.removesuffix("\r") for line in (lines[:-1] if lines and not lines[-1] else lines)]
    head = _decode(lines[1], 74) if len(lines) == 4 else None
    tail = _decode(lines[3], 64) if len(lines) == 4 else None
    if head is None or tail is None or not lines[0].startswith(_UNTRUSTED) or not lines[2].startswith(_TRUSTED):
        raise BadInput("This is no signature of minisign's.")
    if head[:2] not in (b"ED", b"Ed"):
        raise BadInput("This is a signature of a kind that is not known.")
    return Signature(head[2:10], head[10:], lines[2].removeprefix(_TRUSTED), tail, head[:2] == b"ED")


def store_signature(path: PathLike, signature: Signature | None, out: PathLike | None = None) -> int:
    """Write the bundle with this signature in it, in place of one that it may hold, or with none; gives the file's
    bytes. `out` is where to, by default the bundle's own path, in one step. Raises `BadInput`, `DeviceError`."""
    bundle = read_bundle(path)
    with write_file(path if out is None else out) as stream:
        return _write(stream, bundle, signature.text.encode() if signature else b"")


def _write(stream: BinaryIO, bundle: Bundle, text: bytes) -> int:
    head = bundle.signed_bytes
    _, major, minor, count, end, alignment, flags, digest = HEADER.unpack_from(head)
    table, place = head[HEADER.size :], align(end)
    if text:
        table += ENTRY.pack(SIGNATURE, 0, place, len(text), hashlib.sha256(text).digest(), 0)
        minor, count, digest = max(minor, SIGNED_MINOR), count + 1, hashlib.sha256(table).digest()
    length = place + len(text) if text else end
    stream.write(HEADER.pack(MAGIC, major, minor, count, length, alignment, flags, digest) + table)
    begin = bundle.entries[0].offset  # which no table reaches
    stream.write(bytes(begin - HEADER.size - len(table)))
    for start in range(begin, end, _PIECE_BYTES):
        stream.write(bundle.data[start : min(start + _PIECE_BYTES, end)])
    if text:
        stream.write(bytes(place - end) + text)
    return length


def _private(seed: bytes):  # type: ignore[no-untyped-def] # of an extra
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    except ModuleNotFoundError:
        raise DeviceError(
            "The package cryptography is not installed; signing needs `pip install 'edgexl[sign]'`."
        ) from None
    return Ed25519PrivateKey.from_private_bytes(seed)


def _mask(content: bytes, password: str, salt: bytes, work: int, memory: int) -> bytes:
    """The content, encrypted or decrypted by a password: libsodium's scryptsalsa208sha256 with these limits."""
    if not 1 << 15 <= work <= 1 << 30 or not 1 << 14 <= memory <= 1 << 32:
        raise BadInput("The secret key asks for a derivation of its password that edgexl does not do.")
    if work < memory // 32:
        cost, parallel = _power_above(work // 32 // 2), 1
    else:
        cost = _power_above(memory // 1024 // 2)
        parallel = max(1, min(work // 4 // cost, 0x3FFFFFFF) // 8)
    try:
        stream = hashlib.scrypt(
            password.encode(), salt=salt, n=cost, r=8, p=parallel, maxmem=1024 * cost + (1 << 25), dklen=len(content)
        )
    except (MemoryError, ValueError) as error:
        raise DeviceError(f"The secret key's password cannot be used here: {error}.") from None
    return bytes(one ^ other for one, other in zip(content, stream, strict=True))


def _power_above(number: int) -> int:
    """The least power of two, from 2 on, that is larger."""
    return max(2, 1 << number.bit_length())


def _encode(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _decode(line: str, count: int) -> bytes | None:
    """So many bytes of base64, written as `_encode` does; else None."""
    try:
        content = base64.b64decode(line, validate=True)
    except (binascii.Error, ValueError):
        return None
    return content if len(content) == count and _encode(content) == line else None

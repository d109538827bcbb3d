"""Sign a bundle or a patch, and see who has signed one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from edgexl.base.errors import BadInput
from edgexl.base.files import write_bytes
from edgexl.bundle.patch import check_blocks, is_patch, read_signed_bytes
from edgexl.bundle.read import read_bundle
from edgexl.bundle.signing import (
    SUFFIX,
    PublicKey,
    Signature,
    read_secret_key,
    read_signature,
    sign_bundle,
    sign_patch,
    store_signature,
)


def sign(
    bundle: Path,
    key: Path | None,
    ask: Callable[[], str],
    version: int = 0,
    comment: str = "",
    detached: bool = False,
    signature: Path | None = None,
    out: Path | None = None,
) -> dict[str, Any]:
    """Sign a bundle or a patch with the secret key in a file, whose password `ask` gives, or take the `signature` that
    minisign has made of it; then store it in the bundle, or, `detached`, write it beside the bundle. A patch's lies
    beside it.

    `version` is the number by which apps refuse an older bundle (0: none), `comment` is signed as well; `out` is the
    file to write. Gives its `path` and `bytes`, the `key`'s id and the `version`. Raises `BadInput`, `DeviceError`.
    """
    if (key is None) == (signature is None):
        raise BadInput("Give either a secret key to sign with (--key), or a signature to store (--signature).")
    if is_patch(bundle):
        return _sign_patch(bundle, key, ask, version, comment, out)
    if signature is not None and (version or comment or detached):
        raise BadInput("A signature that was made has its version and comment; it can only be stored as it is.")
    made = sign_bundle(bundle, read_secret_key(key, ask), version, comment) if key else read_signature(signature or "")
    place = out or (bundle.with_name(bundle.name + SUFFIX) if detached else bundle)
    if detached:
        content = made.text.encode()
        write_bytes(place, content)
        size = len(content)
    else:
        size = store_signature(bundle, made, place)
    return {"path": str(place), "bytes": size, **_describe(made)}


def _sign_patch(
    patch: Path, key: Path | None, ask: Callable[[], str], version: int, comment: str, out: Path | None
) -> dict[str, Any]:
    if key is None:
        raise BadInput(f"What minisign has made of a patch is not stored in it; name it {patch.name}{SUFFIX}.")
    if version:
        raise BadInput("A patch has no version; sign the bundle that it makes with one.")
    made = sign_patch(patch, read_secret_key(key, ask), comment)
    content, place = made.text_for("patch").encode(), out or patch.with_name(patch.name + SUFFIX)
    write_bytes(place, content)
    return {"path": str(place), "bytes": len(content), **_describe(made)}


def unsign(bundle: Path, out: Path | None = None) -> dict[str, Any]:
    """Take the signature out of a bundle: what is left is the file that was compiled. Gives `path` and `bytes`."""
    place = out or bundle
    return {"path": str(place), "bytes": store_signature(bundle, None, place)}


def write_signed_bytes(bundle: Path, out: Path) -> int:
    """Write what is signed of a bundle or a patch, for `minisign -S` or `minisign -V`, and give its bytes."""
    content = read_signed_bytes(bundle) if is_patch(bundle) else read_bundle(bundle).signed_bytes
    write_bytes(out, content)
    return len(content)


def verify(
    bundle: Path,
    keys: Iterable[str | os.PathLike[str]],
    least_version: int = 0,
    signature: Path | None = None,
) -> dict[str, Any]:
    """Open a bundle as an app does that trusts these keys, every hash checked: `bundle`, `key` (the line of the one
    that has signed it), `version`, `sections`, `bytes`. Of a patch: `patch`, `key` and `bytes`. Raises `NotTrusted`,
    `BadInput`."""
    from edgexl.bundle.signing import read_public_key
    from edgexl.runtime.binding import open_bundle

    known = [read_public_key(key) for key in keys]
    if not known:
        raise BadInput("Give the public key that is to have signed the bundle (--key).")
    if is_patch(bundle):
        return _verify_patch(bundle, known, least_version, signature)
    lines = [key.line for key in known]
    with open_bundle(bundle, engine=False, keys=lines, least_version=least_version, signature=signature) as handle:
        info = handle.info
    place = info.signed_by or 0
    return {
        "bundle": str(bundle),
        "key": known[place].name,
        "public_key": lines[place],
        "version": info.signed_version,
        "sections": len(read_bundle(bundle, verify=False).entries),
        "bytes": info.file_bytes,
    }


def _verify_patch(patch: Path, keys: Sequence[PublicKey], least_version: int, signature: Path | None) -> dict[str, Any]:
    """Every block's hash, too: what is signed vouches for the first, and each for the next."""
    from edgexl.runtime.binding import NotTrusted
    from edgexl.runtime.patches import verify_patch

    if least_version:
        raise BadInput("A patch has no version; the bundle that it makes has.")
    beside = patch.with_name(patch.name + SUFFIX) if signature is None else signature
    if not beside.exists():
        raise NotTrusted(f"{patch}: there is no signature of it in {beside}.")
    verify_patch(read_signed_bytes(patch), [key.line for key in keys], beside)
    check_blocks(patch)
    made = read_signature(beside)
    key = next(key for key in keys if key.id == made.key_id)
    return {"patch": str(patch), "key": key.name, "public_key": key.line, "bytes": patch.stat().st_size}


def _describe(signature: Signature) -> dict[str, Any]:
    return {"key": signature.key_name, "version": signature.version}

"""Whether an Ed25519 signature holds, by the runtime's own check (ed25519.h)."""

from __future__ import annotations

import ctypes

from edgexl.bundle.signing import PublicKey
from edgexl.runtime.private_library import PrivateLibrary

SIGNATURE_BYTES = 64


def is_signed_by(key: PublicKey, message: bytes, signature: bytes) -> bool:
    """Whether the key's owner has signed the message with this bare signature of 64 bytes; one of another length is
    none. Raises `DeviceError` without the private library."""
    if len(signature) != SIGNATURE_BYTES:
        return False
    check = PrivateLibrary().function("exl__ed25519_check")
    return bool(check(signature, key.key, message, ctypes.c_size_t(len(message)), b"", ctypes.c_size_t(0)))

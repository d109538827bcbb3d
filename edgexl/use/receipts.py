"""How `edgexl run` makes receipts: under which key, and by whom they are signed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgexl.base.errors import BadInput
from edgexl.bundle.receipt import add_signature, parse_receipts, read_receipt_key
from edgexl.bundle.signing import SecretKey, read_secret_key, sign_bare
from edgexl.runtime.binding import BundleHandle, Prediction


def check_engine(engine: str) -> None:
    """Raise `BadInput` for a bundle whose answers other processors do not give again."""
    if engine != "native":
        raise BadInput(
            f"The engine {engine} gives no receipts, because its answers differ between processors; compile for the "
            "engine native."
        )


@dataclass(frozen=True)
class Receipting:
    """`key`: the file of the secret by which texts are hashed; `signer`: whose signature receipts get, if any."""

    key: Path
    secret: bytes
    signer: SecretKey | None = None

    @classmethod
    def of_files(cls, key: Path, signer: Path | None, ask: Callable[[], str]) -> Receipting:
        """With what the files hold; `ask` gives the password of an encrypted `signer`. Raises `BadInput`."""
        return cls(key, read_receipt_key(key), read_secret_key(signer, ask) if signer else None)

    def predict(
        self,
        handle: BundleHandle,
        text: str,
        k: int | None,
        threshold: float | None,
        coverage: float | None,
        windows: int,
    ) -> tuple[bytes, Prediction]:
        """A receipt and its answer, as `BundleHandle.receipt` gives them, of now."""
        sign = self.sign if self.signer else None
        return handle.receipt(text, self.secret, k, threshold, coverage, windows, time=int(time.time()), sign=sign)

    def sign(self, record: bytes) -> bytes:
        """The signature of a record; none without a signer."""
        return sign_bare(record, self.signer) if self.signer else b""

    def complete(self, receipt: bytes) -> bytes:
        """A receipt that another device made, signed here."""
        (read,) = parse_receipts(receipt)
        return add_signature(read.record, self.sign(read.record))

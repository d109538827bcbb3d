"""Vectors of texts by a teacher's encoder: made in batches on its device, checked, and remembered between runs.

Vectors are kept in fp16 in the user's cache directory under a hash of the encoder and the texts, so that a second
study or distillation on the same data skips the encoding; nothing depends on the cache being there.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from edgexl.base.errors import BadInput
from edgexl.base.fetch import cache_directory
from edgexl.base.progress import Progress, no_progress
from edgexl.base.sealed import is_sealed, write_sealed
from edgexl.distill.stages.search import encode_table
from edgexl.student.text import encode_texts
from edgexl.student.tokens import TokenTable

# Shorter lists take a second or two to encode, and training asks for many of them: they would litter the cache.
SMALLEST_KEPT = 2048


class Encoder(Protocol):
    """What turns texts into vectors. `identity` (hex) stands for all that they depend on, `name` is for people. Texts
    with the same `max_tokens` tokens have the same vector; without a tokenizer of edgexl's, the same texts."""

    identity: str
    name: str
    max_tokens: int

    @property
    def tokenizer(self) -> Tokenizer | None: ...

    def encode(self, texts: Sequence[str], progress: Progress) -> Tensor:
        """Unit vectors [len(texts), w] in fp32 on the CPU; not yet checked."""
        ...


@dataclass
class ScreenerEncoder:
    """An `Encoder` made of a screener (see `edgexl.student.contract`), which is on `device` already."""

    identity: str
    name: str
    screener: nn.Module
    tokenizer: Tokenizer
    max_tokens: int
    device: torch.device

    def encode(self, texts: Sequence[str], progress: Progress) -> Tensor:
        if not texts:
            return torch.empty(0, 0)
        tokens = TokenTable.of(encode_texts(self.tokenizer, texts, self.max_tokens), self.device)
        return encode_table(self.screener, tokens, f"encode by {self.name}", progress, self.max_tokens).cpu()


class TextVectors:
    """Vectors by one encoder; parts of the last lists that it was asked for are looked up, not encoded again."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        # queries and label rows; both are mapped files, so that remembering them costs next to no memory
        self._recent: deque[tuple[dict[str, int], Tensor]] = deque(maxlen=2)

    def __call__(self, texts: Sequence[str], progress: Progress = no_progress) -> Tensor:
        """Unit vectors [len(texts), w] in fp16 on the CPU. Raises `BadInput` where they are not finite."""
        for places, vectors in self._recent:
            rows = [places.get(text, -1) for text in texts]
            if rows == list(range(len(vectors))):
                return vectors
            if min(rows, default=0) >= 0:
                return vectors[torch.tensor(rows, dtype=torch.int64)]
        vectors = encode_with_cache(self._encoder, texts, progress)
        if len(texts) >= SMALLEST_KEPT:
            self._recent.append(({text: place for place, text in enumerate(texts)}, vectors))
        return vectors


def encode_with_cache(encoder: Encoder, texts: Sequence[str], progress: Progress = no_progress) -> Tensor:
    """Unit vectors [len(texts), w] in fp16 on the CPU; of a long list a mapped file, out of the cache if it is there.

    Raises `BadInput` where the encoder's output is not finite.
    """
    if len(texts) < SMALLEST_KEPT:
        return _encode(encoder, texts, progress)
    path = _kept_path(encoder, texts)
    kept = _map(path)
    if kept is not None:
        return kept
    vectors = _encode(encoder, texts, progress)
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_sealed(path) as file:
        np.save(file, vectors.numpy(), allow_pickle=False)
    mapped = _map(path)
    return vectors if mapped is None else mapped


def _map(path: Path) -> Tensor | None:
    """The vectors in a file of the cache; None where it is missing or damaged."""
    if not is_sealed(path):
        return None
    try:
        # copy on write, for tensors over read-only memory are none
        kept = np.load(path, mmap_mode="c", allow_pickle=False)
    except (OSError, ValueError):
        return None
    return torch.from_numpy(kept) if kept.dtype == np.float16 and kept.ndim == 2 else None


def _encode(encoder: Encoder, texts: Sequence[str], progress: Progress) -> Tensor:
    vectors = encoder.encode(texts, progress).to(torch.float16)
    require_finite(vectors, encoder.name, "a vector", texts)
    return vectors


def _kept_path(encoder: Encoder, texts: Sequence[str]) -> Path:
    digest = hashlib.sha256(encoder.identity.encode())
    for text in texts:
        digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
    return cache_directory() / "teacher" / f"{digest.hexdigest()[:32]}.npy"


def require_finite(values: Tensor, name: str, what: str, texts: Sequence[str]) -> None:
    """Raise `BadInput` where a row of `values` [len(texts), ...] holds NaN or an infinity."""
    wrong = ~values.isfinite().flatten(1).all(1)
    if wrong.any():
        first = int(wrong.nonzero()[0, 0])
        raise BadInput(
            f"The teacher {name} gives {what} that is not finite (NaN or infinite) for {int(wrong.sum())} of "
            f"{len(texts)} texts, first for {texts[first][:60]!r}: its weights are damaged or too large; check them."
        )


def leading_directions(vectors: Tensor, count: int) -> Tensor:
    """[count, width] orthonormal: the leading principal directions of vectors [n, width], not centred."""
    values = vectors.to(torch.float32)
    _, directions = torch.linalg.eigh(values.T @ values)
    leading: Tensor = directions.flip(1)[:, :count].T.contiguous()
    return leading

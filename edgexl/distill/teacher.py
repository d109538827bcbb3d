"""The teacher: a sentence encoder whose vectors both stages are distilled from, remembered between runs.

Vectors are kept in fp16 in the user's cache directory under a hash of the teacher's weights and the texts, so that a
second distillation on the same data skips the encoding; nothing depends on the cache being there.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from edgexl.fetch import cache_directory
from edgexl.progress import Progress
from edgexl.student.encode import encode_vectors
from edgexl.student.importer import import_sentence_transformer, locate_model
from edgexl.student.screener import TransformerScreener


@dataclass(frozen=True)
class Teacher:
    """A sentence encoder, its tokenizer, its directory and the hash of its weights."""

    directory: Path
    encoder: TransformerScreener
    tokenizer: Tokenizer
    weights_sha256: str


def open_teacher(source: str) -> Teacher:
    """Fetch and load the teacher `source`: a directory, a packaged model's name, or a hub id."""
    directory = locate_model(source)
    imported = import_sentence_transformer(directory)
    return Teacher(directory, imported.screener, imported.tokenizer, imported.provenance["weights_sha256"])


def teacher_vectors(teacher: Teacher, texts: Sequence[str], name: str, progress: Progress) -> Tensor:
    """Unit vectors [len(texts), width] in fp16; `name` is what `progress` calls the work."""
    digest = hashlib.sha256(teacher.weights_sha256.encode())
    for text in texts:
        digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
    path = cache_directory() / "teacher" / f"{digest.hexdigest()[:32]}.npy"
    if path.is_file():
        kept = np.load(path, allow_pickle=False)
        if kept.shape == (len(texts), teacher.encoder.config.state_dims):
            return torch.from_numpy(kept)
    vectors = encode_vectors(
        teacher.encoder,
        teacher.tokenizer,
        texts,
        bfloat16=True,
        progress=lambda done, total: progress(name, done, total),
    ).to(torch.float16)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        np.save(file, vectors.numpy(), allow_pickle=False)
    os.replace(temporary, path)
    return vectors


def leading_directions(vectors: Tensor, count: int) -> Tensor:
    """[count, width] orthonormal: the leading principal directions of vectors [n, width], not centred."""
    values = vectors.to(torch.float32)
    _, directions = torch.linalg.eigh(values.T @ values)
    leading: Tensor = directions.flip(1)[:, :count].T.contiguous()
    return leading

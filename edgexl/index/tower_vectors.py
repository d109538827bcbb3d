"""A label tower's vectors of rows, remembered on disk: a student is judged and compiled by the same ones, and a large
tower takes long to make them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import torch

from edgexl.base.arrays import Floats
from edgexl.base.progress import StageProgress, no_stage_progress
from edgexl.index.row_cache import RowCache
from edgexl.student.label_tower import MAX_TOKENS, LabelTower

# Raise it when the same tower makes other vectors of the same texts.
_FORM = 1


def encode_by_tower(
    tower: LabelTower, texts: Sequence[str], threads: int | None = None, progress: StageProgress = no_stage_progress
) -> Floats:
    """Unit vectors [len(texts), d] in float32. Raises `BadInput` where they are not known and the tower cannot be had,
    or is not the one that the student was trained with."""
    cache, key = RowCache.of_user(), _key(tower, texts)
    if known := cache.get(key, 1):
        progress(len(texts), len(texts))
        return known[0]
    vectors = tower.encode(texts, threads, progress)
    cache.put(key, vectors)
    return vectors


def _key(tower: LabelTower, texts: Sequence[str]) -> str:
    about = [_FORM, torch.__version__, MAX_TOKENS, tower.weights_sha256, list(tower.projection.shape)]
    digest = hashlib.sha256(json.dumps(about).encode())
    digest.update(tower.projection.to(torch.float32).contiguous().numpy().tobytes())
    for text in texts:
        digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()

"""What tells weights from others."""

from __future__ import annotations

import hashlib
from pathlib import Path

from edgexl.student.importing.tensors import Tensors


def test_weights_are_known_by_their_files_hash_or_by_one_over_those_of_several(tmp_path: Path) -> None:
    files = (tmp_path / "a", tmp_path / "b")
    hashes = []
    for path in files:
        path.write_text(path.name)
        hashes.append(hashlib.sha256(path.name.encode()).hexdigest())
    assert Tensors(tmp_path, {}, files[:1]).sha256() == hashes[0]
    assert Tensors(tmp_path, {}, files).sha256() == hashlib.sha256("".join(hashes).encode()).hexdigest()

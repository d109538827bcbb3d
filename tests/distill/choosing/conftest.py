"""A shop small enough to distil for in seconds: labels, past queries that damage their names, and an encoder."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from edgexl.compiler.from_files import Sources
from edgexl.data.damage import Damage
from tests.distill.conftest import write_teacher
from tests.tiny import tiny_labels

LABELS, QUERIES = 200, 420


@dataclass(frozen=True)
class Shop:
    """The files, and the damage that the queries were made with."""

    folder: Path
    sources: Sources
    damage: Damage

    def write_queries(self, count: int, seed: int = 0) -> None:
        """Past queries, each of another text."""
        labels, rng = tiny_labels(LABELS), np.random.default_rng(seed)
        found: dict[str, str] = {}
        while len(found) < count:
            label = int(rng.integers(LABELS))
            found.setdefault(self.damage.apply(labels.texts[label], rng), labels.ids[label])
        with open(self.folder / "past.csv", "w", newline="") as stream:
            csv.writer(stream).writerows([("query", "label"), *found.items()])


@pytest.fixture(scope="session")
def small_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_teacher(tmp_path_factory.mktemp("model") / "encoder", seed=1)


@pytest.fixture
def shop(tmp_path: Path, small_encoder: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    labels = tiny_labels(LABELS)
    with open(tmp_path / "labels.csv", "w", newline="") as stream:
        csv.writer(stream).writerows([("sku", "name"), *zip(labels.ids, labels.texts, strict=True)])
    sources = Sources(tmp_path / "labels.csv", str(small_encoder), tmp_path / "past.csv")
    made = Shop(tmp_path, sources, Damage(0.3, (0.5, 0.5), (0.25, 0.25, 0.25, 0.25)))
    made.write_queries(QUERIES)
    return made

"""A label tower (`edgexl.student.label_tower`) in a distillation: the vectors that the screener learns to meet.

They do not change while it trains. Where a tower stands in for the screener, rows take the tower's vectors everywhere:
in the pools of stage one, in mining, in the shortlists of stage two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from edgexl.base.progress import Progress
from edgexl.distill.corpus.rows import RowTable
from edgexl.distill.stages.screening import TowerVectors, unit
from edgexl.distill.teachers.vectors import ScreenerEncoder, encode_with_cache, leading_directions
from edgexl.student.label_tower import LabelTower, locate_source, open_model
from edgexl.student.weights import round_trip

# Label texts that settle the leading directions.
_DIRECTIONS_FROM = 50_000


@dataclass(frozen=True)
class TowerLessons:
    """The tower `source`, and the rows of the student's index, whose vectors are to have `dims` dimensions."""

    source: str
    rows: RowTable
    dims: int
    device: torch.device
    progress: Progress

    @cached_property
    def _encoder(self) -> ScreenerEncoder:
        model = open_model(self.source)
        screener = model.screener.to(self.device)
        return ScreenerEncoder(
            model.provenance["weights_sha256"], model.provenance["imported_from"], screener, model.tokenizer,
            screener.config.max_tokens, self.device,
        )  # fmt: skip

    @cached_property
    def identity(self) -> str:
        """The hash of the model's weights."""
        return self._encoder.identity

    def forget(self) -> None:
        """Let go of the model, which is opened again when it is wanted."""
        self.__dict__.pop("_encoder", None)

    def start(self) -> LabelTower:
        """The tower with its leading principal directions over the label texts as projection."""
        vectors = self._row_vectors()
        width = vectors.shape[1]
        if width <= self.dims:
            projection = torch.eye(self.dims, width)
        else:
            step = max(1, self.rows.labels // _DIRECTIONS_FROM)
            projection = leading_directions(vectors[: self.rows.labels : step], self.dims)
        return LabelTower(locate_source(self.source), self.identity, projection)

    def vectors(self, tower: LabelTower, texts: Sequence[str]) -> TowerVectors:
        """The tower's vectors of queries' texts and of all rows."""
        queries = encode_with_cache(self._encoder, texts, self.progress)
        return TowerVectors(self._project(queries, tower), self.rows_by(tower))

    def rows_by(self, tower: LabelTower) -> Tensor:
        """The tower's vectors [rows,d] in fp16."""
        return self._project(self._row_vectors(), tower)

    def _row_vectors(self) -> Tensor:
        return encode_with_cache(self._encoder, self.rows.texts, self.progress)

    def _project(self, vectors: Tensor, tower: LabelTower) -> Tensor:
        projection = tower.projection.to(self.device)
        parts = [vectors[start : start + 65_536].to(self.device) for start in range(0, len(vectors), 65_536)]
        return torch.cat([unit(part.float() @ projection.T).half() for part in parts])


def turn(tower: LabelTower, rotation: Tensor) -> LabelTower:
    """The tower with its vectors times `rotation` [d,d], as it will be read back from disk."""
    turned = tower.then(rotation)
    return replace(turned, projection=round_trip({"projection": turned.projection})["projection"])

"""The label tower: a larger encoder that gives a student's labels their vectors.

Labels are encoded once, by the compiler, so that their encoder may be any size: a sentence-transformers model that
the importer knows, and a projection of its vectors to the student's width. It never runs on the device, where the
student's screener has learnt to meet its vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from edgexl.base.arrays import Floats
from edgexl.base.errors import BadInput
from edgexl.base.progress import StageProgress, no_stage_progress
from edgexl.student.encode import length_batches
from edgexl.student.importer import ImportedScreener, import_sentence_transformer
from edgexl.student.text import encode_texts, pad

# Tokens that a tower reads of a text, as far as the model itself reads so many.
MAX_TOKENS = 128
# Tokens that run at once: a batch is one thread's.
_BATCH_TOKENS = 4096


@dataclass(frozen=True)
class LabelTower:
    """A text's vector is unit(`projection` [d,w] @ the model's vector).

    `source` is what `import_sentence_transformer` takes, `weights_sha256` what that says of the model's weights.
    """

    source: str
    weights_sha256: str
    projection: Tensor

    def __post_init__(self) -> None:
        shape = list(self.projection.shape)
        if self.projection.ndim != 2 or not min(shape):
            raise BadInput(f"The label tower's projection is {shape}; it must be [dimensions, width of the model].")
        if not bool(torch.isfinite(self.projection).all()):
            raise BadInput("The label tower's projection holds numbers that are not finite.")

    @property
    def dims(self) -> int:
        """The length of the vectors."""
        return int(self.projection.shape[0])

    @property
    def width(self) -> int:
        """The length of the model's own vectors."""
        return int(self.projection.shape[1])

    def then(self, matrix: Tensor) -> LabelTower:
        """The tower with `matrix` [e,d] behind its vectors."""
        return replace(self, projection=matrix.to("cpu", torch.float32) @ self.projection)

    def describe(self) -> dict[str, Any]:
        """For provenance and manifests: a directory is told by its name, not by its place."""
        name = Path(self.source).name if Path(self.source).is_absolute() else self.source
        return {"model": name, "weights_sha256": self.weights_sha256, "width": self.width}

    def open(self) -> ImportedScreener:
        """The model. Raises `BadInput` where it cannot be had, or is not the one that the student was trained with."""
        model = open_model(self.source)
        width, digest = width_of(model), model.provenance["weights_sha256"]
        if width != self.width:
            raise BadInput(
                f"The label tower {self.source} gives vectors of {width} dimensions, but the student was trained with "
                f"ones of {self.width}; give it the model that it was trained with."
            )
        if digest != self.weights_sha256:
            raise BadInput(
                f"The label tower {self.source} has weights of sha256 {digest}, but the student was trained with those "
                f"of {self.weights_sha256}; give it that version of the model."
            )
        return model

    def encode(
        self, texts: Sequence[str], threads: int | None = None, progress: StageProgress = no_stage_progress
    ) -> Floats:
        """Unit vectors [len(texts), d], the same by any number of `threads` (left out: as many as torch has).

        Raises what `open` raises.
        """
        model = self.open()
        projection = self.projection.to(torch.float32)
        rows = encode_texts(model.tokenizer, texts, model.screener.config.max_tokens, model.prompts.label)
        out = torch.empty(len(rows), self.dims)

        @torch.inference_mode()
        def run(batch: list[int]) -> int:
            ids, mask = (torch.from_numpy(part) for part in pad([rows[index] for index in batch]))
            out[batch] = nn.functional.normalize(model.screener(ids, mask)[0] @ projection.T, dim=-1)
            return len(batch)

        done, had = 0, torch.get_num_threads()
        # sums that several threads share come out another way for each number of them
        torch.set_num_threads(1)
        pool = ThreadPoolExecutor(threads or had)
        try:
            for count in pool.map(run, length_batches([len(row) for row in rows], _BATCH_TOKENS)):
                done += count
                progress(done, len(rows))
        finally:
            pool.shutdown(cancel_futures=True)
            torch.set_num_threads(had)
        return out.numpy()


def open_model(source: str) -> ImportedScreener:
    """The model that a recipe or a student names as label tower. Raises `BadInput` where it is none."""
    return import_sentence_transformer(source, max_tokens=MAX_TOKENS)


def width_of(model: ImportedScreener) -> int:
    """The length of a model's vectors."""
    config = model.screener.config
    return config.vector_dims


def locate_source(source: str) -> str:
    """What a student remembers of where its tower is: a directory by its whole path, for a student is compiled from
    anywhere; a name as it is."""
    return str(Path(source).resolve()) if Path(source).is_dir() else source

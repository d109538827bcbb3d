"""What a training wants of a screener: a kind answers for its own, and this one for any module that meets the contract.

All that tells one kind of screener from another stands in its own file; `edgexl.student.screeners.KINDS` lists them.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from edgexl.base.arrays import Ints
from edgexl.base.progress import StageProgress, no_stage_progress
from edgexl.student.screeners.shape import ShapeTable
from edgexl.student.tokens import TokenTable, alike, bf16, hide_tokens


@dataclass(frozen=True)
class Texts:
    """The texts at `places` of a table, of which each is cut to `cut` tokens and loses a random share `hidden`."""

    table: TokenTable
    places: Ints
    cut: int
    hidden: float = 0.0


class ScreenerKind:
    """`name` is what recipes call it, `shape` what they say of it in [student], `module` and `config` the classes that
    student.json names."""

    name = ""
    shape: type[ShapeTable] = ShapeTable
    module: type[nn.Module] = nn.Module
    config: type[Any] = object

    def start(self, encoder: Any, shape: Any, tokenizer: Tokenizer, old_ids: Ints, weights: Tensor) -> nn.Module:
        """A new screener of the kind's own `shape`, with what of a transformer fits into it. `old_ids` are the
        transformer's ids of the tokenizer's pieces, `weights` [V] how much each of them counts. Raises `BadInput` for
        layers that it lacks."""
        raise NotImplementedError

    def encoder(self, screener: Any) -> Any:
        """The transformer whose layers and words other students can start from; None where there is none."""
        return None

    def sizes(self, screener: Any) -> dict[str, Any]:
        """What [student] says of a screener to have just this one; nothing where none can be had as it is."""
        return {}

    def aim(self, screener: Any, tokens: TokenTable, wanted: Tensor) -> None:
        """Bring the vectors of texts near `wanted` [n,d] at once, where a kind knows how."""

    def freeze(self, screener: Any, layers: int) -> None:
        """Keep the words and the first `layers` layers as they are, where there are layers; 0 trains all."""

    def last_products(self, screener: Any) -> Sequence[nn.Linear]:
        """The products whose sum, brought to length 1, is the query vector."""
        raise NotImplementedError

    def with_map(self, screener: Any, matrix: Tensor) -> Any:
        """A copy of the screener whose query vectors [d] are multiplied by `matrix` [d,d] before they are brought to
        length 1."""
        mapped = copy.deepcopy(screener)
        with torch.no_grad():
            for part in self.last_products(mapped):
                part.weight.copy_(matrix @ part.weight)
                if part.bias is not None:
                    part.bias.copy_(matrix @ part.bias)
        return mapped

    def words(self, screener: Any) -> tuple[str, Tensor]:
        """(the name of its table in a student, its rows of word pieces [V,w])."""
        raise NotImplementedError

    def state_dims(self, screener: Any) -> int:
        """The width of token states."""
        return int(screener.config.state_dims)

    def tabulate(self, screener: Any, tokens: TokenTable) -> TokenTable:
        """What the screener reads of texts, once for all steps of a training: their tokens, or what depends on them."""
        return tokens

    def encode(self, screener: Any, parts: Sequence[Texts]) -> list[Tensor]:
        """Query vectors of each part's texts, with gradients; the tables are what `tabulate` made.

        Texts run in groups of like length, for a few long ones would pad them all.
        """
        batches, places = [], []
        for part in parts:
            most = min(part.cut, int(part.table.lengths.max()))
            mine = []
            for group, width in alike(part.table.lengths[part.places], most, part.table.flat.device):
                ids, mask = part.table.batch(part.places[group], width)
                batches.append((ids, hide_tokens(mask, part.hidden) if part.hidden else mask))
                mine.append(group)
            places.append(mine)
        with bf16(parts[0].table.flat.device):
            vectors = iter(self.encode_batches(screener, batches))
        found = []
        for mine in places:
            back = torch.from_numpy(np.argsort(np.concatenate(mine)))
            joined = torch.cat([next(vectors) for _ in mine])
            found.append(joined[back.to(joined.device)])
        return found

    def encode_batches(self, screener: Any, batches: Sequence[tuple[Tensor, Tensor]]) -> list[Tensor]:
        """Query vectors of batches of (ids, mask)."""
        return [screener(ids, mask)[0] for ids, mask in batches]

    @torch.inference_mode()
    def encode_all(
        self,
        screener: Any,
        tokens: TokenTable,
        progress: StageProgress = no_stage_progress,
        cut: int = 128,
        half: bool = True,
    ) -> Tensor:
        """Query vectors [n,d] fp32 of all texts of a table of tokens; `half`: by products in bf16."""
        out: Tensor | None = None
        done = 0
        with bf16(tokens.flat.device, half):
            most = min(cut, int(tokens.lengths.max(initial=1)))
            for batch, width in alike(tokens.lengths, most, tokens.flat.device):
                vectors = screener(*tokens.batch(batch, width))[0].to(torch.float32)
                if out is None:
                    out = torch.empty(len(tokens), vectors.shape[1], device=vectors.device)
                out[torch.from_numpy(batch).to(out.device)] = vectors
                done += len(batch)
                progress(done, len(tokens))
        assert out is not None
        return out


@dataclass(frozen=True)
class WordTable:
    """A word table as rows [V,w] times map [w,h], plus the mean [h] that was taken off first."""

    rows: Tensor
    map: Tensor
    mean: Tensor


def factorise(table: Tensor, dims: int, weights: Tensor, centred: bool = True) -> WordTable:
    """The best rank-`dims` factors of a word table [V,h], each row counting by its weight [V]; leading columns carry
    the most variance. It is `centred` first, unless nothing can take the mean."""
    share = (weights / weights.sum()).unsqueeze(1)
    mean = (table * share).sum(0) if centred else torch.zeros_like(table[0])
    moved = table - mean
    _, directions = torch.linalg.eigh(moved.T @ (moved * share))
    directions = directions.flip(1)[:, :dims]
    return WordTable(rows=moved @ directions, map=directions.T.contiguous(), mean=mean)

"""The smallest screener: no attention, only rows of one table, summed.

At each position stand the word piece's own row and the rows of hashed n-grams: of the pieces that end there, and of
the whole word where a word of several pieces ends there. A position's state is the sum of its rows; the text's vector
is made of the sum over all positions by normalisation and one feed-forward block.

How much a row weighs is learned apart from what it says: its `importance` is the logarithm of its weight. A weighted
mean would divide by the sum of the weights; the normalisation that follows makes that division void, so there is none,
and an exported graph holds the table with its weights multiplied in.

Hashing is integer arithmetic on piece ids (`gram_keys`), the same on every device: keys stay below 2**31, products
below 2**62. All n-grams that would touch padding point to row 0, which is [PAD]'s and stays zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional

from edgexl.base.arrays import Ints
from edgexl.base.progress import StageProgress, no_stage_progress
from edgexl.student.screeners.kind import ScreenerKind, Texts, factorise
from edgexl.student.screeners.shape import ShapeTable
from edgexl.student.screeners.transformer import TransformerScreener, word_rows
from edgexl.student.text import read_pieces
from edgexl.student.tokens import TokenTable, bf16

# Keys are residues of the Mersenne prime 2**31 - 1; the factor is the one of the "minimal standard" generator's
# successor (Park and Miller, 1993), a primitive root of it. Both are part of a trained student: never change them.
PRIME = 2147483647
FACTOR = 48271
# Added to the keys of words, so that a word of two pieces and their bigram fall into different buckets.
WORD_SALT = 1013904223


@dataclass(frozen=True)
class NgramConfig:
    """Shapes of an `NgramScreener`.

    The table has `vocabulary` + `buckets` rows of `dims`, which is also h of the token states. `orders` are the
    lengths of the n-grams of adjacent pieces ([CLS] and [SEP] count as pieces, so that the first and the last piece
    can be told); `words` adds one n-gram for each word of several pieces. All of them share the buckets.
    """

    vocabulary: int
    max_tokens: int
    dims: int
    buckets: int
    ffn_dims: int
    query_dims: int
    orders: tuple[int, ...] = (2, 3)
    words: bool = True

    def __post_init__(self) -> None:
        if min(self.vocabulary, self.dims, self.buckets, self.ffn_dims, self.query_dims) < 1 or self.max_tokens < 3:
            raise ValueError("a screener's sizes must be positive, and max_tokens at least 3")
        if self.vocabulary + self.buckets > PRIME:
            raise ValueError(f"vocabulary and buckets are more than {PRIME} rows together")
        if list(self.orders) != sorted(set(self.orders)) or (self.orders and self.orders[0] < 2):
            raise ValueError(f"orders ({list(self.orders)}) must ascend, and begin with 2 at least")
        if self.orders and self.orders[-1] > self.max_tokens:
            raise ValueError(f"orders end with {self.orders[-1]}, which is longer than max_tokens ({self.max_tokens})")


def continuation_pieces(tokenizer: Tokenizer, vocabulary: int) -> Tensor:
    """uint8 [vocabulary]: 1 for the pieces that go on with a word, 0 for all others and for unused ids."""
    flags = torch.zeros(vocabulary, dtype=torch.uint8)
    for place, (begins, _) in read_pieces(tokenizer).items():
        if not begins and place < vocabulary:
            flags[place] = 1
    return flags


class NgramScreener(nn.Module):
    """Text to query vector and token states without attention; the same graph encodes label texts.

    Which pieces go on with a word depends on the tokenizer, not on the sizes: it is the buffer `continues`, part of
    the weights (0 and 1 survive their rounding to fp16), and to be given for a new screener whose config has `words`.
    """

    continues: Tensor

    def __init__(self, config: NgramConfig, continues: Tensor | None = None) -> None:
        super().__init__()
        self.config = config
        rows = config.vocabulary + config.buckets
        # [PAD]'s row gets no gradient: it stays zero
        self.table = nn.Embedding(rows, config.dims, padding_idx=0)
        self.importance = nn.Embedding(rows, 1)
        self.state_norm = nn.LayerNorm(config.dims, elementwise_affine=False)
        self.norm = nn.LayerNorm(config.dims)
        self.up = nn.Linear(config.dims, config.ffn_dims)
        self.down = nn.Linear(config.ffn_dims, config.query_dims)
        self.skip = nn.Linear(config.dims, config.query_dims, bias=False)
        self.register_buffer("continues", torch.zeros(config.vocabulary, dtype=torch.uint8))
        if continues is not None:
            self.continues.copy_(continues)
        nn.init.normal_(self.table.weight, std=0.1)
        nn.init.zeros_(self.table.weight[0])
        nn.init.zeros_(self.importance.weight)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """`input_ids`, `attention_mask` [B,T] int64 -> (query vector [B,d] of length 1, token states [B,T,dims])."""
        return self.encode_rows(self.look_up(self.rows(input_ids, attention_mask)))

    def rows(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """The table's rows at each position [B,G,T]: the piece, then an n-gram an order, then the word; 0 = none."""
        config = self.config
        pieces = input_ids * attention_mask
        if not config.orders and not config.words:
            return pieces.unsqueeze(1)
        keys, present = gram_keys(pieces, self.continues, config.orders, config.words)
        hashed = (keys % config.buckets + config.vocabulary) * present
        return torch.cat([pieces.unsqueeze(1), hashed], dim=1)

    def look_up(self, rows: Tensor) -> Tensor:
        """Rows [...] -> their vectors times their weights [...,dims]."""
        if torch.onnx.is_in_onnx_export():
            return functional.embedding(rows, self.table.weight * self.importance.weight.exp())
        vectors: Tensor = self.table(rows) * self.importance(rows).exp()
        return vectors

    def encode_rows(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """What `forward` does after the look-up: `vectors` is [B,G,T,dims]."""
        states = vectors.sum(1)
        x = self.norm(states.sum(1))
        vector = (self.skip(x) + self.down(functional.gelu(self.up(x)))).to(torch.float32)
        vector = vector / (vector * vector).sum(-1, keepdim=True).clamp_min(1e-24).sqrt()
        return vector, self.state_norm(states)


def gram_keys(pieces: Tensor, continues: Tensor, orders: Sequence[int], words: bool) -> tuple[Tensor, Tensor]:
    """The keys of the n-grams that end at each position, and whether there is one.

    `pieces` [B,T] int64 are piece ids, 0 = padding; `continues` as `continuation_pieces` gives it. Returns keys
    [B,G,T] in 0 to 2**31 - 1 (words: to T times that) and `present` [B,G,T], 1 or 0, both int64.

    An n-gram's key is the residue of the polynomial ((a * F + b) * F + c) ... of its pieces. A word's key is a sum
    over its pieces of squared bigram keys (its first piece's left neighbour is 0), so that it depends on their order
    without a loop over them; it is present at a word's last piece, if that is not its first.
    """
    keys, present = [], []
    # [B,1,T] from here on, so that what is stacked needs no operator to get its axis
    pieces = pieces.unsqueeze(1)
    key, held = pieces, pieces.clamp_max(1)
    there = held
    for order in range(2, max(orders, default=1) + 1):
        key = (_previous(key) * FACTOR + pieces) % PRIME
        there = _previous(there) * held
        if order in orders:
            keys.append(key)
            present.append(there)
    if words:
        inside = continues[pieces].to(torch.int64)
        pair = (_previous(pieces) * inside * FACTOR + pieces + WORD_SALT) % PRIME
        number = (1 - inside).cumsum(2)
        same = number.transpose(1, 2) == number
        keys.append((same * (pair * pair % PRIME).transpose(1, 2)).sum(1, keepdim=True))
        present.append(inside * (1 - functional.pad(inside, (-1, 1))))
    return torch.cat(keys, 1), torch.cat(present, 1)


def _previous(values: Tensor) -> Tensor:
    """[...,T] -> what stands one position to the left; 0 at the first."""
    return functional.pad(values, (1, -1))


@dataclass(frozen=True)
class NgramShape(ShapeTable):
    """`buckets` rows for the hashed n-grams of the lengths `ngrams`, and of whole `words`. `ffn_dims` 0 is twice
    `word_dims`."""

    screener: str = "ngrams"
    buckets: int = 0
    ngrams: tuple[int, ...] = (2, 3)
    words: bool = True
    ffn_dims: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.buckets < 1:
            raise ValueError("buckets must be at least 1 for a screener of n-grams")
        if self.ffn_dims < 0:
            raise ValueError("ffn_dims must not be negative")


class NgramKind(ScreenerKind):
    """A screener of n-grams. Its training goes without per-position work: the vector depends on the sum over a text's
    rows alone, and which rows those are never changes, so that texts are bags of rows, hashed once. A step is then one
    weighted `embedding_bag` and the feed-forward block, several times faster than the module's `forward`."""

    name, shape, module, config = "ngrams", NgramShape, NgramScreener, NgramConfig

    def start(
        self, encoder: TransformerScreener, shape: NgramShape, tokenizer: Tokenizer, old_ids: Ints, weights: Tensor
    ) -> NgramScreener:
        table = word_rows(encoder)[torch.from_numpy(old_ids)]
        words = factorise(table, shape.word_dims, weights).rows
        screener = NgramScreener(
            NgramConfig(
                vocabulary=len(table),
                max_tokens=shape.max_tokens,
                dims=shape.word_dims,
                buckets=shape.buckets,
                orders=shape.ngrams,
                words=shape.words,
                ffn_dims=shape.ffn_dims or 2 * shape.word_dims,
                query_dims=shape.query_dims,
            ),
            continuation_pieces(tokenizer, len(table)),
        )
        with torch.no_grad():
            rows = screener.table.weight
            rows.normal_(std=0.02)
            rows[: len(words)].copy_(words / words.norm(dim=1).mean())
            rows[0].zero_()
        return screener

    def sizes(self, screener: NgramScreener) -> dict[str, Any]:
        config = screener.config
        return {
            "max_tokens": config.max_tokens, "word_dims": config.dims, "buckets": config.buckets,
            "ngrams": config.orders, "words": config.words, "ffn_dims": config.ffn_dims,
            "query_dims": config.query_dims,
        }  # fmt: skip

    def last_products(self, screener: NgramScreener) -> Sequence[nn.Linear]:
        return screener.down, screener.skip

    def words(self, screener: NgramScreener) -> tuple[str, Tensor]:
        return "screener.table.weight", screener.table.weight[: screener.config.vocabulary].detach()

    def state_dims(self, screener: NgramScreener) -> int:
        return screener.config.dims

    def tabulate(self, screener: NgramScreener, tokens: TokenTable) -> TokenTable:
        return bag_table(screener, tokens)

    def encode(self, screener: NgramScreener, parts: Sequence[Texts]) -> list[Tensor]:
        """No text is cut: a bag has no padding."""
        with bf16(parts[0].table.flat.device):
            return [encode_bags(screener, part.table, part.places, part.hidden) for part in parts]

    @torch.inference_mode()
    def encode_all(
        self,
        screener: NgramScreener,
        tokens: TokenTable,
        progress: StageProgress = no_stage_progress,
        cut: int = 128,
        half: bool = True,
    ) -> Tensor:
        bags = bag_table(screener, tokens)
        parts = []
        for start in range(0, len(tokens), 8192):
            chosen = np.arange(start, min(start + 8192, len(tokens)))
            parts.append(encode_bags(screener, bags, chosen))
            progress(int(chosen[-1]) + 1, len(tokens))
        return torch.cat(parts)


@torch.inference_mode()
def bag_table(screener: NgramScreener, tokens: TokenTable) -> TokenTable:
    """The rows of the screener's table that each text of `tokens` sums, as a table of the same texts."""
    counts = np.zeros(len(tokens), np.int64)
    order = np.argsort(tokens.lengths, kind="stable")
    found: list[tuple[Ints, Tensor, Tensor]] = []
    for batch in np.array_split(order, max(1, len(order) // 2048)):
        rows = screener.rows(*tokens.batch(batch)).flatten(1)
        present = rows != 0
        counts[batch] = present.sum(1).cpu().numpy()
        found.append((batch, rows[present].to(torch.int32), present.sum(1)))
    starts = np.concatenate([[0], np.cumsum(counts)])
    flat = torch.empty(int(starts[-1]), dtype=torch.int32, device=tokens.flat.device)
    begins = torch.from_numpy(starts).to(flat.device)
    for batch, rows, held in found:
        within = torch.arange(len(rows), device=flat.device) - torch.repeat_interleave(held.cumsum(0) - held, held)
        flat[torch.repeat_interleave(begins[torch.from_numpy(batch).to(flat.device)], held) + within] = rows
    return TokenTable(flat, begins, counts)


def encode_bags(screener: NgramScreener, bags: TokenTable, chosen: Ints, hidden: float = 0.0) -> Tensor:
    """Query vectors [len(chosen),d] of some texts; equal to the screener's own up to the order of sums.

    A random share `hidden` of the rows is left out. What follows normalises the sum, so nothing else grows instead.
    """
    rows, offsets = bags.bags(chosen)
    weights = screener.importance(rows).squeeze(-1).exp()
    if hidden:
        weights = weights * (torch.rand(weights.shape, device=weights.device) >= hidden)
    with torch.autocast(rows.device.type, enabled=False):
        pooled = functional.embedding_bag(
            rows, screener.table.weight, offsets, mode="sum", per_sample_weights=weights.float(), padding_idx=0
        )
    vectors: Tensor = screener.encode_rows(pooled[:, None, None, :])[0]
    return vectors


NGRAMS = NgramKind()

"""How a student starts: the screener from some of a teacher's layers, the reasoner from nothing but its word pieces.

The teacher's word table is factorised by principal components: narrow rows, and a map back up to the encoder's width.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from edgexl.errors import BadInput
from edgexl.student.importer import load_layer, load_positions, read_bert
from edgexl.student.reasoner import ListwiseReasoner
from edgexl.student.screener import ScreenerConfig, TransformerScreener
from edgexl.student.weights import Product

TOKENS = Product(name="reasoner.text.tokens.weight", table="screener.word.weight", map="reasoner.text.tokens.map")


@dataclass(frozen=True)
class WordTable:
    """A word table as rows [V,w] times map [w,h], plus the mean [h] that was taken off first."""

    rows: Tensor
    map: Tensor
    mean: Tensor


def factorise(table: Tensor, dims: int) -> WordTable:
    """The best rank-`dims` factors of a centred word table [V,h]; leading columns carry the most variance."""
    mean = table.mean(0)
    centred = table - mean
    _, directions = torch.linalg.eigh(centred.T @ centred)
    directions = directions.flip(1)[:, :dims]
    return WordTable(rows=centred @ directions, map=directions.T.contiguous(), mean=mean)


def start_screener(
    teacher: Path, *, layers: tuple[int, ...], word_dims: int, query_dims: int, max_tokens: int, pooling_targets: Tensor
) -> TransformerScreener:
    """A screener made of the teacher's `layers`, its word table cut to `word_dims` and a projection to `query_dims`.

    `pooling_targets` [query_dims, h] are the directions onto which the pooled states are projected at first: those
    that shorten the teacher's own vectors, so that the distillation starts near its goal.
    """
    config, tensors, _ = read_bert(teacher)
    depth, width = config["num_hidden_layers"], config["hidden_size"]
    if not all(0 <= layer < depth for layer in layers):
        raise BadInput(f"The teacher has layers 0 to {depth - 1}; the recipe asks for {list(layers)}.")
    shapes = ScreenerConfig(
        vocabulary=config["vocab_size"],
        max_tokens=min(max_tokens, config["max_position_embeddings"]),
        word_dims=min(word_dims, width),
        state_dims=width,
        ffn_dims=config["intermediate_size"],
        heads=config["num_attention_heads"],
        layers=len(layers),
        query_dims=query_dims,
        eps=config["layer_norm_eps"],
    )
    screener = TransformerScreener(shapes)
    table = tensors["embeddings.word_embeddings.weight"]
    assert isinstance(screener.projection, nn.Linear)
    with torch.no_grad():
        if shapes.word_dims < width:
            words = factorise(table, shapes.word_dims)
            screener.word.weight.copy_(words.rows)
            assert isinstance(screener.word_map, nn.Linear)
            screener.word_map.weight.copy_(words.map.T)
            load_positions(screener, tensors, words.mean)
        else:
            screener.word.weight.copy_(table)
            load_positions(screener, tensors)
        screener.projection.weight.copy_(pooling_targets)
        screener.projection.bias.zero_()
    for own, theirs in enumerate(layers):
        load_layer(screener, own, tensors, theirs)
    return screener


def start_token_map(screener: TransformerScreener, reasoner: ListwiseReasoner) -> Tensor:
    """The first map [w,e] from the screener's word rows to the reasoner's: their leading columns, at unit variance."""
    words = screener.word.weight.detach()
    dims = reasoner.config.token_dims
    token_map = torch.zeros(words.shape[1], dims)
    count = min(dims, words.shape[1])
    # rows of length about 1, as the reasoner's own initialisation would have them
    token_map[range(count), range(count)] = 1.0 / (words[:, :count].std(0) * dims**0.5).clamp_min(1e-6)
    return token_map

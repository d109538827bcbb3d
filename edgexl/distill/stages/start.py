"""How a student starts: the screener from some of a model's layers and word pieces, the reasoner from the latter.

The model's word table is factorised by principal components: narrow rows, and a map back up to the encoder's width.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from edgexl.base.arrays import Ints
from edgexl.base.errors import BadInput
from edgexl.distill.recipe import ShapeTable
from edgexl.student.importer import import_sentence_transformer, locate_model
from edgexl.student.ngrams import NgramConfig, NgramScreener, continuation_pieces
from edgexl.student.reasoner import ListwiseReasoner
from edgexl.student.screener import ScreenerConfig, TransformerScreener
from edgexl.student.student import load_student
from edgexl.student.text import encode_texts
from edgexl.student.weights import Product


@dataclass(frozen=True)
class Start:
    """What a student is made of: an encoder, and its tokenizer."""

    encoder: TransformerScreener
    tokenizer: Tokenizer


@dataclass(frozen=True)
class WordTable:
    """A word table as rows [V,w] times map [w,h], plus the mean [h] that was taken off first."""

    rows: Tensor
    map: Tensor
    mean: Tensor


def open_start(source: str) -> Start:
    """The encoder that a student begins with: a student's own, or a sentence-transformers model's."""
    if (Path(source) / "student.json").is_file():
        student = load_student(source)
        if not isinstance(student.screener, TransformerScreener):
            raise BadInput(f"start = '{source}' has no transformer to take layers from; name another model.")
        return Start(student.screener, student.tokenizer)
    # a prompt tells what the model's vectors mean; the student learns that anew
    imported = import_sentence_transformer(locate_model(source), prompts="ignore")
    return Start(imported.screener, imported.tokenizer)


def prune(start: Start, texts: list[str], pieces: int) -> tuple[Tokenizer, Ints, Tensor]:
    """The tokenizer with the `pieces` most used word pieces (all where 0), the old id of each, and how often each
    stands in `texts` [V]."""
    from edgexl.student.vocabulary import choose_pieces, count_pieces, prune_tokenizer

    counts = count_pieces(start.tokenizer, texts)
    if not pieces:
        vocabulary = start.encoder.config.vocabulary
        met = np.zeros(vocabulary, np.int64)  # a table may have more rows than its tokenizer has pieces
        met[: len(counts)] = counts
        return start.tokenizer, np.arange(vocabulary), torch.from_numpy(met).float()
    tokenizer, old_ids = prune_tokenizer(start.tokenizer, choose_pieces(counts, pieces))
    old = np.asarray(old_ids, np.int64)
    return tokenizer, old, torch.from_numpy(counts[old]).float()


def word_rows(encoder: TransformerScreener) -> Tensor:
    """The encoder's whole word table [V,h]."""
    words = encoder.word.weight.detach()
    return words if isinstance(encoder.word_map, nn.Identity) else words @ encoder.word_map.weight.detach().T


def factorise(table: Tensor, dims: int, weights: Tensor) -> WordTable:
    """The best rank-`dims` factors of a centred word table [V,h], each row counting by its weight [V]; leading columns
    carry the most variance."""
    share = (weights / weights.sum()).unsqueeze(1)
    mean = (table * share).sum(0)
    centred = table - mean
    _, directions = torch.linalg.eigh(centred.T @ (centred * share))
    directions = directions.flip(1)[:, :dims]
    return WordTable(rows=centred @ directions, map=directions.T.contiguous(), mean=mean)


def start_screener(
    start: Start, shape: ShapeTable, tokenizer: Tokenizer, old_ids: Ints, counts: Tensor
) -> TransformerScreener | NgramScreener:
    """A screener of the recipe's shape, with what of the model fits into it. Raises `BadInput` for layers it lacks."""
    table = word_rows(start.encoder)[torch.from_numpy(old_ids)]
    # a piece that is never met here may be met on the device: it counts, if little
    weights = (counts + 1.0).sqrt()
    if shape.screener == "ngrams":
        return _ngram_screener(shape, tokenizer, table, weights)
    source = start.encoder.config
    if not all(0 <= layer < source.layers for layer in shape.teacher_layers):
        raise BadInput(
            f"The model that the recipe starts from has layers 0 to {source.layers - 1}; "
            f"the recipe asks for {list(shape.teacher_layers)}."
        )
    ffn_dims = min(shape.ffn_dims or source.ffn_dims, source.ffn_dims)
    screener = TransformerScreener(
        ScreenerConfig(
            vocabulary=len(old_ids),
            max_tokens=min(shape.max_tokens, source.max_tokens),
            word_dims=min(shape.word_dims, source.state_dims),
            state_dims=source.state_dims,
            ffn_dims=ffn_dims,
            heads=source.heads,
            layers=len(shape.teacher_layers),
            query_dims=shape.query_dims,
            eps=source.eps,
        )
    )
    encoder = start.encoder
    with torch.no_grad():
        screener.position.weight.copy_(encoder.position.weight[: screener.config.max_tokens])
        screener.embedding_norm.load_state_dict(encoder.embedding_norm.state_dict())
        if screener.config.word_dims < source.state_dims:
            words = factorise(table, screener.config.word_dims, weights)
            screener.word.weight.copy_(words.rows)
            assert isinstance(screener.word_map, nn.Linear)
            screener.word_map.weight.copy_(words.map.T)
            screener.position.weight.add_(words.mean)
        else:
            screener.word.weight.copy_(table)
    for own, theirs in enumerate(shape.teacher_layers):
        copy_layer(screener.layers[own], encoder.layers[theirs], ffn_dims)
    return screener


def copy_layer(target: nn.Module, source: nn.Module, ffn_dims: int) -> None:
    """Copy a layer's weights; of the feed-forward's units, the `ffn_dims` whose two weight vectors are longest."""
    weights = {name: value.detach() for name, value in source.state_dict().items()}
    strength = weights["up.weight"].norm(dim=1) * weights["down.weight"].norm(dim=0)
    kept = strength.topk(ffn_dims).indices.sort().values
    weights["up.weight"], weights["up.bias"] = weights["up.weight"][kept], weights["up.bias"][kept]
    weights["down.weight"] = weights["down.weight"][:, kept]
    target.load_state_dict(weights)


def _ngram_screener(shape: ShapeTable, tokenizer: Tokenizer, table: Tensor, weights: Tensor) -> NgramScreener:
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


def aim_projection(
    screener: TransformerScreener, tokenizer: Tokenizer, texts: list[str], wanted: Tensor, device: torch.device
) -> None:
    """Set the projection so that pooled states of `texts` land as near as they can to `wanted` [n,d]: ridge regression.

    Distillation then starts near its goal, whatever was cut from the model.
    """
    from edgexl.base.progress import no_progress
    from edgexl.distill.stages.compute import TokenTable
    from edgexl.distill.stages.search import encode_table

    bare = TransformerScreener(replace(screener.config, query_dims=None))
    bare.load_state_dict({k: v for k, v in screener.state_dict().items() if not k.startswith("projection.")})
    rows = encode_texts(tokenizer, texts, screener.config.max_tokens)
    pooled = encode_table(bare.to(device).eval(), TokenTable.of(rows, device), "aim the projection", no_progress)
    goal = wanted.to(device, torch.float32)
    mean, goal_mean = pooled.mean(0), goal.mean(0)
    centred = pooled - mean
    gram = centred.T @ centred
    ridge = 1e-3 * gram.diagonal().mean() * torch.eye(len(gram), device=device)
    weight = torch.linalg.solve(gram + ridge, centred.T @ (goal - goal_mean)).T
    assert isinstance(screener.projection, nn.Linear)
    with torch.no_grad():
        screener.projection.weight.copy_(weight)
        screener.projection.bias.copy_(goal_mean - weight @ mean)


def word_table(screener: TransformerScreener | NgramScreener) -> tuple[str, Tensor]:
    """(the name of the screener's table in a student, its rows of word pieces [V,w])."""
    if isinstance(screener, NgramScreener):
        return "screener.table.weight", screener.table.weight[: screener.config.vocabulary].detach()
    return "screener.word.weight", screener.word.weight.detach()


def token_product(screener: TransformerScreener | NgramScreener) -> Product:
    """What makes the reasoner's word pieces of the screener's."""
    name, words = word_table(screener)
    return Product(name="reasoner.text.tokens.weight", table=name, map="reasoner.text.tokens.map", rows=len(words))


def start_token_map(words: Tensor, reasoner: ListwiseReasoner) -> Tensor:
    """The first map [w,e] from the screener's word rows to the reasoner's: their leading columns, at unit variance."""
    dims = reasoner.config.token_dims
    token_map = torch.zeros(words.shape[1], dims)
    count = min(dims, words.shape[1])
    # rows of length about 1, as the reasoner's own initialisation would have them
    token_map[range(count), range(count)] = 1.0 / (words[:, :count].std(0).cpu() * dims**0.5).clamp_min(1e-6)
    return token_map

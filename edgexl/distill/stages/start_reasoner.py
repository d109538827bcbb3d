"""How a reasoner starts: untrained, with the screener's word pieces; or as the student left it that a recipe goes on
from. And what it gets when its training is done."""

from __future__ import annotations

import torch
from torch import nn

from edgexl.distill.stages import reasoning
from edgexl.distill.stages.start import inherit_reasoner, start_token_map
from edgexl.distill.workbench import Workbench
from edgexl.student.letters import COLUMNS, count_letters
from edgexl.student.prior import weigh_pieces
from edgexl.student.reasoner import ListwiseReasoner, ReasonerConfig
from edgexl.student.screeners import kind_of
from edgexl.student.text import special_ids


def start_reasoner(bench: Workbench, screener: nn.Module) -> tuple[ListwiseReasoner, reasoning.MappedTokens]:
    """The untrained reasoner, or as the student left it that the recipe goes on from, and the table of word pieces that
    it trains with."""
    config = shape_reasoner(bench, screener)
    _, words = kind_of(screener).words(screener)
    reasoner = ListwiseReasoner(config)
    if config.letters:
        with torch.no_grad():
            reasoner.letters.weight.copy_(count_letters(bench.tokenizer, len(words)))
    token_map = inherit_reasoner(bench.start, bench.recipe.student, reasoner)
    tokens = reasoning.MappedTokens(words, start_token_map(words, reasoner) if token_map is None else token_map)
    reasoner.text.add_module("tokens", tokens)
    for layer in reasoner.layers:
        layer.dropout.p = bench.recipe.reasoning.dropout  # type: ignore[union-attr]
    reasoner.to(bench.device)
    return reasoner, tokens


def _first_word_id(bench: Workbench) -> int:
    """The id behind the special tokens, where they stand before the pieces; special tokens behind these count as
    words."""
    half = bench.tokenizer.get_vocab_size() // 2
    return 1 + max(place for place in special_ids(bench.tokenizer) if place == 0 or place < half)


def shape_reasoner(bench: Workbench, screener: nn.Module) -> ReasonerConfig:
    """The reasoner that a recipe wants over a screener."""
    shape, kind = bench.recipe.student, kind_of(screener)
    return ReasonerConfig(
        vocabulary=len(kind.words(screener)[1]),
        query_dims=shape.query_dims,
        state_dims=kind.state_dims(screener),
        dims=shape.reasoner_dims,
        ffn_dims=shape.reasoner_ffn_dims,
        heads=shape.reasoner_heads,
        layers=shape.reasoner_layers,
        cross_layers=shape.cross_layers,
        token_dims=shape.token_dims,
        first_word_id=_first_word_id(bench),
        coverage=True,
        absence=True,
        evidence=bench.recipe.reasoning.evidence,
        residual=bench.recipe.reasoning.residual,
        letters=COLUMNS if bench.recipe.reasoning.letters else 0,
    )


def give_prior(bench: Workbench, reasoner: ListwiseReasoner) -> None:
    """Have a trained reasoner prefer labels of word pieces that training asks for often, as the recipe says."""
    weight = bench.recipe.reasoning.prior
    if not weight:
        return
    pieces = bench.rows.rows.label_pieces(bench.recipe.student.label_tokens)
    reasoner.set_prior(weigh_pieces(pieces, bench.asked(), reasoner.config.vocabulary, weight))

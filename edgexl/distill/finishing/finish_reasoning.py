"""Stage two of finishing: the rounded reasoner over shortlists that the rounded screener makes of coded rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from edgexl.data import Query
from edgexl.distill.corpus.divide import gold_labels
from edgexl.distill.finishing.setup import Setup, choose_code, cross_entropy, encode_rows, float_rows
from edgexl.distill.stages.reasoning import mark_gold
from edgexl.distill.stages.screening import Batches
from edgexl.distill.stages.search import SEARCH_BATCH, Found, RowSearch, encode_table
from edgexl.distill.stages.simulate import IndexCodes, simulate
from edgexl.distill.stages.training import Losses, divergence
from edgexl.student.contract import call_reasoner
from edgexl.student.tokens import TokenTable
from edgexl.student.weights import round_trip


@dataclass(frozen=True)
class Lessons:
    """What the reasoner learns from, query by query: tokens, turned query vectors through the rounded graph, shortlists
    with their scores, which labels are gold ones, and the screening scores that the float self would have."""

    tokens: TokenTable
    found: Found
    gold: Tensor
    float_scores: Tensor


def finish_reasoner(setup: Setup, screener: nn.Module, reasoner: nn.Module, queries: tuple[Query, ...]) -> None:
    """Stage two, in place, behind the finished `screener`."""
    table, index = setup.table, setup.recipe.index
    screener.to(setup.device).eval().requires_grad_(False)
    codes = IndexCodes(index, setup.original.shapes.query_dims, choose_code(setup)).to(setup.device)
    vectors = encode_rows(setup, screener)
    codes.learn(vectors)
    coded = torch.cat([codes.fine(codes.turn(part)) for part in torch.split(vectors, 65_536)])
    exact = float_rows(setup)
    steps = min(len(queries), table.reasoning_steps * table.reasoning_batch)
    chosen = tuple(queries[place] for place in np.random.default_rng((setup.seed, 5)).permutation(len(queries))[:steps])
    lessons = _shortlists(setup, screener, codes, coded, exact, chosen)
    tokens = torch.from_numpy(setup.rows.rows.label_pieces(setup.original.shapes.label_tokens)).to(torch.int32)
    batches = Batches(lessons.tokens.lengths, table.reasoning_batch, setup.seed)

    def losses(step: int) -> Losses:
        batch = batches.at(step)
        ids, mask = lessons.tokens.batch(batch)
        labels = lessons.found.labels[batch].to(torch.int64)
        supply = {
            "input_ids": ids, "attention_mask": mask, "label_tokens": tokens[labels].to(setup.device, torch.int64)
        }  # fmt: skip
        labels = labels.to(setup.device)
        with torch.no_grad():
            vector, states = setup.original.screener(ids, mask)
            scores = lessons.float_scores[batch].to(setup.device).float()
            exactly = supply | {
                "query_vector": vector, "token_states": states, "label_vectors": exact[labels].float(),
                "screening_scores": scores,
            }  # fmt: skip
            wanted = call_reasoner(setup.original.reasoner, exactly)
            with simulate(screener, setup.recipe.screener, setup.int8):
                vector, states = screener(ids, mask)
            decoded = coded[labels]
            own = (decoded @ codes.turn(vector).unsqueeze(-1)).squeeze(-1)
            aliases = lessons.found.aliases
            alias = own if aliases is None else aliases[batch].to(setup.device).float()
            rounded = supply | {
                "query_vector": vector, "token_states": states, "screening_scores": torch.stack([own, alias], -1),
                "label_vectors": codes.unturn(decoded, setup.recipe.reasoner.scheme, setup.int8),
            }  # fmt: skip
        with simulate(reasoner, setup.recipe.reasoner, setup.int8):
            logits = call_reasoner(reasoner, rounded)
        # a further logit of 0 keeps the level, which says whether any of the labels is a gold one
        shares = nn.functional.pad(wanted, (0, 1)).softmax(-1)
        found: Losses = {"decision": divergence(shares, nn.functional.pad(logits, (0, 1)).log_softmax(-1))}
        total = found["decision"]
        if table.reasoning_data_weight:
            found["data"] = cross_entropy(logits.log_softmax(-1), lessons.gold[batch].to(setup.device))
            total = total + table.reasoning_data_weight * found["data"]
        return {"loss": total, **found}

    setup.train("reasoner", reasoner, losses, queries)
    reasoner.load_state_dict(_round_weights(setup, reasoner))


def _round_weights(setup: Setup, reasoner: nn.Module) -> dict[str, Tensor]:
    """The reasoner's weights as they will be read back; tables that are products of others are not rounded again."""
    derived = {product.name.removeprefix("reasoner.") for product in setup.original.maps}
    weights = reasoner.state_dict()
    return {**round_trip(weights), **{name: value for name, value in weights.items() if name in derived}}


def _shortlists(
    setup: Setup, screener: nn.Module, codes: IndexCodes, coded: Tensor, exact: Tensor, queries: tuple[Query, ...]
) -> Lessons:
    """Screen queries as the device will, but for the coarse codes, whose losses `overfetch` is there to make good."""
    tokens, banned = setup.tokens(queries), setup.rows.rows_of_queries(queries)
    wanted = setup.recipe.shortlist.n or setup.original.shapes.shortlist
    with simulate(screener, setup.recipe.screener, setup.int8):
        vectors = encode_table(screener, tokens, "encode queries by the finished screener", setup.progress, half=False)
    found = RowSearch(setup.rows.rows, coded).shortlists(codes.turn(vectors), wanted, banned, setup.progress)
    floats = encode_table(setup.original.screener, tokens, "encode queries by the float self", setup.progress)
    search = RowSearch(setup.rows.rows, exact.float())
    scores = []
    for start in range(0, len(queries), SEARCH_BATCH):
        part = slice(start, start + SEARCH_BATCH)
        labels = found.labels[part].to(setup.device, torch.int64)
        scores.append(torch.stack(search.near_scores(floats[part], labels, banned[part]), -1))
    gold = mark_gold(found.labels, gold_labels(queries), len(setup.original.labels))
    return Lessons(tokens, found, gold, torch.cat(scores).to("cpu", torch.float16))

"""Stage two of finishing: the rounded reasoner over shortlists that the rounded screener makes of coded rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from edgexl.data import Query
from edgexl.distill.corpus.divide import gold_labels
from edgexl.distill.finishing.settings import Bench, choose_code, cross_entropy, encode_rows, float_rows
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


def finish_reasoner(bench: Bench, screener: nn.Module, reasoner: nn.Module, queries: tuple[Query, ...]) -> None:
    """Stage two, in place, behind the finished `screener`."""
    table, index = bench.table, bench.recipe.index
    screener.to(bench.device).eval().requires_grad_(False)
    codes = IndexCodes(index, bench.original.shapes.query_dims, choose_code(bench)).to(bench.device)
    vectors = encode_rows(bench, screener)
    codes.learn(vectors)
    coded = torch.cat([codes.fine(codes.turn(part)) for part in torch.split(vectors, 65_536)])
    exact = float_rows(bench)
    steps = min(len(queries), table.reasoning_steps * table.reasoning_batch)
    chosen = tuple(queries[place] for place in np.random.default_rng((bench.seed, 5)).permutation(len(queries))[:steps])
    lessons = _shortlists(bench, screener, codes, coded, exact, chosen)
    tokens = torch.from_numpy(bench.rows.rows.label_pieces(bench.original.shapes.label_tokens)).to(torch.int32)
    batches = Batches(lessons.tokens.lengths, table.reasoning_batch, bench.seed)

    def losses(step: int) -> Losses:
        batch = batches.at(step)
        ids, mask = lessons.tokens.batch(batch)
        labels = lessons.found.labels[batch].to(torch.int64)
        supply = {
            "input_ids": ids, "attention_mask": mask, "label_tokens": tokens[labels].to(bench.device, torch.int64)
        }  # fmt: skip
        labels = labels.to(bench.device)
        with torch.no_grad():
            vector, states = bench.original.screener(ids, mask)
            scores = lessons.float_scores[batch].to(bench.device).float()
            exactly = supply | {
                "query_vector": vector, "token_states": states, "label_vectors": exact[labels].float(),
                "screening_scores": scores,
            }  # fmt: skip
            wanted = call_reasoner(bench.original.reasoner, exactly)
            with simulate(screener, bench.recipe.screener, bench.int8):
                vector, states = screener(ids, mask)
            decoded = coded[labels]
            own = (decoded @ codes.turn(vector).unsqueeze(-1)).squeeze(-1)
            aliases = lessons.found.aliases
            alias = own if aliases is None else aliases[batch].to(bench.device).float()
            rounded = supply | {
                "query_vector": vector, "token_states": states, "screening_scores": torch.stack([own, alias], -1),
                "label_vectors": codes.unturn(decoded, bench.recipe.reasoner.scheme, bench.int8),
            }  # fmt: skip
        with simulate(reasoner, bench.recipe.reasoner, bench.int8):
            logits = call_reasoner(reasoner, rounded)
        # a further logit of 0 keeps the level, which says whether any of the labels is a gold one
        shares = nn.functional.pad(wanted, (0, 1)).softmax(-1)
        found: Losses = {"decision": divergence(shares, nn.functional.pad(logits, (0, 1)).log_softmax(-1))}
        total = found["decision"]
        if table.reasoning_data_weight:
            found["data"] = cross_entropy(logits.log_softmax(-1), lessons.gold[batch].to(bench.device))
            total = total + table.reasoning_data_weight * found["data"]
        return {"loss": total, **found}

    bench.train("reasoner", reasoner, losses, queries)
    reasoner.load_state_dict(_stored(bench, reasoner))


def _stored(bench: Bench, reasoner: nn.Module) -> dict[str, Tensor]:
    """The reasoner's weights as they will be read back; tables that are products of others are not rounded again."""
    derived = {product.name.removeprefix("reasoner.") for product in bench.original.maps}
    weights = reasoner.state_dict()
    return {**round_trip(weights), **{name: value for name, value in weights.items() if name in derived}}


def _shortlists(
    bench: Bench, screener: nn.Module, codes: IndexCodes, coded: Tensor, exact: Tensor, queries: tuple[Query, ...]
) -> Lessons:
    """Screen queries as the device will, but for the coarse codes, whose losses `overfetch` is there to make good."""
    tokens, banned = bench.tokens(queries), bench.rows.rows_of_queries(queries)
    wanted = bench.recipe.shortlist.n or bench.original.shapes.shortlist
    with simulate(screener, bench.recipe.screener, bench.int8):
        vectors = encode_table(screener, tokens, "encode queries by the finished screener", bench.progress, half=False)
    found = RowSearch(bench.rows.rows, coded).shortlists(codes.turn(vectors), wanted, banned, bench.progress)
    floats = encode_table(bench.original.screener, tokens, "encode queries by the float self", bench.progress)
    search = RowSearch(bench.rows.rows, exact.float())
    scores = []
    for start in range(0, len(queries), SEARCH_BATCH):
        part = slice(start, start + SEARCH_BATCH)
        labels = found.labels[part].to(bench.device, torch.int64)
        scores.append(torch.stack(search.near_scores(floats[part], labels, banned[part]), -1))
    gold = mark_gold(found.labels, gold_labels(queries), len(bench.original.labels))
    return Lessons(tokens, found, gold, torch.cat(scores).to("cpu", torch.float16))

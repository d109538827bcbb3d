"""Stage one of finishing: the screener through its rounded graph, its rows through the index's codes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from edgexl.base.arrays import Ints
from edgexl.base.ragged import Ragged
from edgexl.data import Query
from edgexl.distill.corpus.divide import gold_labels, gold_pairs, join
from edgexl.distill.finishing.setup import Setup, choose_code, cross_entropy, encode_rows, float_rows
from edgexl.distill.stages.screening import Batches
from edgexl.distill.stages.search import RowSearch, encode_table
from edgexl.distill.stages.simulate import IndexCodes, simulate
from edgexl.distill.stages.training import Losses, divergence, load_tensors, save_tensors
from edgexl.student.tokens import TokenTable, bf16

# How deep into its float self's ranking the screener's pool reaches: what a shortlist is made of.
POOL_DEPTH = 256
# Training cuts row texts here: it touches one in a thousand, and a batch's padding is set by its longest.
CUT_TOKENS = 16
# The score of what must not be chosen.
NEVER = -1e4
# A scan must find rows among thousands, not order them: its ranking is compared at so many times the temperature.
COARSE_SOFTNESS = 4.0
# Rows that rotation and code books are fitted to on the way; the compiler takes all for one and 16,384 for the other.
SAMPLE_ROWS = 8192


class CodedScreener(nn.Module):
    """A screener and the codes of its index, trained and kept together."""

    def __init__(self, screener: nn.Module, codes: IndexCodes) -> None:
        super().__init__()
        self.screener = screener
        self.codes = codes


@dataclass(frozen=True)
class Ranking:
    """What the float self makes of the queries that training meets: `place` [n] of a query in the rest (-1: none), its
    vectors [m,d] and the best rows [m, POOL_DEPTH] of its ranking."""

    place: Ints
    vectors: Tensor
    best: Ints


def finish_screener(setup: Setup, screener: nn.Module, queries: tuple[Query, ...]) -> None:
    """Stage one, in place."""
    table = setup.table
    codes = IndexCodes(setup.recipe.index, setup.original.shapes.query_dims, choose_code(setup)).to(setup.device)
    module = CodedScreener(screener, codes)
    tokens, targets = setup.tokens(queries), gold_labels(queries)
    own_rows = setup.rows.rows_of_queries(queries)
    batches = Batches(tokens.lengths, table.screening_batch, setup.seed)
    vectors = float_rows(setup)
    ranking = _rank_by_float_self(setup, queries, tokens, own_rows, vectors, batches)
    rng = np.random.default_rng((setup.seed, 2))
    sample = np.sort(rng.permutation(len(setup.rows))[:SAMPLE_ROWS])

    def losses(step: int) -> Losses:
        if step % table.refresh_steps == 0:
            codes.learn(encode_rows(setup, screener, sample))
        batch = batches.at(step)
        pool = _pool(setup, targets, ranking, batch, np.random.default_rng((setup.seed, step, 3)))
        queries_now, rows_now = _student_vectors(setup, screener, tokens, batch, pool)
        chosen = torch.from_numpy(pool).to(setup.device)
        float_queries = ranking.vectors[torch.from_numpy(ranking.place[batch]).to(setup.device)].float()
        float_pool = vectors[chosen].float()
        hidden = _mask(setup, *join(own_rows[batch], pool), (len(batch), len(pool)))
        gold = _mask(setup, *gold_pairs(targets, batch, setup.rows.of, pool), (len(batch), len(pool))) & ~hidden
        exact = (float_queries @ float_pool.T).masked_fill(hidden, NEVER)
        wanted = (exact / table.temperature).softmax(-1)

        def ranking_of(coded: Tensor, temperature: float) -> Tensor:
            return (turned @ coded.T / temperature).masked_fill(hidden, NEVER).log_softmax(-1)

        # a label tower's rows stay what they are; the screener's own are those of labels that a device adds
        held_rows = float_pool if setup.rows_are_fixed else rows_now
        turned, turned_rows = codes.turn(queries_now), codes.turn(held_rows)
        fine = ranking_of(codes.fine(turned_rows), table.temperature)
        found: Losses = {"ranking": divergence(wanted, fine)}
        cosines = (queries_now * float_queries).sum(-1).mean() + (rows_now * float_pool).sum(-1).mean()
        found["distance"] = 1.0 - 0.5 * cosines
        total = found["ranking"] + table.vector_weight * found["distance"]
        if table.coarse_weight:
            softer = COARSE_SOFTNESS * table.temperature
            found["coarse"] = divergence((exact / softer).softmax(-1), ranking_of(codes.coarse(turned_rows), softer))
            total = total + table.coarse_weight * found["coarse"]
        if table.screening_data_weight:
            found["data"] = cross_entropy(fine, gold)
            total = total + table.screening_data_weight * found["data"]
        return {"loss": total, **found}

    setup.train("screener", module, losses, queries)


def _rank_by_float_self(
    setup: Setup, queries: tuple[Query, ...], tokens: TokenTable, own_rows: Ints, vectors: Tensor, batches: Batches
) -> Ranking:
    met = np.unique(np.concatenate([batches.at(step) for step in range(setup.table.screening_steps)]))
    place = np.full(len(queries), -1, np.int64)
    place[met] = np.arange(len(met))
    path, about = setup.work / "ranking.safetensors", setup.identity("ranking", queries)
    kept = load_tensors(path, about)
    if kept is None:
        own = encode_table(
            setup.original.screener, setup.tokens([queries[i] for i in met]), "encode queries by the float self",
            setup.progress,
        )  # fmt: skip
        search = RowSearch(setup.rows.rows, vectors.float())
        best = []
        for start in range(0, len(met), 128):
            part = slice(start, start + 128)
            best.append(search.best_rows(own[part], POOL_DEPTH, own_rows[met[part]])[1].to(torch.int32).cpu())
            setup.progress("rank by the float self", min(start + 128, len(met)), len(met))
        kept = {"vectors": own.to(torch.float16), "best": torch.cat(best)}
        save_tensors(path, kept, about)
    return Ranking(place, kept["vectors"].to(setup.device), kept["best"].numpy().astype(np.int64))


def _pool(setup: Setup, targets: Ragged, ranking: Ranking, batch: Ints, rng: np.random.Generator) -> Ints:
    """The rows that a batch is scored against, ascending."""
    best = ranking.best[ranking.place[batch]]
    first = min(setup.table.near_rows // 2, best.shape[1])
    columns = rng.integers(0, best.shape[1], (len(batch), setup.table.near_rows - first))
    deeper = np.take_along_axis(best, columns, 1)
    strangers = rng.integers(0, len(setup.rows), setup.table.random_rows)
    return np.unique(np.concatenate([best[:, :first].ravel(), deeper.ravel(), strangers, targets.pairs(batch)[1]]))


def _student_vectors(
    setup: Setup, screener: nn.Module, tokens: TokenTable, batch: Ints, pool: Ints
) -> tuple[Tensor, Tensor]:
    """Query vectors through the rounded graph, and row vectors as the compiler will encode them."""
    with simulate(screener, setup.recipe.screener, setup.int8):
        own = screener(*tokens.batch(batch))[0]
    order = pool[np.argsort(setup.rows.tokens.lengths[pool], kind="stable")]
    rounded = setup.recipe.index.labels_from == "quantized"
    how = simulate(screener, setup.recipe.screener, setup.int8) if rounded else bf16(setup.device)
    parts = []
    with how:
        for part in np.array_split(order, 4):
            if len(part):
                width = min(int(setup.rows.tokens.lengths[part].max()), CUT_TOKENS)
                parts.append(screener(*setup.rows.tokens.batch(part, width))[0].float())
    places = torch.from_numpy(np.argsort(order, kind="stable")).to(setup.device)
    return own, torch.cat(parts)[places]


def _mask(setup: Setup, ours: Ints, theirs: Ints, shape: tuple[int, int]) -> Tensor:
    mask = torch.zeros(shape, dtype=torch.bool)
    mask[torch.from_numpy(ours), torch.from_numpy(theirs)] = True
    return mask.to(setup.device)

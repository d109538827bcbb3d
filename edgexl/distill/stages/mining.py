"""Near misses: rows that the student itself, half trained, ranks high though they are wrong."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from edgexl.base.arrays import Ints
from edgexl.distill.stages import screening
from edgexl.distill.stages.search import encode_table, top
from edgexl.distill.stages.training import load_tensors, save_tensors
from edgexl.distill.workbench import Workbench
from edgexl.student.tokens import knows_bf16

# Near misses kept a query, and rows that they are looked for in: a sample is as instructive, and bounds the time.
MINED, MINED_ROWS = 16, 200_000
# Queries at once: their scores are 26 MB, which allocators keep for the next.
MINED_BATCH = 64


def with_mining(
    bench: Workbench,
    screener: nn.Module,
    data: screening.ScreeningData,
    hard: screening.HardRows,
    losses: Callable[[int], dict[str, Tensor]],
) -> Callable[[int], dict[str, Tensor]]:
    """The losses, with near misses mined from the student's own index whenever it is time."""
    table = bench.recipe.screening
    moments = sorted({max(1, int(share * table.steps)) for share in table.mine_at})

    def losses_with_mining(step: int) -> dict[str, Tensor]:
        due = [moment for moment in moments if moment <= step]
        if due and (step == due[-1] or hard.rows is None):
            hard.rows = _mine(bench, screener, data, due[-1])
        return losses(step)

    return losses_with_mining


def _mine(bench: Workbench, screener: nn.Module, data: screening.ScreeningData, moment: int) -> Ints:
    """[n,M] rows that the student ranks high though they are wrong; remembered, so that a resumed run has the same."""
    table, count = bench.recipe.screening, len(data.queries)
    path, about = bench.work / f"mined_{moment}.safetensors", {"identity": bench.identity("screening")}
    kept = load_tensors(path, about)
    if kept is None:
        screener.eval()
        rng = np.random.default_rng((bench.recipe.seed, moment))
        sample = np.sort(rng.permutation(len(data.rows))[:MINED_ROWS])
        # a rough order does, and bf16 is several times as fast on CPUs that know it
        name = "encode labels to mine near misses"
        vectors = screening.sample_vectors(screener, data, sample, name, bench.progress)
        vectors = vectors.to(torch.bfloat16 if knows_bf16(vectors.device) else torch.float32)
        mined = np.sort(rng.permutation(count)[: table.mine_queries])
        tokens = bench.tokens(tuple(bench.learned[index] for index in mined))
        queries = encode_table(screener, tokens, "encode queries to mine near misses", bench.progress)
        found = np.full((count, MINED), -1, np.int64)
        for start in range(0, len(mined), MINED_BATCH):
            part = mined[start : start + MINED_BATCH]
            scores = queries[start : start + MINED_BATCH].to(vectors.dtype) @ vectors.T
            _, nearest = top(scores, min(4 * MINED, len(sample)))
            wrong = screening.wrong_rows(data, part, sample[nearest.cpu().numpy()])[:, :MINED]
            found[part, : wrong.shape[1]] = wrong
            bench.progress("mine near misses", start + len(part), len(mined))
        screener.train()
        kept = {"rows": torch.from_numpy(found).to(torch.int32)}
        save_tensors(path, kept, about)
    return kept["rows"].numpy().astype(np.int64)

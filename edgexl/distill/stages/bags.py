"""Training a screener of n-grams without its per-position work: texts as bags of table rows, hashed once.

The query vector depends on the sum over a text's rows alone, and which rows those are never changes while training. A
step is then one weighted `embedding_bag` and the feed-forward block, several times faster than the module's `forward`.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from edgexl.base.arrays import Ints
from edgexl.distill.stages.compute import TokenTable
from edgexl.student.ngrams import NgramScreener


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

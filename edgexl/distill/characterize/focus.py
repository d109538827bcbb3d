"""Phase one, focus: how the gold labels come into view as the shortlist, the depth or the trace grows."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import numpy as np
import torch

from edgexl.base.arrays import Doubles
from edgexl.distill.characterize.bench import Bench
from edgexl.distill.characterize.layers import cut_after, layer_count, screening_stack
from edgexl.distill.characterize.sample import among
from edgexl.distill.teachers import Ints, TraceTeacher

# Labels that each layer encodes: all of a large set through every layer would take as many times its encoding.
POOL = 8192
DEPTH_CUTOFFS = (1, 10, 100)
FRACTIONS = tuple(step / 10 for step in range(11))


def measure_focus(bench: Bench) -> dict[str, Any]:
    """The keys `by_length`, `gold_like`, `by_depth`, `by_trace` and `by_reasoning`; the last three may be None."""
    return {
        "by_length": by_length(bench),
        "gold_like": {
            "measure": bench.neighbours.measure,
            "threshold": bench.neighbours.threshold,
            "labels_a_query": float((bench.neighbours.gold_like >= 0).sum(1).mean()),
            "queries": int((bench.neighbours.gold_like >= 0).any(1).sum()),
        },
        "by_depth": by_depth(bench),
        "by_trace": by_trace(bench),
        "by_reasoning": by_reasoning(bench),
    }


def doubling(last: int) -> list[int]:
    """1, 2, 4, ..., and `last` itself."""
    return [*(2**power for power in range(last.bit_length()) if 2**power < last), last]


def by_length(bench: Bench) -> list[dict[str, Any]]:
    """For each length: the share (percent) of right and of gold-like labels among the first so many of phase one's.

    `random` is what a random shortlist of that length would hold. Queries without a gold-like label are left out there.
    """
    in_view = _share_in_view(bench.sample.is_gold(bench.ranking), bench.sample.sizes)
    like = bench.neighbours.gold_like
    some = np.asarray((like >= 0).any(1), dtype=np.bool_)
    like_in_view = _share_in_view(among(bench.ranking, like), (like >= 0).sum(1))
    rows = []
    for length in doubling(bench.ranking.shape[1]):
        gold, near = 100 * in_view[:, length - 1], 100 * like_in_view[:, length - 1]
        rows.append(
            {
                "length": length,
                "gold": float(gold.mean()),
                "gold_interval": bench.bootstrap.interval(gold),
                "gold_like": float(near[some].mean()) if some.any() else None,
                "gold_like_interval": bench.bootstrap.interval(near, some),
                "random": 100 * length / len(bench.labels),
            }
        )
    return rows


def _share_in_view(found: np.ndarray[Any, np.dtype[np.bool_]], sizes: Ints) -> Doubles:
    """[n,depth]: the share of a query's labels that stand among the first 1, 2, ... of the ranking."""
    return np.asarray(np.cumsum(found, 1) / np.maximum(sizes, 1)[:, None], dtype=np.float64)


def by_depth(bench: Bench) -> list[dict[str, Any]] | None:
    """R@k (percent) after each layer of the screening encoder, 0 = embeddings; None for a teacher without layers.

    The hidden states after the layer go through the same pooling and head. The candidates are a pool: the sample's
    gold labels and random others, `POOL` at most, either as that layer sees them (`R@k`) or as the whole encoder does
    (`lens_R@k`).
    """
    encoder = screening_stack(bench.teacher)
    if encoder is None:
        return None
    pool = _pool(bench)
    texts = [bench.labels.texts[label] for label in pool]
    whole = encoder.encode(texts, bench.progress)
    rows = []
    for layer in range(layer_count(encoder.screener) + 1):
        short = dataclasses.replace(encoder, screener=cut_after(encoder.screener, layer), name=f"layer {layer}")
        queries = short.encode(bench.sample.texts, bench.progress)
        row: dict[str, Any] = {"layer": layer}
        for prefix, vectors in (("", short.encode(texts, bench.progress)), ("lens_", whole)):
            found = bench.sample.is_gold(_nearest(queries, vectors, pool, max(DEPTH_CUTOFFS)))
            shares = 100 * _share_in_view(found, bench.sample.sizes)
            row |= {f"{prefix}R@{k}": float(shares[:, min(k, len(pool)) - 1].mean()) for k in DEPTH_CUTOFFS}
        rows.append({**row, "pool": len(pool)})
    return rows


def _pool(bench: Bench) -> Ints:
    """All gold labels of the sample, and random others up to `POOL` labels."""
    gold = np.unique(bench.sample.gold[bench.sample.gold >= 0])
    others = np.setdiff1d(np.arange(len(bench.labels)), gold)
    return np.sort(np.concatenate([gold, bench.draw(1).permutation(others)[: max(0, POOL - len(gold))]]))


def _nearest(queries: torch.Tensor, vectors: torch.Tensor, pool: Ints, depth: int) -> Ints:
    depth = min(depth, len(pool))
    found = [(part @ vectors.T).topk(depth, dim=1).indices.numpy() for part in torch.split(queries, 256)]
    return np.asarray(pool[np.concatenate(found)], dtype=np.int64)


def by_trace(bench: Bench) -> list[dict[str, Any]] | None:
    """For each share of a trace: the percentage of gold labels among the labels that came up until then."""
    if not isinstance(bench.teacher, TraceTeacher):
        return None
    lists = [bench.teacher.traces[text].shortlist for text in bench.sample.texts]
    longest = max(map(len, lists))
    ranking = np.full((len(lists), max(longest, 1)), -1, dtype=np.int64)
    for row, listed in zip(ranking, lists, strict=True):
        row[: len(listed)] = listed
    in_view = _share_in_view(bench.sample.is_gold(ranking), bench.sample.sizes)
    lengths = np.array([len(listed) for listed in lists])
    rows = []
    for fraction in FRACTIONS:
        seen = np.ceil(fraction * lengths - 1e-9).astype(np.int64)
        shares = np.where(seen > 0, in_view[np.arange(len(lists)), np.maximum(seen, 1) - 1], 0.0)
        rows.append(
            {"share": fraction, "gold": float(100 * shares.mean()), "interval": bench.bootstrap.interval(100 * shares)}
        )
    return rows


def by_reasoning(bench: Bench) -> list[dict[str, Any]] | None:
    """For each share of the written reasoning: how many gold labels were named until then, and how many of the other
    listed labels (near misses) are still named after it. Percentages; None where no trace has a reasoning.
    """
    if not isinstance(bench.teacher, TraceTeacher):
        return None
    named: list[float] = []
    lasting: list[float] = []
    for text, gold in zip(bench.sample.texts, bench.sample.gold.tolist(), strict=True):
        trace = bench.teacher.traces[text]
        if not trace.reasoning:
            continue
        named += [_mentions(trace.reasoning, bench.labels.texts[label])[0] for label in gold if label >= 0]
        misses = [label for label in trace.shortlist if label not in gold]
        lasting += [_mentions(trace.reasoning, bench.labels.texts[label])[1] for label in misses]
    if not named:
        return None
    first, last = np.array(named), np.array(lasting)
    mentioned = last[last >= 0]
    return [
        {
            "share": fraction,
            "gold_named": float(100 * (first <= fraction).mean()),
            "near_misses_still_named": float(100 * (mentioned > fraction).mean()) if len(mentioned) else None,
        }
        for fraction in FRACTIONS
    ]


def _mentions(reasoning: str, label: str) -> tuple[float, float]:
    """Where in the reasoning the label's text stands first and last: 0 to 1; (infinity, -1) where it does not."""
    found = [match.end() for match in re.finditer(rf"(?<!\w){re.escape(label)}(?!\w)", reasoning, re.IGNORECASE)]
    return (found[0] / len(reasoning), found[-1] / len(reasoning)) if found else (float("inf"), -1.0)

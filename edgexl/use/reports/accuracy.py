"""How good a bundle is on queries whose labels are known, as parts of a page: found and lost, by how much is known of a
label, how far probabilities can be relied on, and examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from edgexl.base.arrays import Ints
from edgexl.base.progress import Progress, no_progress
from edgexl.bundle.read import Bundle
from edgexl.data import Query, metrics
from edgexl.data.metrics import BANDS, TrainFrequency
from edgexl.data.reliability import bin_probabilities, expected_calibration_error, wilson
from edgexl.report import (
    Answer,
    Bar,
    BarChart,
    BarGroup,
    Example,
    Examples,
    Histogram,
    LineChart,
    Paragraph,
    Section,
    Series,
)
from edgexl.report.page import Part
from edgexl.runtime.binding import BundleHandle, open_bundle
from edgexl.use.answered import Answered, answer_queries, find_empty

EXAMPLES = 12
SCREENING, REASONING = "screening", "after reasoning"
_PERCENT = (0.0, 100.0)


@dataclass(frozen=True)
class Measured:
    """Queries, what a bundle answers to them, and what a page says of that."""

    queries: Sequence[Query]
    answered: Answered
    sections: Sequence[Section]


def measure_accuracy(bundle: Bundle, queries: Sequence[Query], progress: Progress = no_progress) -> Measured:
    """Answer the queries, whose targets are the bundle's label numbers, and make sections of that."""
    with open_bundle(bundle.path, compiled_only=True) as handle:
        skip = set(find_empty(handle, queries))
        tell = partial(progress, "answer for the report")
        answered = answer_queries(handle, bundle.calibration, queries, 10, skip, progress=tell)
        reasons = bool(bundle.parameters.reasoner_inputs)
        curves: list[Part] = [_recall(answered, queries, reasons), *_reliability(answered, queries, bundle)]
        curves += _bands(answered, queries, bundle, reasons)
        examples = Examples([_example(handle, *chosen) for chosen in _choose(answered, queries)])
    return Measured(
        queries,
        answered,
        (Section("How good its answers are", curves), Section("Examples", (_about_examples(), examples))),
    )


def _recall(answered: Answered, queries: Sequence[Query], reasons: bool) -> LineChart:
    width = answered.ranked.shape[1]
    lengths = [*(2**power for power in range(12) if 2**power < width), width]
    targets = [query.targets for query in queries]
    ways = {SCREENING: answered.screened, **({REASONING: answered.ranked} if reasons else {})}
    series = []
    for name, ranked in ways.items():
        found = [metrics.recalls(ranked, targets, length) for length in lengths]
        means = [100 * float(each.mean()) for each in found]
        errors = [196 * float(each.std(ddof=1)) / len(each) ** 0.5 if len(each) > 1 else 0.0 for each in found]
        low, high = ([mean + sign * error for mean, error in zip(means, errors, strict=True)] for sign in (-1, 1))
        series.append(Series(name, lengths, means, low, high))
    return LineChart(
        "Gold labels among the first N", "N", "R@N (%)", series, "log2", limits=_PERCENT,
        note="Reasoning orders what screening has found: both meet at the shortlist's end. Bands are 95% intervals.",
    )  # fmt: skip


def _reliability(answered: Answered, queries: Sequence[Query], bundle: Bundle) -> list[Part]:
    if dict(bundle.manifest.get("calibration") or {}).get("method") == "none":
        return [Paragraph(_NOT_FITTED)]
    there = np.isfinite(answered.probabilities)
    probabilities = answered.probabilities[there].tolist()
    right = answered.is_right(queries)[there].tolist()
    if not probabilities:
        return []
    bins = bin_probabilities(probabilities, right)
    intervals = [wilson(round(each.count * each.right), each.count) for each in bins]
    series = Series(
        "first labels",
        [100 * each.mean for each in bins],
        [100 * each.right for each in bins],
        [100 * max(low, 0.0) for low, _ in intervals],
        [100 * min(high, 1.0) for _, high in intervals],
    )
    error = expected_calibration_error(probabilities, right) or 0.0
    counts = np.bincount(np.minimum((20 * np.array(probabilities)).astype(np.int64), 19), minlength=20)
    return [
        LineChart(
            "How far probabilities can be relied on", "said (%)", "came true (%)",
            (series, Series("as said", [0, 100], [0, 100], guide=True)), limits=_PERCENT,
            note=f"Of first labels; on the dashed line what is said comes true. They are {100 * error:.1f} points off "
            "on average.",
        ),
        Histogram(
            "What probabilities first labels have", "probability (%)", "queries", [5.0 * edge for edge in range(21)],
            counts.tolist(),
        ),
    ]  # fmt: skip


_NOT_FITTED = (
    "No probabilities are fitted. Those that the bundle tells are shares of the shortlist, and do not say how often a "
    "label is right."
)


def _bands(answered: Answered, queries: Sequence[Query], bundle: Bundle, reasons: bool) -> list[Part]:
    """By how many texts beside its own name the index has of a gold label: of labels whose aliases are past queries,
    that is how often they were asked for."""
    texts = np.bincount(bundle.row_labels[1], minlength=bundle.parameters.labels).astype(np.int64)
    ways = {SCREENING: answered.screened, **({REASONING: answered.ranked} if reasons else {})}
    targets = [query.targets for query in queries]
    known = TrainFrequency(texts, int(texts.sum()))
    judged = {name: metrics.evaluate(ranked, targets, (10,), known)["bands"] for name, ranked in ways.items()}
    groups = [
        BarGroup(
            f"{name}: {_span(fewest, most)} ({judged[SCREENING][name]['positives']:,})",
            [_share(way, found[name]) for way, found in judged.items()],
        )
        for name, fewest, most in BANDS
        if judged[SCREENING][name]["positives"]
    ]
    if len(groups) < 2:
        said = "The index knows all gold labels by equally many texts" if groups else "No query has a gold label"
        return [Paragraph(f"{said}: there is no head, torso and tail to tell apart.")]
    return [
        BarChart(
            "Head, torso and tail", "R@10 (%)", groups, _PERCENT,
            note="Gold labels by how many texts the index has of them beside their names, such as aliases and "
            "descriptions. In brackets: how many gold labels of queries.",
        )
    ]  # fmt: skip


def _share(way: str, band: dict[str, Any]) -> Bar:
    share, positives = band["R@10"] / 100, int(band["positives"])
    low, high = wilson(round(share * positives), positives)
    return Bar(way, 100 * share, 100 * low, 100 * high)


def _span(fewest: int, most: int | None) -> str:
    if most is None:
        return f"{fewest} or more"
    return "name alone" if most == 0 else f"{fewest} to {most}"


def _about_examples() -> Paragraph:
    return Paragraph(
        "Queries of each fate: put right by reasoning, put wrong by it, lost at screening, and others. A check mark is "
        "a gold label."
    )


def _choose(answered: Answered, queries: Sequence[Query]) -> list[tuple[Query, Ints, Ints]]:
    """A dozen queries, of each fate some: (query, its labels by screening, after reasoning)."""
    kinds: dict[str, list[int]] = {"put right": [], "put wrong": [], "lost": [], "other": []}
    for row, query in enumerate(queries):
        screened, ranked = answered.screened[row], answered.ranked[row]
        if screened[0] < 0:
            continue
        before, after = int(screened[0]) in query.targets, int(ranked[0]) in query.targets
        lost = not np.isin(screened, query.targets).any()
        kind = "lost" if lost else "other" if before == after else "put right" if after else "put wrong"
        kinds[kind].append(row)
    # evenly spread, so that neighbours in a file, which are often alike, are not all that is seen
    spread = [
        [rows[len(rows) * place // EXAMPLES] for place in range(min(EXAMPLES, len(rows)))] for rows in kinds.values()
    ]
    chosen: list[int] = []
    for turn in range(EXAMPLES):
        chosen += [rows[turn] for rows in spread if turn < len(rows) and rows[turn] not in chosen]
    rows_shown = sorted(chosen[:EXAMPLES])
    return [(queries[row], answered.screened[row], answered.ranked[row]) for row in rows_shown]


def _example(handle: BundleHandle, query: Query, screened: Ints, ranked: Ints) -> Example:
    gold = [f"{handle.label_text(target)}: {_say_ranks(target, screened, ranked)}" for target in query.targets[:3]]
    more = len(query.targets) - 3
    said = [f"Gold label {each}." for each in gold] + ([f"And {more} more."] if more > 0 else [])
    answers = [
        Answer(label.text, f"{100 * label.probability:.1f}%", label.index in query.targets)
        for label in handle.predict(query.text, k=min(3, handle.info.shortlist)).labels
    ]
    return Example(query.text, said, answers)


def _say_ranks(target: int, screened: Ints, ranked: Ints) -> str:
    if target not in screened:
        return "lost at screening"
    before, after = (int(np.flatnonzero(each == target)[0]) + 1 for each in (screened, ranked))
    return f"rank {before} by screening, {after} after reasoning"

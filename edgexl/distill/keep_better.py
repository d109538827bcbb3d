"""What training brings, judged on queries that it never saw: so a student is never worse than what it started as.

A recipe with `keep_better` has the trained screener judged against the untrained one, by vectors and words, and the
reasoner against screening alone. What gains nothing beyond the standard error is left out, and the log says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from edgexl.base.arrays import Doubles, Ints
from edgexl.base.progress import no_progress
from edgexl.compiler.measure.weighing import figures_of, gains
from edgexl.data import Query, metrics
from edgexl.distill.corpus.divide import gold_labels
from edgexl.distill.stages.label_sets import Made, open_domain
from edgexl.distill.stages.reasoning import Shortlists, decide, mark_gold
from edgexl.distill.stages.search import RowSearch, encode_table
from edgexl.distill.stages.shortlists import row_vectors
from edgexl.distill.stages.training import load_tensors, save_tensors
from edgexl.distill.stages.weigh_screening import DEPTH, fit_screening, judge_candidates, judge_rankings
from edgexl.distill.workbench import Workbench
from edgexl.predict.baselines import LabelTexts, rank_baselines
from edgexl.predict.evaluate import CUTOFFS, REPORTED

# By which names the rows' vectors are remembered: of the screener before and after its training.
START, TRAINED = "start", "rows"


def judge_screener(bench: Workbench, screener: nn.Module, name: str) -> Doubles:
    """[development queries, 3]: P@1, R@10 and R@100 of screening by a screener, vectors and words; remembered."""
    path, about = bench.work / f"judged-{name}.safetensors", {"identity": bench.identity("screening")}
    kept = load_tensors(path, about)
    if kept is None:
        search = open_domain(bench, screener, None, bench.corpus.labels, 0, name).search.showing_all()
        fitted, judged = bench.corpus.calibration, bench.corpus.development
        vectors = {queries: _encode(bench, screener, queries) for queries in (fitted, judged)}
        search = fit_screening(search, fitted, vectors[fitted], bench.rows.rows_of_queries(fitted), bench.progress)
        texts, none = [query.text for query in judged], np.full(len(judged), -1, np.int64)
        found = list(search.candidates(vectors[judged], texts, DEPTH, none, bench.progress))
        kept = {"judged": torch.from_numpy(judge_candidates(found, search.weighing, judged))}
        save_tensors(path, kept, about)
    return kept["judged"].numpy()


def keeps_training(bench: Workbench, start: Doubles, trained: Doubles) -> bool:
    """Whether the trained screener is better than what it started as; says so."""
    better = gains(trained, start)
    said = "is kept" if better else "gains nothing beyond chance, so the screener stays what it started as"
    bench.log(
        f"training the screener {said}: {describe_figures(start)} before, {describe_figures(trained)} after, of "
        f"{len(start)} development queries"
    )
    return better


def describe_figures(judged: Doubles) -> str:
    """Judged queries [queries, 3] in words."""
    return ", ".join(f"{name} {value:.1f}" for name, value in figures_of(judged).items())


def _encode(bench: Workbench, screener: nn.Module, queries: Sequence[Query]) -> torch.Tensor:
    return encode_table(screener, bench.tokens(tuple(queries)), "encode queries by the screener", bench.progress)


def rank(
    bench: Workbench, screener: nn.Module, reasoner: nn.Module | None, made: Made, queries: tuple[Query, ...]
) -> tuple[Ints, Ints]:
    """(screening's ranking, the whole's) [queries, N] of a student's shortlists; the same without a reasoner."""
    assert made.search is not None
    length = min(bench.recipe.student.shortlist, len(bench.corpus.labels))
    vectors, texts = _encode(bench, screener, queries), [query.text for query in queries]
    none = np.full(len(queries), -1, np.int64)
    found = made.search.shortlists(vectors, texts, length, none, bench.progress)
    screened = found.labels.numpy().astype(np.int64)
    if reasoner is None:
        return screened, screened
    gold = mark_gold(found.labels, gold_labels(queries), len(bench.corpus.labels))
    lists = Shortlists(bench.tokens(queries), vectors, found.labels, None, gold, evidence=found.evidence)
    logits = decide(screener, reasoner, lists.to(bench.device), made.tables, length)
    order = logits.argsort(dim=1, descending=True, stable=True).cpu().numpy()
    return screened, np.take_along_axis(screened, order, 1)


def keeps_reasoner(bench: Workbench, screener: nn.Module, reasoner: nn.Module, made: Made) -> bool:
    """Whether the reasoner puts more gold labels first than screening alone; says so."""
    queries = bench.corpus.development
    before, after = (judge_rankings(_pad(ranked), queries) for ranked in rank(bench, screener, reasoner, made, queries))
    gain = (after - before)[:, 0]
    better = bool(gain.mean() > gain.std() / np.sqrt(len(gain)))
    said = "is kept" if better else "gains nothing beyond chance, so the student answers by screening alone"
    bench.log(
        f"the reasoner {said}: P@1 {100 * before[:, 0].mean():.1f} by screening, {100 * after[:, 0].mean():.1f} with "
        f"it, of {len(queries)} development queries"
    )
    return better


def _pad(ranked: Ints) -> Ints:
    return np.pad(ranked[:, :DEPTH], ((0, 0), (0, max(0, DEPTH - ranked.shape[1]))), constant_values=-1)


def measure(
    bench: Workbench, start: nn.Module, screener: nn.Module, reasoner: nn.Module | None, made: Made
) -> dict[str, Any]:
    """{"development": ..., "evaluation": ...}: percentages of screening and of the whole ("reasoned"), and with the
    latter `baselines`: TF-IDF, BM25 and the untrained encoder with exact search, on the same queries."""
    report: dict[str, Any] = {}
    for name, queries in (("development", bench.corpus.development), ("evaluation", bench.corpus.evaluation)):
        screened, reasoned = rank(bench, screener, reasoner, made, queries)
        report[name] = {"queries": len(queries), "screening": _measure(screened, queries)}
        report[name]["reasoned"] = _measure(reasoned, queries)
    texts = {place: all_texts(bench, place) for place in range(len(bench.corpus.labels))}
    asked = [query.text for query in queries]
    depth = min(DEPTH, len(texts))
    found = rank_baselines(LabelTexts.of(texts), asked, depth, bench.progress, ("tf-idf", "bm25"))
    search = RowSearch(bench.rows.rows, row_vectors(bench, start, None, START))
    none = np.full(len(queries), -1, np.int64)
    found["untrained"] = search.shortlists(_encode(bench, start, queries), depth, none, no_progress).labels.numpy()
    report["evaluation"]["baselines"] = {name: _measure(ranked, queries) for name, ranked in found.items()}
    return report


def all_texts(bench: Workbench, label: int) -> tuple[str, ...]:
    """A label's text, its aliases and its descriptions."""
    labels = bench.corpus.labels
    return labels.texts[label], *labels.aliases[label], *labels.descriptions[label]


def _measure(ranked: Ints, queries: Sequence[Query]) -> dict[str, float]:
    cutoffs = tuple(k for k in CUTOFFS if k <= ranked.shape[1])
    found = metrics.evaluate(ranked.astype(np.int64), [query.targets for query in queries], cutoffs)
    return {name: round(found[name], 2) for name in REPORTED if name in found}

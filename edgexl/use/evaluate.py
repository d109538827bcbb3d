"""How good a bundle is on held-out queries, next to its screening alone and to the float student it was made from.

The bundle answers through the C runtime, as on a device. All systems rank what they shortlist (N labels), so that
R@1000 of a bundle with N = 128 is its R@128; the float student ranks with the N that it was trained for.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from edgexl.base.errors import BadInput
from edgexl.base.progress import Progress, no_progress, track
from edgexl.bundle.layout import Kind
from edgexl.bundle.read import Bundle, read_bundle
from edgexl.bundle.strings import unpack_strings
from edgexl.data import Query, metrics, open_dataset, read_queries
from edgexl.data.frequency import train_frequency
from edgexl.data.label_set import LabelSet
from edgexl.data.layout import LABELS_FILE
from edgexl.data.metrics import TrainFrequency
from edgexl.data.reliability import expected_calibration_error, wilson
from edgexl.data.tables.queries import LabelNames, is_raw_layout, read_query_table
from edgexl.runtime.binding import open_bundle
from edgexl.use.answered import answer_queries, find_empty

CUTOFFS = (1, 3, 5, 10, 100, 1000)
_REPORTED = (
    *("P@1", "P@3", "P@5", "nDCG@1", "nDCG@3", "nDCG@5", "R@1", "R@3", "R@5", "R@10", "R@100", "R@1000"),
    *("PSP@1", "PSP@3", "PSP@5", "coverage@1", "coverage@5", "F1_micro", "F1_macro"),
)


@dataclass(frozen=True)
class HeldOut:
    """Queries whose targets are the bundle's label numbers.

    Of a data set, `train` says how often each label is seen in training, and `excluded` which (query, label) pairs
    [pairs, 2] are not judged; a file of queries says neither.
    """

    queries: list[Query]
    train: TrainFrequency | None = None
    excluded: npt.NDArray[np.int64] | None = None
    file: Path = Path()

    def without(self, rows: Collection[int]) -> HeldOut:
        """The same but for the queries of these rows."""
        kept = np.array([row for row in range(len(self.queries)) if row not in rows], dtype=np.int64)
        excluded = self.excluded
        if excluded is not None:
            places = np.full(len(self.queries), -1, dtype=np.int64)
            places[kept] = np.arange(len(kept))
            rows_in = excluded[:, 0] < len(places)  # of all queries, also where only the first ones are measured
            pairs = excluded[rows_in]
            pairs[:, 0] = places[pairs[:, 0]]
            excluded = pairs[pairs[:, 0] >= 0]
        return replace(self, queries=[self.queries[row] for row in kept], excluded=excluded)


def evaluate(
    bundle: str | os.PathLike[str],
    data: str | os.PathLike[str],
    student: str | os.PathLike[str] | None = None,
    limit: int | None = None,
    progress: Progress = no_progress,
    empty: Literal["miss", "skip"] = "miss",
    labels_file: str | os.PathLike[str] | None = None,
    baselines: bool = False,
    coverage: float | None = None,
) -> dict[str, Any]:
    """Metrics (percentages, 0 to 100) of the bundle, of its screening and, where given, of the float `student`.

    `data` is a data set's directory, whose test split is taken, or a file of queries: such as a student's
    evaluation.json.gz, whose targets count the bundle's labels, or a table that names labels by id or text.
    The bundle answers as it was compiled, or with what
    `labels_file` adds and retires. `limit` keeps the first so many queries. A query without a token has no answer: it
    is a "miss", or is left out ("skip"). With `baselines`, simple searches of the labels' texts (see
    `edgexl.predict.baselines`) answer the same queries: of a data set's labels, or those beside a student's file, with
    their aliases; else of the texts that the bundle holds. The result has the keys data, queries, labels, bundle,
    screening; where there are such, empty_queries (file, line and uid of each); with a student, student and difference
    (bundle - student); of a data set, bands (see `metrics.evaluate`), a system each; baselines, {name: metrics};
    reliability, how well probabilities foretell what is right on these queries, whatever their origin (the first
    labels' expected calibration error, ECE; how many labels the bundle's own threshold accepts, and which share of
    them is right); with a `coverage`, under that name what sets of it reach: asked, reached (the share of queries whose
    set holds a gold label) with its 95 % interval low to high (Wilson's), mean_labels, and whether it holds
    (`Prediction`).
    Raises `BadInput` where the parts are not of one label set, or the baselines cannot be had.
    """
    opened = read_bundle(bundle)
    labels = _current_labels(opened, labels_file)
    held_out = read_held_out(Path(data), opened, limit, labels)
    empty_rows = _find_empty(bundle, held_out.queries)
    named = [held_out.queries[row] for row in empty_rows]
    if empty == "skip":
        held_out, empty_rows = held_out.without(set(empty_rows)), []
        if not held_out.queries:
            raise BadInput(f"{data} holds no query with a token; there is nothing to measure.")
    report: dict[str, Any] = {
        "data": os.fspath(data),
        "queries": len(held_out.queries),
        "labels": len(labels.number),
    }
    if named:
        file = str(held_out.file)
        report["empty_queries"] = [{"file": file, "line": one.line, "uid": one.uid} for one in named]
    judged, reliability = _bundle_metrics(bundle, held_out, set(empty_rows), labels_file, progress)
    if student is not None:
        judged["student"] = _student_metrics(student, opened, held_out, set(empty_rows), progress)
    report |= {system: {name: values[name] for name in _REPORTED} for system, values in judged.items()}
    report["reliability"] = reliability
    if held_out.train is not None:
        report["bands"] = {system: values["bands"] for system, values in judged.items()}
    if student is not None:
        report["difference"] = {
            name: None if value is None or report["student"][name] is None else value - report["student"][name]
            for name, value in report["bundle"].items()
        }
    if coverage is not None:
        report["coverage"] = _measure_sets(bundle, held_out, set(empty_rows), labels_file, coverage, progress)
    if baselines:
        texts = _label_texts(Path(data), opened, labels, labels_file)
        found = _baseline_metrics(texts, held_out, set(empty_rows), opened.parameters.shortlist, progress)
        report["baselines"] = {name: {key: values[key] for key in _REPORTED} for name, values in found.items()}
    return report


@dataclass(frozen=True)
class _Labels:
    """The label set that answers: each label's number by its id, all below `end`."""

    number: dict[str, int]
    end: int


def _current_labels(bundle: Bundle, labels_file: str | os.PathLike[str] | None) -> _Labels:
    if labels_file is None:
        ids = unpack_strings(bytes(bundle.section(Kind.LABEL_IDS)))
        return _Labels({label_id: index for index, label_id in enumerate(ids)}, len(ids))
    with open_bundle(bundle.path, engine=False, labels_path=labels_file) as handle:
        end = handle.labels_info().end
        there = (index for index in range(end) if handle.label_state(index) != "retired")
        return _Labels({handle.label_id(index): index for index in there}, end)


def _find_empty(bundle: str | os.PathLike[str], queries: list[Query]) -> list[int]:
    with open_bundle(bundle, engine=False, compiled_only=True) as handle:
        return find_empty(handle, queries)


def read_held_out(data: Path, bundle: Bundle, limit: int | None, labels: _Labels | None = None) -> HeldOut:
    """The queries of `data`, with their targets turned into the bundle's label numbers.

    Raises `BadInput` for a label set other than the bundle's, and where there is no query.
    """
    train = excluded = None
    labels = labels or _current_labels(bundle, None)
    file = data
    if data.is_dir():
        dataset = open_dataset(data)
        file = dataset.directory / "tst.json.gz"
        position = _positions(dataset.labels, labels, data)
        queries = [
            Query(query.uid, query.text, tuple(position[target] for target in query.targets), query.line)
            for query in islice(dataset.queries("tst"), limit)
        ]
        seen = train_frequency(dataset)
        counts = np.zeros(labels.end, dtype=seen.counts.dtype)
        counts[position] = seen.counts
        train = TrainFrequency(counts, seen.queries)
        excluded = dataset.excluded("tst")
        excluded[:, 1] = position[excluded[:, 1]]
    elif data.is_file():
        queries = list(islice(_read_file(data, bundle, labels), limit))
    else:
        raise BadInput(f"{data} is not there; give a data set's directory, or a file of queries.")
    if not queries:
        raise BadInput(f"{data} holds no query; there is nothing to measure.")
    return HeldOut(queries, train, excluded, file)


def _read_file(path: Path, bundle: Bundle, labels: _Labels) -> tuple[Query, ...]:
    """The queries of a file: in the raw layout, or a table that names the bundle's labels by id or text."""
    if is_raw_layout(path):
        return tuple(read_queries(path, bundle.parameters.labels))
    texts = unpack_strings(bytes(bundle.section(Kind.LABEL_TEXTS)))
    number = labels.number
    named = [label_id for label_id, place in number.items() if place < len(texts)]
    known = LabelNames.of(named, [texts[number[label_id]] for label_id in named], [number[each] for each in named])
    # labels that were added since the compile are known by their ids
    return read_query_table(path, LabelNames(number, known.texts, known.folded, known.unclear)).all()


def _positions(labels: LabelSet, current: _Labels, data: Path) -> npt.NDArray[np.int64]:
    """For each label of the data set, its number in the bundle."""
    number = current.number
    missing = next((label_id for label_id in labels.ids if label_id not in number), None)
    if missing is not None or len(labels) != len(number):
        counts = f"{len(labels)} labels against {len(number)}"
        what = f"'{missing}' is only in the data" if missing is not None else counts
        raise BadInput(f"{data} is not over the bundle's label set ({what}); evaluate with the data it was made for.")
    return np.array([number[label_id] for label_id in labels.ids], dtype=np.int64)


def _bundle_metrics(
    path: str | os.PathLike[str],
    held_out: HeldOut,
    empty: Collection[int],
    labels_file: str | os.PathLike[str] | None,
    progress: Progress,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The metrics of `bundle` and `screening`, and the key `reliability`; the rows `empty` are not answered."""
    queries = held_out.queries
    tell = partial(progress, "query the bundle")
    with open_bundle(path, compiled_only=labels_file is None, labels_path=labels_file) as handle:
        curve = read_bundle(path).calibration
        found = answer_queries(handle, curve, queries, max(CUTOFFS), empty, held_out.file, tell)
    answered = np.isfinite(found.probabilities)
    right = found.is_right(queries)[answered].tolist()
    targets = [query.targets for query in queries]
    above = int(found.accepted.sum())
    right_above = int(metrics.find_gold(found.ranked, targets)[found.accepted].sum())
    reliability = {
        "ECE": expected_calibration_error(found.probabilities[answered].tolist(), right),
        "accepted": above,
        "accepted_right": right_above / above if above else None,
    }
    judged = {"bundle": _judge(found.ranked, held_out, found.accepted), "screening": _judge(found.screened, held_out)}
    return judged, reliability


def _measure_sets(
    path: str | os.PathLike[str],
    held_out: HeldOut,
    empty: Collection[int],
    labels_file: str | os.PathLike[str] | None,
    coverage: float,
    progress: Progress,
) -> dict[str, Any]:
    """The key `coverage`; the rows `empty` have empty sets."""
    covered, sizes, holds = [], [], True
    with open_bundle(path, compiled_only=labels_file is None, labels_path=labels_file) as handle:
        for row, query in enumerate(track(held_out.queries, "ask for sets", progress, every=1)):
            found = None if row in empty else handle.predict(query.text, coverage=coverage)
            labels = {label.index for label in found.labels} if found else set()
            covered.append(not labels.isdisjoint(query.targets))
            sizes.append(len(labels))
            holds = holds and (found is None or found.coverage_holds)
    low, high = wilson(sum(covered), len(covered))
    reached, mean = sum(covered) / len(covered), sum(sizes) / len(sizes)
    return {"asked": coverage, "reached": reached, "low": low, "high": high, "mean_labels": mean, "holds": holds}


def _student_metrics(
    source: str | os.PathLike[str], bundle: Bundle, held_out: HeldOut, empty: Collection[int], progress: Progress
) -> dict[str, Any]:
    from edgexl.predict.float_student import StudentPredictor
    from edgexl.student.student import load_student

    student = load_student(source)
    if bytes.fromhex(student.labels.sha256()) != bundle.parameters.label_set_sha256:
        raise BadInput(f"{source} is not over the bundle's label set; compare with the student it was compiled from.")
    predictor = StudentPredictor(student, progress=partial(progress, "encode the labels"))
    rows = [row for row in range(len(held_out.queries)) if row not in empty]
    texts = [held_out.queries[row].text for row in rows]
    answers = predictor.rank(texts, progress=partial(progress, "query the student"))
    return _judge(_spread(answers, rows, len(held_out.queries)), held_out)


def _label_texts(
    data: Path, bundle: Bundle, labels: _Labels, labels_file: str | os.PathLike[str] | None
) -> dict[int, tuple[str, ...]]:
    """The texts of each label by its number: all of them where the data's own label set is at hand."""
    beside = data / LABELS_FILE if data.is_dir() else data.parent / "labels.json.gz"
    known = LabelSet.load(beside) if beside.is_file() else None
    if known is not None and (data.is_dir() or bytes.fromhex(known.sha256()) == bundle.parameters.label_set_sha256):
        return {
            labels.number[label_id]: (known.texts[place], *known.aliases[place], *known.descriptions[place])
            for place, label_id in enumerate(known.ids)
            if label_id in labels.number
        }
    with open_bundle(bundle.path, engine=False, compiled_only=labels_file is None, labels_path=labels_file) as handle:
        return {number: (handle.label_text(number),) for number in labels.number.values()}


def _baseline_metrics(
    texts: dict[int, tuple[str, ...]], held_out: HeldOut, empty: Collection[int], depth: int, progress: Progress
) -> dict[str, dict[str, Any]]:
    """{name: metrics}, of as many labels a query as the bundle's shortlist holds."""
    from edgexl.predict.baselines import LabelTexts, rank_baselines

    rows = [row for row in range(len(held_out.queries)) if row not in empty]
    found = rank_baselines(LabelTexts.of(texts), [held_out.queries[row].text for row in rows], depth, progress)
    return {name: _judge(_spread(answers, rows, len(held_out.queries)), held_out) for name, answers in found.items()}


def _spread(answers: npt.NDArray[np.int64], rows: list[int], queries: int) -> npt.NDArray[np.int64]:
    """The answers of these rows among all queries; the others have none."""
    ranked = np.full((queries, answers.shape[1]), -1, dtype=np.int64)
    ranked[rows] = answers
    return _pad(ranked)


def _pad(ranked: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    missing = max(CUTOFFS) - ranked.shape[1]
    return np.pad(ranked, ((0, 0), (0, max(missing, 0))), constant_values=-1)


def _judge(
    ranked: npt.NDArray[np.int64], held_out: HeldOut, accepted: npt.NDArray[np.bool_] | None = None
) -> dict[str, Any]:
    targets = [query.targets for query in held_out.queries]
    return metrics.evaluate(ranked, targets, CUTOFFS, held_out.train, accepted, excluded=held_out.excluded)

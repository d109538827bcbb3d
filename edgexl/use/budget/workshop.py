"""Makes candidates of a bundle and measures them; what several of them share is made once.

A candidate is the whole bundle but for what no figure depends on: its probabilities are not fitted, and its goldens are
those of the first one. It answers through the C runtime, and exl-bench times it, as both do with the real one: in turns
with the first one, so that a machine that is slow for a minute makes no candidate slow.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from edgexl.base.progress import Progress, no_progress
from edgexl.bundle.layout import Kind
from edgexl.bundle.parameters import Parameters
from edgexl.bundle.write import write_bundle
from edgexl.compiler.artifact import Artifact, Graphs
from edgexl.compiler.encoding.open_workers import open_workers
from edgexl.compiler.measure.answering import measure_bundle
from edgexl.compiler.measure.costs import Costs, Meter
from edgexl.compiler.measure.ledger import Accuracy
from edgexl.compiler.measure.reference import Blend
from edgexl.compiler.passes.build_index import BuildIndex, rotate_graphs
from edgexl.compiler.passes.calibrate import Calibrate
from edgexl.compiler.passes.encode import Encode
from edgexl.compiler.passes.export import Export
from edgexl.compiler.passes.fit_blend import FitBlend
from edgexl.compiler.passes.index_words import IndexWords, make_lexical
from edgexl.compiler.passes.lower import Lower
from edgexl.compiler.passes.pack import make_goldens, pack_sections, reference_of_sections
from edgexl.compiler.passes.quantize import Quantize
from edgexl.compiler.passes.read_windows import ReadWindows
from edgexl.compiler.pipeline import begin
from edgexl.compiler.recipe import CalibrateRecipe, Recipe
from edgexl.index.best_of_rows import Weighing
from edgexl.runtime.binding import open_bundle
from edgexl.student.student import Student
from edgexl.target import Target
from edgexl.use.budget.figures import Figures, pack_hits

_T = TypeVar("_T")


@dataclass(frozen=True)
class Fitted:
    """What the passes fit to the base by held-out queries, and candidates take over: fitting it anew takes longer than
    all else, and changes little. `words`: whether there is a lexical side."""

    words: bool
    weighing: Weighing
    windows: int
    blend: Blend

    @property
    def reasons(self) -> bool:
        """Whether the reasoner is kept."""
        return self.blend.reasoner != 0

    def as_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def of_json(cls, known: Any) -> Fitted | None:
        """What `as_json` told; None for anything else."""
        try:
            weighing: dict[str, Any] = {
                name: tuple(value) if isinstance(value, list) else value for name, value in known["weighing"].items()
            }
            return cls(bool(known["words"]), Weighing(**weighing), int(known["windows"]), Blend(**known["blend"]))
        except (KeyError, TypeError, ValueError, AttributeError):
            return None


class Workshop:
    """Of one student and target. `base`: the recipe that candidates are changes of; `meter`: what tells their costs;
    `fitted`: what is known of the base."""

    def __init__(
        self, student: Student, base: Recipe, target: Target, meter: Meter, workers: str = "local",
        progress: Progress = no_progress, fitted: Fitted | None = None,
    ) -> None:  # fmt: skip
        self._student, self._base, self._target, self._meter = student, base, target, meter
        self._workers, self._progress = open_workers(workers), progress
        self._made: dict[tuple[Hashable, ...], Any] = {}
        self._folder = tempfile.TemporaryDirectory(prefix="edgexl-budget-")
        if fitted is not None:
            self._made["fitted",] = fitted

    def close(self) -> None:
        """Delete the files."""
        self._folder.cleanup()

    @property
    def fitted(self) -> Fitted:
        """What is fitted to the base."""

        def fit() -> Fitted:
            recipe, threads = self._base, self._workers.threads
            artifact = self._quantized(recipe)
            # words are weighed by the float graphs' vectors
            floats = dataclasses.replace(artifact, graphs=self._rotated(recipe))
            index = self._tell(IndexWords(recipe.index, threads), floats).index
            if index.lexical is not None:
                self._made["lexical",] = index.lexical
            artifact = dataclasses.replace(artifact, index=index)
            artifact = self._blended(self._tell(ReadWindows(recipe.shortlist, threads), artifact))
            return Fitted(index.lexical is not None, index.weighing, artifact.windows, artifact.blend)

        return self._once(("fitted",), fit)

    def measure(self, recipe: Recipe, beside: Figures | None = None) -> Figures:
        """A candidate's figures, with what is fitted to the base. Times are as many of those `beside` it, the base's,
        as they are of the base's in the same turns."""
        with threadpool_limits(1, "blas"):
            artifact = self._finished(recipe)
            path = Path(self._folder.name) / "candidate.exl"
            size = self._write(artifact, path)
            accuracy = self._answer(path)
            costs = self._tell_alone(path) if beside is None else self._tell_beside(path, beside)
        hits = pack_hits(accuracy.shares["p_at_1"] > 0) if accuracy.shares else ""
        return Figures(
            accuracy.p_at_1, accuracy.r_at_100, size, costs.memory_bytes, costs.stages, costs.ms, hits
        )  # fmt: skip

    def _tell_alone(self, path: Path) -> Costs:
        return _least([self._meter.tell(path) for _ in range(1 if self._meter.predicted else _TURNS)])

    def _tell_beside(self, path: Path, beside: Figures) -> Costs:
        if self._meter.predicted:
            return self._meter.tell(path)
        base_path = Path(self._folder.name) / "base.exl"
        if not base_path.is_file():
            self._write(self._finished(self._base), base_path)
        turns = [(self._meter.tell(base_path), self._meter.tell(path)) for _ in range(_TURNS)]
        base, own = (_least([turn[which] for turn in turns]) for which in (0, 1))
        stages = {name: beside.stages[name] * _ratio(ms, base.stages[name]) for name, ms in own.stages.items()}
        ms = beside.ms * _ratio(sum(stages.values()), sum(beside.stages.values()))
        return Costs(own.memory_bytes, stages, ms, own.load_ms)

    def _write(self, artifact: Artifact, path: Path) -> int:
        """The bundle's bytes."""
        sections = self._sections(artifact)
        return write_bundle(path, sections)

    def _finished(self, recipe: Recipe) -> Artifact:
        """After all passes that figures depend on."""
        fitted, artifact = self.fitted, self._quantized(recipe)
        index = dataclasses.replace(artifact.index, weighing=fitted.weighing)
        if fitted.words:
            lexical = self._once(("lexical",), lambda: make_lexical(artifact, self._base.index))
            candidates = self._base.index.lexical_candidates
            index = dataclasses.replace(index, lexical=lexical, lexical_candidates=candidates)
        artifact = dataclasses.replace(artifact, index=index, windows=fitted.windows)
        if recipe.reasoner.blend == "screening":
            return self._blended(artifact)
        return dataclasses.replace(artifact, blend=fitted.blend)

    def _blended(self, artifact: Artifact) -> Artifact:
        step = FitBlend(artifact.recipe, self._workers.threads, partial(self._progress, "blend"))
        return self._tell(step, artifact)

    def _answer(self, path: Path) -> Accuracy:
        queries = self._student.evaluation[: self._base.gates.queries]
        with open_bundle(path, verify=False, compiled_only=True) as handle:
            return measure_bundle(handle, queries, self._workers.threads, partial(self._progress, "answer"))

    def _sections(self, artifact: Artifact) -> dict[Kind, bytes]:
        """All sections; the manifest is as long as one usually is."""
        none = Calibrate(CalibrateRecipe("none"), self._workers.threads)
        artifact = Lower().run(none.run(artifact))
        texts = self._made.get(("texts",))
        sections, sizes = pack_sections(artifact, texts or {})
        if texts is None:
            kept = (Kind.TOKENIZER, Kind.LABEL_TEXTS, Kind.LABEL_IDS, Kind.LABEL_DESCRIPTIONS)
            self._made["texts",] = {kind: sections[kind] for kind in kept if kind in sections}
        goldens = self._once(("goldens",), lambda: self._make_goldens(artifact, sections, sizes))
        return {**sections, Kind.GOLDENS: goldens, Kind.MANIFEST: b"{}".ljust(_MANIFEST_BYTES)}

    def _make_goldens(self, artifact: Artifact, sections: dict[Kind, bytes], sizes: Parameters) -> bytes:
        return make_goldens(artifact, reference_of_sections(artifact, sections, sizes), self._workers.threads).pack()

    def _quantized(self, recipe: Recipe) -> Artifact:
        """After quantize, but that words are not weighed yet."""
        indexed = self._indexed(recipe)
        graphs, step = self._rotated(recipe), Quantize(recipe, self._target)
        key = ("rotated", *self._index_key(recipe))

        def quantize(graph: bytes, role: str) -> bytes:
            of = getattr(recipe, role)
            return self._once((*key, role, _frozen(of), recipe.engine), lambda: step.quantize(graph, of))

        small = dataclasses.replace(
            graphs, screener=quantize(graphs.screener, "screener"), reasoner=quantize(graphs.reasoner, "reasoner")
        )
        return dataclasses.replace(indexed, graphs=small)

    def _rotated(self, recipe: Recipe) -> Graphs:
        """The float graphs in the index's space."""
        rotation, graphs = self._indexed(recipe).rotation, self._exported(recipe).graphs
        key = ("float", *self._index_key(recipe), recipe.reasoner.layers)
        return self._once(key, lambda: graphs if rotation is None else rotate_graphs(graphs, rotation))

    def _indexed(self, recipe: Recipe) -> Artifact:
        """With an index for the recipe's over-fetch and shortlist."""
        built = self._once(self._index_key(recipe), lambda: self._build_index(recipe))
        shortlist = recipe.shortlist.n or self._student.shapes.shortlist
        index = dataclasses.replace(
            built.index, overfetch=max(recipe.index.overfetch, shortlist), shortlist=shortlist
        )  # fmt: skip
        shapes = dataclasses.replace(built.shapes, shortlist=shortlist)
        student = self._exported(recipe).student
        return dataclasses.replace(built, recipe=recipe, index=index, shapes=shapes, student=student)

    def _build_index(self, recipe: Recipe) -> Artifact:
        encoded = self._encoded(recipe)
        known = self._made.get(("coarse", recipe.index.code_bytes))
        index = recipe.index
        if known is not None and index.coarse == "auto":  # which codes keep most depends on their bytes alone
            index = dataclasses.replace(index, coarse=known[0], coarse_dims=known[1])
        built = self._tell(BuildIndex(index, self._workers.threads), dataclasses.replace(encoded, recipe=recipe))
        subspaces, _, width = built.index.codebook.shape
        if tried := built.facts.get("coarse"):
            taken = next(each for each in tried if each["dims"] == subspaces * width)
            self._made["coarse", recipe.index.code_bytes] = (taken["coarse"], taken["dims"])
        # the rows' vectors are as large as all else together, and an index that is there is not made of them again
        return dataclasses.replace(built, vectors=encoded.vectors)

    def _index_key(self, recipe: Recipe) -> tuple[Hashable, ...]:
        index = dataclasses.replace(recipe.index, overfetch=self._base.index.overfetch)
        return ("index", _frozen(index), recipe.screener.layers)

    def _encoded(self, recipe: Recipe) -> Artifact:
        """With the label vectors, which depend on the screener alone."""

        def make() -> Artifact:
            step = Encode(
                recipe.index, Quantize(self._base, self._target), self._workers, partial(self._progress, "encode")
            )
            return self._tell(step, self._exported(recipe))

        return self._once(("encoded", recipe.screener.layers), make)

    def _exported(self, recipe: Recipe) -> Artifact:
        layers = (recipe.screener.layers, recipe.reasoner.layers)
        plain = dataclasses.replace(
            self._base,
            screener=dataclasses.replace(self._base.screener, layers=layers[0]),
            reasoner=dataclasses.replace(self._base.reasoner, layers=layers[1]),
        )
        return self._once(
            ("exported", *layers), lambda: self._tell(Export(), begin(self._student, plain, self._target))
        )

    def _tell(self, step: Any, artifact: Artifact) -> Artifact:
        if not step.tells:
            self._progress(step.name, 0, 1)
        artifact = step.run(artifact)
        self._progress(step.name, 1, 1)
        return artifact

    def _once(self, key: tuple[Hashable, ...], make: Callable[[], _T]) -> _T:
        if key not in self._made:
            self._made[key] = make()
        found: _T = self._made[key]
        return found


# How often a candidate and the base are timed in turn.
_TURNS = 2


def _least(costs: Sequence[Costs]) -> Costs:
    """The least times of several measurements, and the most memory."""
    stages = {name: min(each.stages[name] for each in costs) for name in costs[0].stages}
    return Costs(
        max(each.memory_bytes for each in costs), stages, min(each.ms for each in costs),
        min(each.load_ms for each in costs),
    )  # fmt: skip


def _ratio(ms: float, base: float) -> float:
    return ms / base if base > 0 else 1.0


# The manifest of a bundle with a ledger.
_MANIFEST_BYTES = 16_000


def _frozen(table: Any) -> Hashable:
    """A recipe or one of its tables, without what is for people."""
    told = dataclasses.asdict(table)
    told.pop("name", None), told.pop("description", None)
    return repr(sorted(told.items()))

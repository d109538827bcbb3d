"""Pack: everything becomes sections of a bundle, goldens included, and the sections are tried before they are
written.
"""

from __future__ import annotations

import dataclasses
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgexl import __version__
from edgexl.base.arrays import Ints
from edgexl.base.errors import BadInput
from edgexl.base.progress import Progress, no_progress
from edgexl.bundle.goldens import Golden, Goldens, compare
from edgexl.bundle.layout import MAJOR, MINOR, Kind
from edgexl.bundle.parameters import ENGINE_NATIVE, ENGINE_ORT, SCREENER_INPUTS, Parameters, input_bits
from edgexl.bundle.row_labels import pack_row_labels
from edgexl.bundle.strings import pack_strings, unpack_strings
from edgexl.bundle.tokenizer import pack_tokenizer
from edgexl.bundle.weights import externalise
from edgexl.bundle.write import bundle_bytes, trial_bundle
from edgexl.compiler.artifact import Artifact
from edgexl.compiler.graphs.graph import Session, fuse
from edgexl.compiler.measure.budget import budget
from edgexl.compiler.measure.gates import Verdict, accuracy_gates, judge
from edgexl.compiler.measure.kernel_search import fastest
from edgexl.compiler.measure.ledger import LedgerRow
from edgexl.compiler.measure.reference import Answer, ReferencePipeline
from edgexl.compiler.measure.yardstick import accuracy, padded
from edgexl.compiler.passes.declaration import Pass
from edgexl.index import LabelIndex
from edgexl.runtime.binding import BundleHandle, open_bundle

GOLDENS = 32
GOLDEN_LABELS = 5
# CPUs differ by about 1e-3 in a logit (8-bit rounding turns on the last digit of a sum), and the curve from logit to
# probability rises by less than 1 in 1; ten times that still tells a wrong kernel, table or tokenizer.
TOLERANCE = 0.02
# A golden's last label must lead the next by this much in its logit, or another CPU might put the next one in its
# place.
MARGIN = 0.1


@dataclass(frozen=True)
class Pack(Pass):
    """What goes in is decided. A native bundle lies beside `out` for a moment, to be asked the evaluation queries."""

    out: Path
    progress: Progress = no_progress

    name = "pack"
    needs = ("graphs", "engine", "index", "calibration")
    adds = ("goldens", "sections")

    def run(self, artifact: Artifact) -> Artifact:
        """Adds `goldens`, `sections` and, of a native bundle, `answered`, by which the accuracy gates are judged again.
        Raises `GateFailed` when one fails, over the budget, or when the sections answer otherwise than the artifact
        that they were made of."""
        sections, sizes = _sections(artifact)
        pipeline = _pipeline(artifact, sections, sizes)
        goldens = make_goldens(artifact, pipeline)
        sections[Kind.GOLDENS] = goldens.pack()
        share = (
            100 * sum(_reproduced(pipeline, golden, goldens.tolerance) for golden in goldens.items) / len(goldens.items)
        )
        verdict = Verdict("goldens_reproduced", share, 100.0, self.name, "the packed sections answer differently")
        artifact = dataclasses.replace(artifact, goldens=goldens, verdicts=artifact.verdicts + judge((verdict,)))
        return self._with_manifest(self._asked(artifact, sections), sections)

    def _asked(self, artifact: Artifact, sections: dict[Kind, bytes]) -> Artifact:
        """Adds `answered`: the C runtime's native engine gives the same bits here as on every device, and others than
        ONNX Runtime, by which the passes before were measured."""
        queries = artifact.student.evaluation[: artifact.recipe.gates.queries]
        if artifact.engine != "native" or not queries:
            return artifact
        ranked = []
        with (
            trial_bundle(self.out, {Kind.MANIFEST: b"{}\n", **sections}) as path,
            open_bundle(path, verify=False, compiled_only=True) as handle,
        ):
            for done, query in enumerate(queries, 1):
                ranked.append(_ranking(handle, query.text))
                self.progress(f"measure {self.name}", done, len(queries))
        answered = accuracy(padded(ranked, -1), queries)
        ledger = (*artifact.ledger, LedgerRow(self.name, 0.0, 0, answered))
        known = {verdict.name: verdict for verdict in artifact.verdicts}
        known |= {verdict.name: verdict for verdict in accuracy_gates(artifact.recipe.gates, ledger)}
        return dataclasses.replace(artifact, answered=answered, verdicts=tuple(known.values()))

    def _with_manifest(self, artifact: Artifact, sections: dict[Kind, bytes]) -> Artifact:
        """Add the manifest, which states the file's length, which depends on the manifest's: repeat until it agrees."""
        last, file_bytes = artifact.answered or artifact.ledger[-1].accuracy, 0
        while True:
            lengths = {kind: len(content) for kind, content in sections.items()} | {Kind.MANIFEST: 1}
            verdicts = artifact.verdicts + budget(
                lengths, file_bytes, artifact.recipe, artifact.target, artifact.engine
            )
            ledger = (*artifact.ledger, LedgerRow(self.name, 0.0, file_bytes, last))
            text = json.dumps(manifest(artifact, ledger, verdicts), ensure_ascii=False, indent=1)
            packed = {Kind.MANIFEST: text.encode() + b"\n", **sections}
            found = bundle_bytes({kind: len(content) for kind, content in packed.items()})
            if found == file_bytes:
                return dataclasses.replace(artifact, sections=packed, verdicts=judge(verdicts))
            file_bytes = found


def manifest(artifact: Artifact, ledger: tuple[LedgerRow, ...], verdicts: tuple[Verdict, ...]) -> dict[str, Any]:
    """What people and hosts can know of a bundle. No time and no place is in it: the same inputs give the same
    bytes.
    """
    student = artifact.student
    return {
        "format": f"{MAJOR}.{MINOR}",
        "edgexl": __version__,
        "engine": artifact.engine,
        "labels": len(student.labels),
        "rows": len(artifact.rows),
        "label_set_sha256": student.labels.sha256(),
        "shapes": dataclasses.asdict(artifact.shapes),
        "recipe": dataclasses.asdict(artifact.recipe),
        "target": dataclasses.asdict(artifact.target),
        "provenance": student.provenance,
        "student_metrics": student.metrics,
        **artifact.facts,
        "ledger": [row.as_json(seconds=False) for row in ledger],
        "gates": [verdict.as_json() for verdict in verdicts],
    }


def _sections(artifact: Artifact) -> tuple[dict[Kind, bytes], Parameters]:
    """All sections but the manifest and the goldens."""
    graphs, index, shapes, student = artifact.graphs, artifact.index, artifact.shapes, artifact.student
    if artifact.plans is not None:
        screener_graph, screener_weights, reasoner_graph, reasoner_weights = dataclasses.astuple(artifact.plans)
    else:
        screener_graph, screener_weights = externalise(fuse(graphs.screener))
        reasoner_graph, reasoner_weights = externalise(fuse(graphs.reasoner))
    screener_inputs, reasoner_inputs = Session(graphs.screener).input_names, Session(graphs.reasoner).input_names
    assert set(screener_inputs) <= set(SCREENER_INPUTS)
    states = "token_states" in reasoner_inputs
    subspaces, _, subspace_dims = index.codebook.shape
    sizes = Parameters(
        labels=index.labels,
        rows=index.rows,
        dims=index.dims,
        subspaces=subspaces,
        subspace_dims=subspace_dims,
        fine_dims=index.fine_dims,
        fine_bits=index.fine_bits,
        fine_gain=index.fine_gain,
        overfetch=index.overfetch,
        shortlist=index.shortlist,
        max_tokens=shapes.max_tokens,
        label_tokens=shapes.label_tokens if "label_tokens" in reasoner_inputs else 0,
        state_dims=shapes.state_dims if states else 0,
        screener_inputs=input_bits(screener_inputs),
        reasoner_inputs=input_bits(reasoner_inputs),
        screener_outputs=3 if states or artifact.plans is None else 1,
        vocabulary=shapes.vocabulary,
        label_set_sha256=artifact.calibration.label_set_sha256,
        engine=ENGINE_ORT if artifact.plans is None else ENGINE_NATIVE,
        cells=index.cells.count if index.cells else 0,
        probes=index.cells.probes if index.cells else 0,
        cell_margin=index.cells.margin if index.cells else 0.0,
    )
    with ThreadPoolExecutor(2) as pool:  # numpy does most of it, and lets other threads run meanwhile
        texts, ids = pool.map(pack_strings, (student.labels.texts, student.labels.ids))
    sections = {
        Kind.PARAMETERS: sizes.pack(),
        Kind.TOKENIZER: pack_tokenizer(student.tokenizer.to_str()),
        Kind.SCREENER_GRAPH: screener_graph,
        Kind.SCREENER_WEIGHTS: screener_weights,
        Kind.REASONER_GRAPH: reasoner_graph,
        Kind.REASONER_WEIGHTS: reasoner_weights,
        Kind.CODEBOOK: index.codebook.astype("<f4").tobytes(),
        Kind.COARSE_CODES: bytes(index.coarse),
        Kind.FINE_CODES: bytes(index.fine),
        Kind.LABEL_TEXTS: texts,
        Kind.LABEL_IDS: ids,
        Kind.CALIBRATION: artifact.calibration.pack(),
    }
    if len(artifact.rows.alias_labels):
        sections[Kind.ROW_LABELS] = pack_row_labels(artifact.rows.alias_labels)
    if index.cells is not None:
        sections[Kind.CELLS] = index.cells.pack()
    return sections, sizes


def _pipeline(artifact: Artifact, sections: dict[Kind, bytes], sizes: Parameters) -> ReferencePipeline:
    student, pieces = artifact.student, None
    # tokenising all texts once more takes seconds, and gives what is known where the section has kept them
    if unpack_strings(sections[Kind.LABEL_TEXTS]) == list(student.labels.texts):
        pieces = artifact.rows.label_pieces(sizes.label_tokens)
    starts, labels = artifact.index.row_starts, artifact.index.row_labels
    pipeline = ReferencePipeline.from_sections(
        sections, sizes, artifact.calibration, starts, labels, student.tokenizer, pieces
    )
    assert isinstance(pipeline.screening, LabelIndex)
    return dataclasses.replace(pipeline, screening=fastest(pipeline.screening))


def make_goldens(artifact: Artifact, pipeline: ReferencePipeline) -> Goldens:
    """Goldens of evaluation texts (label texts, if there are none) with a clear margin; the clearest, if few have
    one.
    """
    labels = artifact.student.labels
    texts = [query.text for query in artifact.student.evaluation[: 8 * GOLDENS]] or list(labels.texts[: 2 * GOLDENS])
    texts = [text for text in dict.fromkeys(texts) if text.strip()]
    tried: list[tuple[str, Answer]] = []
    k = min(GOLDEN_LABELS, artifact.shapes.shortlist)
    for text, answer in zip(texts, pipeline.answers(texts), strict=True):
        tried.append((text, answer))
        k = min(k, len(answer.labels))  # where aliases of fewer labels filled the over-fetch
        if sum(_margin(answer, k) >= MARGIN for _, answer in tried) == GOLDENS:
            break
    # the widest margins, in the order of the texts
    margins = [_margin(answer, k) for _, answer in tried]
    least = min(sorted(margins, reverse=True)[:GOLDENS][-1], MARGIN)
    chosen = [pair for margin, pair in zip(margins, tried, strict=True) if margin >= least][:GOLDENS]
    assert pipeline.calibration is not None
    items = []
    for text, answer in chosen:
        probabilities = pipeline.calibration.probabilities(answer.logits)[answer.order[:k]]
        first = tuple(answer.ranked[:k].tolist())
        items.append(Golden(text, answer.tokens, first, tuple(probabilities.tolist())))
    return Goldens(k, TOLERANCE, tuple(items))


def _ranking(handle: BundleHandle, text: str) -> Ints:
    """The shortlist's labels, best first; none for a text without a token."""
    try:
        return handle.predict(text, k=1).ranked
    except BadInput:
        return np.empty(0, np.int64)


def _margin(answer: Answer, k: int) -> float:
    """By how much the k-th logit leads the next; infinite when there is no next."""
    logits = answer.logits[answer.order]
    return float(logits[k - 1] - logits[k]) if len(logits) > k else float("inf")


def _reproduced(pipeline: ReferencePipeline, golden: Golden, tolerance: float) -> bool:
    answers = pipeline.predict(golden.text, len(golden.labels))
    return compare(golden, [label for label, _ in answers], [share for _, share in answers], tolerance)

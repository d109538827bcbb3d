"""Pack: everything becomes sections of a bundle, and the pipeline of these very sections makes the goldens."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import tokenizers

from edgexl.bundle import charsmap, spelling, subwords
from edgexl.bundle import tokenizer as packer
from edgexl.bundle.goldens import Golden, Goldens
from edgexl.bundle.layout import Kind
from edgexl.bundle.parameters import ENGINE_NATIVE, ENGINE_ORT, SCREENER_INPUTS, Parameters, input_bits
from edgexl.bundle.row_labels import pack_row_labels
from edgexl.bundle.strings import LONGEST_BYTES, pack_strings, unpack_strings
from edgexl.bundle.weights import externalise
from edgexl.compiler.artifact import Artifact
from edgexl.compiler.base import Base
from edgexl.compiler.graphs.graph import Session, fuse
from edgexl.compiler.measure.kernel_search import fastest
from edgexl.compiler.measure.reference import Answer, ReferencePipeline
from edgexl.compiler.passes.declaration import Pass
from edgexl.index import LabelIndex
from edgexl.index.row_cache import RowCache

GOLDENS = 32
GOLDEN_LABELS = 5
# CPUs differ by about 1e-3 in a logit (8-bit rounding turns on the last digit of a sum), and the curve from logit to
# probability rises by less than 1 in 1; ten times that still tells a wrong kernel, table or tokenizer.
TOLERANCE = 0.02
# A golden's last label must lead the next by this much in its logit, or another CPU might put the next one in its
# place.
MARGIN = 0.1
# The same of a screening score. Engines differ by up to .005 in it over a lexical side, whose weight turns on the best
# score; a logit is so many times the score as the blend says.
SCREENING_MARGIN = 0.02


@dataclass(frozen=True)
class Pack(Pass):
    """No settings but the threads that answer the goldens: what goes in is decided. `base`: an older bundle, whose
    symbols the strings are coded by."""

    threads: int = 1
    base: Base | None = None

    name = "pack"
    needs = ("graphs", "engine", "index", "blend", "calibration")
    adds = ("goldens", "sections")

    def run(self, artifact: Artifact) -> Artifact:
        """Adds `sections`, all but the manifest, and the `goldens` among them."""
        sections, sizes = pack_sections(artifact, base=self.base)
        goldens = make_goldens(artifact, reference_of_sections(artifact, sections, sizes), self.threads)
        return dataclasses.replace(artifact, goldens=goldens, sections={**sections, Kind.GOLDENS: goldens.pack()})


def pack_sections(
    artifact: Artifact, known: Mapping[Kind, bytes] = MappingProxyType({}), base: Base | None = None
) -> tuple[dict[Kind, bytes], Parameters]:
    """All sections but the manifest and the goldens, and the sizes that are one of them; of the texts and the tokenizer
    those that are `known` are not packed again."""
    graphs, index, shapes, student = artifact.graphs, artifact.index, artifact.shapes, artifact.student
    if artifact.plans is not None:
        screener_graph, screener_weights, reasoner_graph, reasoner_weights = dataclasses.astuple(artifact.plans)
    else:
        screener_graph, screener_weights = externalise(fuse(graphs.screener))
        reasoner_graph, reasoner_weights = externalise(fuse(artifact.reasoner)) if artifact.reasoner else (b"", b"")
    screener_inputs = Session(graphs.screener).input_names
    reasoner_inputs = Session(artifact.reasoner).input_names if artifact.reasoner else ()
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
        descriptions=index.descriptions,
        votes_temperature=index.weighing.votes_temperature,
        votes_weight=index.weighing.votes_weight,
        lexical_weight=index.weighing.lexical_weight,
        lexical_most=index.weighing.lexical_most,
        lexical_candidates=index.lexical_candidates if index.lexical else 0,
        reasoner_weight=artifact.blend.reasoner,
        screening_weight=artifact.blend.screening,
        least_known=artifact.doubts.least_known,
        same_text=artifact.doubts.same_text,
        windows=artifact.windows,
    )
    if Kind.LABEL_TEXTS in known and Kind.LABEL_IDS in known:
        texts, ids = known[Kind.LABEL_TEXTS], known[Kind.LABEL_IDS]
    else:
        with ThreadPoolExecutor(2) as pool:  # numpy does most of it, and lets other threads run meanwhile
            symbols = [base and base.symbols(kind) for kind in (Kind.LABEL_TEXTS, Kind.LABEL_IDS)]
            texts, ids = pool.map(pack_strings, (student.labels.texts, student.labels.ids), symbols)
    sections = {
        Kind.PARAMETERS: sizes.pack(),
        Kind.TOKENIZER: known.get(Kind.TOKENIZER) or pack_tokenizer(student.tokenizer.to_str(), student.prompts),
        Kind.SCREENER_GRAPH: screener_graph,
        Kind.SCREENER_WEIGHTS: screener_weights,
        Kind.CODEBOOK: index.codebook.astype("<f4").tobytes(),
        Kind.COARSE_CODES: bytes(index.coarse),
        Kind.FINE_CODES: bytes(index.fine),
        Kind.LABEL_TEXTS: texts,
        Kind.LABEL_IDS: ids,
        Kind.CALIBRATION: artifact.calibration.pack(),
    }
    if artifact.reasoner:
        sections |= {Kind.REASONER_GRAPH: reasoner_graph, Kind.REASONER_WEIGHTS: reasoner_weights}
    if len(artifact.rows.alias_labels):
        sections[Kind.ROW_LABELS] = pack_row_labels(artifact.rows.alias_labels)
    if artifact.recipe.index.keep_descriptions and any(student.labels.descriptions):
        sections[Kind.LABEL_DESCRIPTIONS] = pack_strings([_lines(texts) for texts in student.labels.descriptions])
    if artifact.doubts.least_known:
        sections[Kind.KNOWN_TOKENS] = artifact.doubts.known
    if index.lexical is not None:
        sections[Kind.LEXICAL] = index.lexical.pack()
    if index.cells is not None:
        sections[Kind.CELLS] = index.cells.pack()
    return sections, sizes


def pack_tokenizer(description: str, prompts: packer.Prompts) -> bytes:
    """The tokenizer's section, remembered on disk: its tables of all characters take seconds, and are the same for
    every label set."""
    sources = [Path(str(each.__file__)).read_text(encoding="utf-8") for each in (packer, subwords, spelling, charsmap)]
    about = [tokenizers.__version__, *sources, description, prompts.query, prompts.label]
    cache, key = RowCache.of_user(), hashlib.sha256(json.dumps(about).encode()).hexdigest()
    if known := cache.get(key, 1):
        return known[0].tobytes()
    section = packer.pack_tokenizer(description, prompts)
    cache.put(key, np.frombuffer(section, np.uint8))
    return section


def _lines(texts: Sequence[str]) -> str:
    """Descriptions, a line each, as far as the section holds them."""
    text = "\n".join(" ".join(text.split()) for text in texts)
    if len(raw := text.encode()) <= LONGEST_BYTES:
        return text
    whole = raw[: LONGEST_BYTES + 1].decode("utf-8", "ignore")
    cut = max(whole.rfind(" "), whole.rfind("\n"))
    return whole[:cut] if cut > 0 else raw[:LONGEST_BYTES].decode("utf-8", "ignore")


def reference_of_sections(artifact: Artifact, sections: dict[Kind, bytes], sizes: Parameters) -> ReferencePipeline:
    """The reference pipeline of an artifact's packed sections."""
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


def make_goldens(artifact: Artifact, pipeline: ReferencePipeline, threads: int = 1) -> Goldens:
    """Goldens of evaluation texts (label texts, if there are none) with a clear margin; the clearest, if few have
    one.
    """
    labels = artifact.student.labels
    texts = [query.text for query in artifact.student.evaluation[: 8 * GOLDENS]] or list(labels.texts[: 2 * GOLDENS])
    texts = [text for text in dict.fromkeys(texts) if text.strip()]
    tried: list[tuple[str, Answer]] = []
    wanted = max(MARGIN, SCREENING_MARGIN * artifact.blend.screening)
    k = min(GOLDEN_LABELS, artifact.shapes.shortlist)
    for text, answer in zip(texts, pipeline.answers(texts, threads), strict=True):
        tried.append((text, answer))
        k = min(k, len(answer.labels))  # where aliases of fewer labels filled the over-fetch
        if sum(_margin(answer, k) >= wanted for _, answer in tried) == GOLDENS:
            break
    # the widest margins, in the order of the texts
    margins = [_margin(answer, k) for _, answer in tried]
    least = min(sorted(margins, reverse=True)[:GOLDENS][-1], wanted)
    chosen = [pair for margin, pair in zip(margins, tried, strict=True) if margin >= least][:GOLDENS]
    assert pipeline.calibration is not None
    items = []
    for text, answer in chosen:
        probabilities = pipeline.calibration.probabilities(answer.logits)[answer.order[:k]]
        first = tuple(answer.ranked[:k].tolist())
        items.append(Golden(text, answer.tokens, first, tuple(probabilities.tolist())))
    return Goldens(k, TOLERANCE, tuple(items))


def _margin(answer: Answer, k: int) -> float:
    """By how much the k-th logit leads the next; infinite when there is no next."""
    logits = answer.logits[answer.order]
    return float(logits[k - 1] - logits[k]) if len(logits) > k else float("inf")

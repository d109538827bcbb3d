"""What a compile would make, without compiling: the bundle's size, its memory and its times on the target.

The graphs are exported, quantized and lowered as a compile does, which gives their plans and weights to the byte. No
label is encoded: codes are as long as the recipe and the number of rows make them. What a compile decides by held-out
queries is taken as it usually comes out: the reasoner stays, no alias is left out, and where queries judge the lexical
side there is none; `high` of the size has it.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from edgexl.base.errors import BadInput
from edgexl.base.progress import Progress, no_progress
from edgexl.bundle.layout import Kind
from edgexl.bundle.parameters import ENGINE_NATIVE, SCREENER_INPUTS, Parameters, input_bits
from edgexl.bundle.plan import Plan
from edgexl.bundle.strings import pack_strings
from edgexl.bundle.write import bundle_bytes
from edgexl.compiler.artifact import Artifact
from edgexl.compiler.measure.weighing import FEWEST_QUERIES
from edgexl.compiler.passes.build_index import rotate_graphs
from edgexl.compiler.passes.export import Export
from edgexl.compiler.passes.lower import Lower
from edgexl.compiler.passes.pack import pack_tokenizer
from edgexl.compiler.passes.quantize import Quantize
from edgexl.compiler.pipeline import begin
from edgexl.compiler.recipe import Recipe
from edgexl.cost.memory import Range
from edgexl.cost.predict import Prediction, predict
from edgexl.cost.stages import Anatomy, LexicalFacts, read_lexical
from edgexl.index.cells import cell_count
from edgexl.index.lexical import build_lexical
from edgexl.index.rotation import train_rotation
from edgexl.student.contract import input_names
from edgexl.student.student import Student
from edgexl.student.text import encode_texts
from edgexl.target import Target

# What a bundle's small sections take: the manifest some 16 KB, goldens and calibration a few.
_SMALL = {Kind.MANIFEST: 16_000, Kind.GOLDENS: 5_000, Kind.CALIBRATION: 6_000}
_TEXTS = 500


@dataclass(frozen=True)
class DryRun:
    """`size_bytes` of the bundle, `sections` (name -> bytes), and what it takes on the target."""

    size_bytes: Range
    sections: dict[str, int]
    prediction: Prediction


def dry_run(student: Student, recipe: Recipe, target: Target, progress: Progress = no_progress) -> DryRun:
    """What `compile` would make of these three. Raises `BadInput` as it does where they do not fit each other, and
    where the graphs would run on ONNX Runtime."""
    steps = ("rows", "graphs", "sections", "predict")
    progress(steps[0], 0, 1)
    artifact = begin(student, recipe, target)
    progress(steps[1], 0, 1)
    artifact = _lower(artifact)
    progress(steps[2], 0, 1)
    anatomy, lexical_bytes = _outline(artifact)
    progress(steps[3], 0, 1)
    queries = [query.text for query in (student.evaluation or student.calibration)[:_TEXTS]]
    texts = queries or list(student.labels.texts[:_TEXTS])
    most, prompt = anatomy.parameters.max_tokens, student.prompts.query
    tokens = [max(3, len(ids)) for ids in encode_texts(student.tokenizer, texts, most, prompt)]
    size = bundle_bytes(anatomy.lengths)
    more = 0 if Kind.LEXICAL in anatomy.lengths else lexical_bytes
    sections = {kind.name.lower(): length for kind, length in sorted(anatomy.lengths.items())}
    return DryRun(Range(0.97 * size, size, 1.03 * (size + more)), sections, predict(anatomy, target, tokens))


def _lower(artifact: Artifact) -> Artifact:
    """With quantized graphs and plans, in an index's space that stands for the one that would be fitted."""
    artifact = Export().run(artifact)
    recipe, dims = artifact.recipe, artifact.shapes.query_dims
    graphs = artifact.graphs
    if recipe.index.rotation != "none":
        graphs = rotate_graphs(graphs, train_rotation(np.zeros((1, dims), np.float32), "random", 0))
    artifact = Quantize(recipe, artifact.target).run(dataclasses.replace(artifact, graphs=graphs))
    artifact = Lower().run(artifact)
    if artifact.plans is None:
        raise BadInput(
            "The graphs would run on ONNX Runtime, whose times cannot be predicted; choose a recipe or target for the "
            "native engine, or compile and measure."
        )
    return artifact


def _outline(artifact: Artifact) -> tuple[Anatomy, int]:
    """The bundle's sizes, and what a lexical side would take, in it or not."""
    recipe, shapes, student, plans = artifact.recipe, artifact.shapes, artifact.student, artifact.plans
    assert plans is not None
    index, rows, labels = recipe.index, len(artifact.rows), artifact.rows.labels
    takes = input_names(student.reasoner)
    states, fine_dims = "token_states" in takes, index.fine_dims_of(shapes.query_dims)
    subspaces = 2 * index.code_bytes
    cells = cell_count(index.cells, rows)
    sizes = Parameters(
        labels=labels, rows=rows, dims=shapes.query_dims, subspaces=subspaces,
        subspace_dims=max(1, (index.coarse_dims or shapes.query_dims) // subspaces), fine_dims=fine_dims,
        fine_bits=index.fine_bits, overfetch=max(index.overfetch, shapes.shortlist), shortlist=shapes.shortlist,
        max_tokens=shapes.max_tokens, label_tokens=shapes.label_tokens if "label_tokens" in takes else 0,
        state_dims=shapes.state_dims if states else 0, screener_inputs=input_bits(SCREENER_INPUTS),
        reasoner_inputs=input_bits(takes), screener_outputs=3 if states else 1, vocabulary=shapes.vocabulary,
        label_set_sha256=bytes(32), engine=ENGINE_NATIVE, cells=cells, probes=max(1, cells // 16) if cells else 0,
        descriptions=artifact.rows.descriptions,
    )  # fmt: skip
    texts = len(pack_strings(student.labels.texts))
    same = student.labels.ids == student.labels.texts
    lengths = _SMALL | {
        Kind.PARAMETERS: len(sizes.pack()),
        Kind.TOKENIZER: len(pack_tokenizer(student.tokenizer.to_str(), student.prompts)),
        Kind.SCREENER_GRAPH: len(plans.screener),
        Kind.SCREENER_WEIGHTS: len(plans.screener_weights),
        Kind.REASONER_GRAPH: len(plans.reasoner),
        Kind.REASONER_WEIGHTS: len(plans.reasoner_weights),
        Kind.CODEBOOK: subspaces * 16 * sizes.subspace_dims * 4,
        Kind.COARSE_CODES: -(-rows // 256) * 256 * index.code_bytes,
        Kind.FINE_CODES: rows * (2 + fine_dims * index.fine_bits // 8),
        Kind.LABEL_TEXTS: texts,
        Kind.LABEL_IDS: texts if same else len(pack_strings(student.labels.ids)),
        Kind.KNOWN_TOKENS: -(-shapes.vocabulary // 8),
    }
    if rows > labels:
        aliases = artifact.rows.alias_labels
        lengths[Kind.ROW_LABELS] = 4 * (len(aliases.starts) + len(aliases.values))
    if cells:
        lengths[Kind.CELLS] = cells * (fine_dims + 8)
    words = _match_words(artifact)
    anatomy = Anatomy(sizes, Plan.unpack(plans.screener), Plan.unpack(plans.reasoner), lengths)
    if words is None or len(student.calibration) >= FEWEST_QUERIES:
        return anatomy, words[1] if words else 0
    sizes = dataclasses.replace(sizes, lexical_candidates=index.lexical_candidates)
    lengths = lengths | {Kind.LEXICAL: words[1]}
    return dataclasses.replace(anatomy, parameters=sizes, lengths=lengths, lexical=words[0]), words[1]


def _match_words(artifact: Artifact) -> tuple[LexicalFacts, int] | None:
    """What a lexical side would be, and its bytes; None where the recipe wants none, or there can be none."""
    index, student = artifact.recipe.index, artifact.student
    if index.lexical == "none":
        return None
    texts = artifact.rows.row_texts(student.labels, student.tokenizer, artifact.shapes.max_tokens)
    if len(student.calibration) >= FEWEST_QUERIES:  # it is to tell a size at most
        return LexicalFacts(len(texts), 0, 0, 0.0, 0.0), int(index.lexical_bytes * len(texts))
    try:
        section = build_lexical(texts, bytes_a_row=index.lexical_bytes).pack()
    except BadInput:
        return None
    return read_lexical(section, len(texts)), len(section)

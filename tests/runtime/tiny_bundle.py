"""A bundle of a few hundred kilobytes with every section and every graph input, made without PyTorch or a student.

The screener averages word vectors, the reasoner combines all eight inputs by hand, and the labels are made of a small
vocabulary: enough for the runtime to have something to be right or wrong about. The same arguments give the same bytes.

    python tests/runtime/tiny_bundle.py OUT.exl [--aliases] [--native]
"""

from __future__ import annotations

import hashlib
import itertools
import json
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from edgexl.base.ragged import Ragged
from edgexl.bundle.calibration import Calibration, Input
from edgexl.bundle.cells import Cells
from edgexl.bundle.doubts import Doubts
from edgexl.bundle.goldens import Golden, Goldens
from edgexl.bundle.layout import Kind
from edgexl.bundle.parameters import ENGINE_NATIVE, ENGINE_ORT, GRAPH_INPUTS, Parameters, input_bits
from edgexl.bundle.row_labels import pack_row_labels
from edgexl.bundle.strings import pack_strings
from edgexl.bundle.tokenizer import pack_tokenizer
from edgexl.bundle.weights import externalise, pack_weights
from edgexl.bundle.write import write_bundle
from edgexl.compiler.lowering import lower_graph
from edgexl.index import Gain, LabelIndex, Shortlist, encode_coarse, encode_fine, train_codebook
from edgexl.index.best_of_rows import Weighing
from edgexl.index.lexical import build_lexical

PRESENCE = 3.5
# Of so many held-out queries, what the calibration sees of the best gold label of those that were shortlisted.
QUERIES, SCORES = 9, (-0.25, -0.5, -1.0, -1.5, -2.5, -3.0, -4.0)
REASONER_WEIGHT, SCREENING_WEIGHT = 0.75, 2.0
LEXICAL_WEIGHT, LEXICAL_MOST, LEXICAL_CANDIDATES = (0.2, 0.3, 0.1, 3.0, -0.1, 0.2, 0.1, 0.1), 1.5, 24
DIMS, STATE_DIMS, LABEL_TOKENS, MAX_TOKENS, SHORTLIST = 16, 8, 4, 12, 20
VOCABULARY = (
    "red green blue dark bright small large old new cold warm river mountain forest city house garden stone iron water "
    "fire wind bird horse dog cat fish tree leaf root king queen child friend road bridge ship sail storm rain snow "
    "summer winter night morning silver gold paper book letter song dance story game bread salt honey apple glass clay"
)
WORDS = VOCABULARY.split(" ")


@dataclass(frozen=True)
class TinyBundle:
    """The sections, the label texts, and the reference that answers as the bundle must."""

    sections: dict[Kind, bytes]
    texts: tuple[str, ...]
    reference: TinyReference

    def write(self, path: Path) -> Path:
        write_bundle(path, self.sections)
        return path


@lru_cache(maxsize=1)
def tiny_tokenizer() -> Tokenizer:
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = [*special, *WORDS, *"abcdefghijklmnopqrstuvwxyz", "##s", "##ed", "##er", "."]
    tokenizer = Tokenizer(models.WordPiece({piece: id for id, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.add_special_tokens(special)
    return tokenizer


@lru_cache(maxsize=1)
def _tokenizer_section() -> bytes:
    return pack_tokenizer(tiny_tokenizer().to_str())


def _graph(name: str, nodes: list, inputs: list, outputs: list, weights: dict[str, np.ndarray]) -> bytes:
    tensors = [numpy_helper.from_array(array, key) for key, array in weights.items()]
    graph = helper.make_graph(nodes, name, inputs, outputs, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString(deterministic=True)


def _value(name: str, kind: int, *shape: int | str):
    return helper.make_tensor_value_info(name, kind, shape)


def screener(vocabulary: int, random: np.random.Generator) -> bytes:
    """query_vector = the unit mean of word vectors; token_states = other word vectors."""
    words = random.normal(size=(vocabulary, DIMS)).astype(np.float32)
    states = random.normal(size=(vocabulary, STATE_DIMS)).astype(np.float32)
    node = helper.make_node
    return _graph(
        "screener",
        [
            node("Gather", ["words", "input_ids"], ["vectors"]),
            node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
            node("Unsqueeze", ["mask", "last"], ["column"]),
            node("Mul", ["vectors", "column"], ["masked"]),
            node("ReduceSum", ["masked", "middle"], ["sum"], keepdims=0),
            node("ReduceL2", ["sum"], ["length"], axes=[1], keepdims=1),
            node("Div", ["sum", "length"], ["query_vector"]),
            node("Gather", ["states", "input_ids"], ["token_states"]),
        ],
        [_value("input_ids", TensorProto.INT64, 1, "T"), _value("attention_mask", TensorProto.INT64, 1, "T")],
        [
            _value("query_vector", TensorProto.FLOAT, 1, DIMS),
            _value("token_states", TensorProto.FLOAT, 1, "T", STATE_DIMS),
        ],
        {"words": words, "states": states, "last": np.array([-1]), "middle": np.array([1])},
    )


def reasoner(random: np.random.Generator) -> bytes:
    """Cosine + both screening scores + a projection of the token states + the evidence + how many of the label's tokens
    are there."""
    project = random.normal(size=(STATE_DIMS, DIMS)).astype(np.float32)
    node, flag = helper.make_node, TensorProto.FLOAT
    return _graph(
        "reasoner",
        [
            node("Unsqueeze", ["query_vector", "last"], ["query"]),  # [1, d, 1]
            node("MatMul", ["label_vectors", "query"], ["cosine"]),  # [1, N, 1]
            node("MatMul", ["screening_scores", "mix"], ["screening"]),
            node("Cast", ["attention_mask"], ["mask"], to=flag),
            node("Unsqueeze", ["mask", "last"], ["column"]),
            node("Mul", ["token_states", "column"], ["masked"]),
            node("ReduceMean", ["masked"], ["mean"], axes=[1], keepdims=0),
            node("MatMul", ["mean", "project"], ["state"]),
            node("Unsqueeze", ["state", "last"], ["state_column"]),
            node("MatMul", ["label_vectors", "state_column"], ["agreement"]),
            node("Unsqueeze", ["label_tokens", "last"], ["theirs"]),  # [1, N, S, 1]
            node("Unsqueeze", ["input_ids", "front"], ["ours"]),  # [1, 1, 1, T]
            node("Equal", ["theirs", "ours"], ["same"]),
            node("Cast", ["same"], ["matches"], to=flag),
            node("ReduceSum", ["matches", "tokens"], ["overlap"], keepdims=0),  # [1, N]
            node("Add", ["cosine", "screening"], ["sum1"]),
            node("Add", ["sum1", "agreement"], ["sum2"]),
            node("MatMul", ["evidence", "believe"], ["belief"]),
            node("Add", ["sum2", "belief"], ["sum3"]),
            node("Squeeze", ["sum3", "last"], ["flat"]),
            node("Add", ["flat", "overlap"], ["logits"]),
        ],
        [
            _value("input_ids", TensorProto.INT64, 1, "T"),
            _value("attention_mask", TensorProto.INT64, 1, "T"),
            _value("token_states", flag, 1, "T", STATE_DIMS),
            _value("query_vector", flag, 1, DIMS),
            _value("label_vectors", flag, 1, "N", DIMS),
            _value("screening_scores", flag, 1, "N", 2),
            _value("label_tokens", TensorProto.INT64, 1, "N", LABEL_TOKENS),
            _value("evidence", flag, 1, "N", 5),
        ],
        [_value("logits", flag, 1, "N")],
        {
            "project": project,
            "mix": np.array([[0.7], [0.4]], np.float32),
            "believe": np.array([[0.1], [-0.2], [0.3], [0.2], [0.5]], np.float32),
            "last": np.array([-1]),
            "front": np.array([1, 2]),
            "tokens": np.array([2, 3]),
        },
    )


def build(
    aliases: bool = False,
    labels: int = 300,
    fine_bits: int = 8,
    calibrated: Input = "log_softmax",
    native: bool = False,
    coarse_dims: int = DIMS,
    cells: int = 0,
    reasons: bool = True,
    descriptions: int = 0,
    votes_weight: float = 0.0,
    lexical: bool = False,
    doubts: Doubts | None = None,
    windows: int = 1,
) -> TinyBundle:
    """The bundle, its goldens made by the Python reference. `native`: with plans in the place of the graphs; `cells`:
    in so many, of which a query probes a third; `reasons`: with a reasoner, of which the logits are a part;
    `descriptions`: so many of the last aliases are called descriptions; `lexical`: with a lexical side; `doubts`: what
    a best label is doubted by; `windows`: that a text is read in at most."""
    doubts = doubts or Doubts()
    random = np.random.default_rng(7)
    tokenizer = tiny_tokenizer()
    vocabulary = tokenizer.get_vocab_size()

    def some_words(count: int) -> str:
        return " ".join(random.choice(WORDS, count, replace=False))

    texts = sorted({some_words(int(random.integers(1, 4))) for _ in range(2 * labels)})[:labels]
    alias_texts = [some_words(3) for _ in range(labels if aliases else 0)]
    alias_labels = [sorted(set(random.integers(0, labels, 1 + at % 3).tolist())) for at in range(len(alias_texts))]
    screener_model, reasoner_model = screener(vocabulary, random), reasoner(random)
    vectors = _encode(screener_model, tokenizer, texts + alias_texts)
    codebook = train_codebook(vectors[:, :coarse_dims], "sign", coarse_dims // 8, 0)
    gain = Gain(coarse_dims, 1.5 if coarse_dims < DIMS else 1.0)
    parted = _parted(vectors, cells) if cells else None
    label_set = hashlib.sha256("\n".join(texts).encode()).digest()
    screener_graph, screener_weights = externalise(screener_model)
    reasoner_graph, reasoner_weights = externalise(reasoner_model)
    if native:
        screener_graph, screener_weights = _lowered(screener_model, None if reasons else ("query_vector",))
        reasoner_graph, reasoner_weights = _lowered(reasoner_model)
    weights = {"lexical_weight": LEXICAL_WEIGHT, "lexical_most": LEXICAL_MOST} if lexical else {}
    parameters = Parameters(
        labels=labels,
        rows=len(vectors),
        dims=DIMS,
        subspaces=codebook.shape[0],
        subspace_dims=codebook.shape[2],
        fine_dims=12,
        fine_bits=fine_bits,
        overfetch=40,
        shortlist=SHORTLIST,
        max_tokens=MAX_TOKENS,
        label_tokens=LABEL_TOKENS if reasons else 0,
        state_dims=STATE_DIMS if reasons else 0,
        screener_inputs=input_bits(GRAPH_INPUTS[:2]),
        reasoner_inputs=input_bits(GRAPH_INPUTS) if reasons else 0,
        screener_outputs=3 if reasons or not native else 1,
        vocabulary=vocabulary,
        label_set_sha256=label_set,
        engine=ENGINE_NATIVE if native else ENGINE_ORT,
        fine_gain=gain.factor,
        cells=cells,
        probes=parted.probes if parted else 0,
        cell_margin=parted.margin if parted else 0.0,
        reasoner_weight=REASONER_WEIGHT if reasons else 0.0,
        screening_weight=SCREENING_WEIGHT,
        descriptions=descriptions,
        votes_weight=votes_weight,
        **weights,
        lexical_candidates=LEXICAL_CANDIDATES if lexical else 0,
        least_known=doubts.least_known,
        same_text=doubts.same_text,
        windows=windows,
    )
    words = build_lexical([*texts, *alias_texts]) if lexical else None
    knots = (-6.0, -3.0, -1.0, -0.1), (0.01, 0.1, 0.5, 0.95)
    calibration = Calibration(label_set, calibrated, 0.25, *knots, PRESENCE, QUERIES, SCORES)
    sections = {
        Kind.MANIFEST: json.dumps(
            {"engine": "native" if native else "ort", "recipe": {"name": "eight-byte codes"}}
        ).encode(),
        Kind.PARAMETERS: parameters.pack(),
        Kind.TOKENIZER: _tokenizer_section(),
        Kind.SCREENER_GRAPH: screener_graph,
        Kind.SCREENER_WEIGHTS: screener_weights,
        Kind.REASONER_GRAPH: reasoner_graph,
        Kind.REASONER_WEIGHTS: reasoner_weights,
        Kind.CODEBOOK: np.asarray(codebook, "<f4").tobytes(),
        Kind.COARSE_CODES: encode_coarse(vectors if parted is None else vectors[parted.rows], codebook),
        Kind.FINE_CODES: encode_fine(vectors, 12, fine_bits, gain),
        Kind.LABEL_TEXTS: pack_strings(texts),
        Kind.LABEL_IDS: pack_strings([f"L{place:04d}" for place in range(labels)]),
        Kind.CALIBRATION: calibration.pack(),
    }
    if descriptions:
        described = {label: alias_texts[at] for at in range(-descriptions, 0) for label in alias_labels[at]}
        sections[Kind.LABEL_DESCRIPTIONS] = pack_strings([described.get(label, "") for label in range(labels)])
    if not reasons:
        del sections[Kind.REASONER_GRAPH], sections[Kind.REASONER_WEIGHTS]
    if aliases:
        sections[Kind.ROW_LABELS] = pack_row_labels(Ragged.of(alias_labels, np.uint32))
    if parted is not None:
        sections[Kind.CELLS] = parted.pack()
    if doubts.least_known:
        sections[Kind.KNOWN_TOKENS] = doubts.known
    if words is not None:
        sections[Kind.LEXICAL] = words.pack()
    index = LabelIndex(
        codebook=codebook,
        coarse=sections[Kind.COARSE_CODES],
        fine=sections[Kind.FINE_CODES],
        labels=labels,
        dims=DIMS,
        fine_dims=12,
        fine_bits=fine_bits,
        fine_gain=gain.factor,
        cells=parted,
        descriptions=descriptions,
        weighing=Weighing(
            parameters.votes_temperature, votes_weight, parameters.lexical_weight, parameters.lexical_most
        ),
        lexical=words,
        lexical_candidates=parameters.lexical_candidates,
        overfetch=40,
        shortlist=SHORTLIST,
        row_starts=np.cumsum([0, *map(len, alias_labels)]).astype(np.uint32),
        row_labels=np.array([label for one in alias_labels for label in one], np.uint32),
    )
    pieces = [tokenizer.encode(text, add_special_tokens=False).ids[:LABEL_TOKENS] for text in texts]
    label_tokens = np.array([[*ids, *[0] * (LABEL_TOKENS - len(ids))] for ids in pieces], np.int64)
    pipeline = TinyReference(
        _session(screener_model),
        _session(reasoner_model) if reasons else None,
        index,
        tokenizer,
        label_tokens,
        calibration,
        windows,
    )
    sections[Kind.GOLDENS] = _goldens(pipeline)
    return TinyBundle(sections, tuple(texts), pipeline)


def _parted(vectors: np.ndarray, count: int) -> Cells:
    """Cells of unequal sizes along one dimension."""
    order = np.argsort(vectors[:, 0], kind="stable").astype(np.uint32)
    starts = np.unique((np.linspace(0, 1, count + 1) ** 1.5 * len(vectors)).astype(np.uint32))
    parts = [vectors[order[begin:end]] for begin, end in itertools.pairwise(starts)]
    centroids = np.array([part.mean(axis=0) for part in parts], np.float32)
    return Cells(starts, order, encode_fine(centroids, 12, 8), 12, probes=-(-count // 3), margin=0.25)


def _lowered(model: bytes, outputs: tuple[str, ...] | None = None) -> tuple[bytes, bytes]:
    lowered = lower_graph(model, MAX_TOKENS, SHORTLIST, outputs)
    return lowered.plan.pack(), pack_weights(lowered.weights)


def _session(model: bytes) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])


def _encode(model: bytes, tokenizer: Tokenizer, texts: list[str]) -> np.ndarray:
    session, rows = _session(model), []
    for text in texts:
        ids = np.array([tokenizer.encode(text).ids[:MAX_TOKENS]], np.int64)
        rows.append(session.run(["query_vector"], {"input_ids": ids, "attention_mask": np.ones_like(ids)})[0][0])
    return np.array(rows, np.float32)


@dataclass(frozen=True)
class TinyReference:
    """The same prediction in numpy and onnxruntime, as docs/format.md and the graphs' contract have it."""

    screener: onnxruntime.InferenceSession
    reasoner: onnxruntime.InferenceSession | None
    index: LabelIndex
    tokenizer: Tokenizer
    label_tokens: np.ndarray
    calibration: Calibration
    windows: int = 1

    def answer(self, text: str) -> Answer:
        texts = self.split(text)
        read = [self.screen(self.read(part)) for part in texts]
        found = [self.index.search(one["query_vector"][0], part) for one, part in zip(read, texts, strict=True)]
        best: dict[int, tuple[float, int, int]] = {}
        for window, one in enumerate(found):
            for place, label in enumerate(one.labels.tolist()):
                if label not in best or one.screening[place] > best[label][0]:
                    best[label] = (one.screening[place], window, place)
        labels = sorted(best, key=lambda label: (-best[label][0], label))[:SHORTLIST]
        evidence = np.array([found[best[label][1]].evidence[best[label][2]] for label in labels])
        merged = Shortlist(np.array(labels), evidence, np.array([best[label][0] for label in labels], np.float32))
        logits = SCREENING_WEIGHT * merged.screening
        if self.reasoner:
            judged = sorted(range(len(read)), key=lambda window: -found[window].screening[0])[:4]
            of_windows = [self.reason(read[window], merged) for window in judged]
            logits = REASONER_WEIGHT * np.max(of_windows, axis=0) + logits
        order = np.argsort(-logits, kind="stable")
        probabilities = self.calibration.probabilities(logits)
        tokens = tuple(self.read(text))
        return Answer(tokens, merged.labels, merged.scores, logits, order, probabilities, merged.screening)

    def read(self, text: str) -> list[int]:
        ids = self.tokenizer.encode(text).ids
        return ids if len(ids) <= MAX_TOKENS else [*ids[: MAX_TOKENS - 1], ids[-1]]

    def split(self, text: str) -> list[str]:
        """The text and, where it is too long, the windows: of 24 words, each 18 behind the one before, the last one at
        the end of what is read."""
        words = text.split(" ")
        if len(self.tokenizer.encode(text).ids) <= MAX_TOKENS or self.windows == 1:
            return [text]
        words = words[: 24 + 18 * (self.windows - 2)]
        firsts = [first for first in range(0, len(words), 18) if first < len(words) - 24 or first == 0]
        if len(words) > 24:
            firsts.append(len(words) - 24)
        return [text, *(" ".join(words[first : first + 24]) for first in firsts)]

    def screen(self, ids: list[int]) -> dict[str, np.ndarray]:
        tokens = np.array([ids], np.int64)
        feeds = {"input_ids": tokens, "attention_mask": np.ones_like(tokens)}
        feeds["query_vector"], feeds["token_states"] = self.screener.run(["query_vector", "token_states"], feeds)
        return feeds

    def reason(self, feeds: dict[str, np.ndarray], found: Shortlist) -> np.ndarray:
        of_labels = {
            "label_vectors": self.index.decompress(found.labels)[None],
            "screening_scores": found.scores[None],
            "label_tokens": self.label_tokens[found.labels][None],
            "evidence": found.evidence[None],
        }
        return self.reasoner.run(["logits"], feeds | of_labels)[0][0]


@dataclass(frozen=True)
class Answer:
    """In the shortlist's order; `order` is best first."""

    tokens: tuple[int, ...]
    labels: np.ndarray
    scores: np.ndarray
    logits: np.ndarray
    order: np.ndarray
    probabilities: np.ndarray
    screening: np.ndarray


def _goldens(pipeline: TinyReference) -> bytes:
    items = []
    for text in ("red river", "The old king's silver bridge.", "storm, snow and rain " * 4):
        answer = pipeline.answer(text)
        first = answer.order[:5]
        items.append(Golden(text, answer.tokens, tuple(answer.labels[first]), tuple(answer.probabilities[first])))
    return Goldens(5, 0.001, tuple(items)).pack()


if __name__ == "__main__":
    build("--aliases" in sys.argv, native="--native" in sys.argv).write(Path(sys.argv[1]))

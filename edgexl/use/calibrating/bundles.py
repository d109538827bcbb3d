"""The bundles that a cost model is fitted on: random weights, and every kind of operation and stage in several sizes.

What a stage takes turns on its sizes alone, so that each is a small compile whose index is then written anew with as
many random rows as its shape says. Made once, they stay in the user's cache.
"""

from __future__ import annotations

import dataclasses
import hashlib
import random
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgexl import __version__
from edgexl.base.fetch import cache_directory
from edgexl.base.progress import Progress, no_progress
from edgexl.base.ragged import Ragged
from edgexl.bundle.layout import MAJOR, Kind
from edgexl.bundle.parameters import Parameters
from edgexl.bundle.read import read_bundle
from edgexl.bundle.row_labels import pack_row_labels
from edgexl.bundle.strings import pack_strings
from edgexl.bundle.write import write_bundle

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from edgexl.compiler.recipe import Recipe, Scheme
    from edgexl.student.student import Student

WORDS = tuple(first + second for first in "bdfgklmnprst" for second in ("a", "e", "i", "o", "u", "ar", "el", "in"))
# Tokens of the texts that bundles answer, [CLS] and [SEP] among them; of longer ones than a bundle reads, none.
LENGTHS = (3, 5, 8, 13, 20, 31, 47, 64, 80)
_VOCABULARY = 1024
# The compile is over so many labels; the index is written anew.
_COMPILED_LABELS = 300
# Raised where bundles of the same shapes come out another way.
_MADE = 1
# Rows that are made at a time.
_PIECE_ROWS = 50_000


@dataclass(frozen=True)
class Shape:
    """A student's sizes and schemes, and its index's. `reasoner`: dims, ffn_dims, heads, layers, token_dims. A screener
    of 0 layers is one of n-grams. `aliases`: further rows for each label."""

    tokens: int
    query_dims: int
    state_dims: int
    ffn_dims: int
    heads: int
    layers: int
    shortlist: int
    label_tokens: int
    reasoner: tuple[int, int, int, int, int]
    labels: int
    code_bytes: int
    overfetch: int
    schemes: tuple[Scheme, Scheme] = ("int8-token", "int8")
    fine_bits: int = 4
    lexical: bool = False
    aliases: int = 0


SHAPES = {
    "a": Shape(48, 64, 64, 128, 2, 1, 32, 4, (64, 128, 2, 1, 32), 2_000, 16, 256),
    "b": Shape(48, 128, 256, 1024, 8, 2, 128, 8, (128, 256, 2, 2, 64), 20_000, 32, 1024),
    "c": Shape(64, 256, 384, 1536, 12, 3, 64, 8, (96, 384, 3, 1, 32), 120_000, 32, 512),
    "d": Shape(64, 192, 192, 768, 6, 2, 256, 6, (160, 320, 4, 3, 48), 8_000, 24, 2048, fine_bits=8),
    "e": Shape(32, 128, 320, 640, 5, 1, 100, 5, (128, 512, 4, 2, 64), 60_000, 16, 700, lexical=True),
    "f": Shape(80, 384, 384, 1536, 12, 4, 128, 8, (192, 384, 6, 2, 64), 250_000, 48, 1024),
    "g": Shape(48, 256, 256, 1024, 4, 2, 128, 8, (128, 256, 4, 2, 64), 30_000, 32, 1024,
               schemes=("int4-weights", "int4-weights"), lexical=True),
    "h": Shape(64, 128, 192, 768, 6, 3, 64, 8, (96, 192, 3, 2, 32), 4_000, 16, 512,
               schemes=("int8-weights", "int8-weights"), aliases=2),
    "i": Shape(64, 192, 320, 1280, 10, 2, 200, 8, (160, 640, 5, 2, 64), 15_000, 24, 1500,
               schemes=("int4-weights", "int8-weights"), fine_bits=8, lexical=True, aliases=1),
    "j": Shape(48, 96, 128, 512, 4, 2, 96, 6, (96, 256, 4, 2, 48), 1_000, 16, 400, schemes=("fp32", "fp32"),
               fine_bits=2),
    "k": Shape(64, 256, 256, 768, 8, 2, 160, 8, (128, 384, 4, 1, 64), 10_000, 32, 800, schemes=("fp32", "int8"),
               fine_bits=2, aliases=1),
    "l": Shape(64, 128, 128, 256, 0, 0, 64, 8, (64, 128, 4, 1, 32), 40_000, 16, 512),
    "m": Shape(48, 256, 256, 768, 0, 0, 128, 8, (128, 384, 4, 2, 64), 150_000, 32, 1024),
}  # fmt: skip


def make_bundles(progress: Progress = no_progress, names: tuple[str, ...] = tuple(SHAPES)) -> dict[str, Path]:
    """The bundles by their shape's name, out of the user's cache; those that are not there are made."""
    made_of = hashlib.sha256(f"{__version__} {MAJOR} {_MADE} {SHAPES}".encode()).hexdigest()[:16]
    folder = cache_directory() / "calibration" / made_of
    folder.mkdir(parents=True, exist_ok=True)
    paths = {name: folder / f"{name}.exl" for name in names}
    for done, (name, path) in enumerate(paths.items()):
        progress("make bundles", done, len(paths))
        if not path.is_file():
            make_bundle(name, SHAPES[name], path)
    progress("make bundles", len(paths), len(paths))
    return paths


def lengths_of(bundle_tokens: int) -> tuple[int, ...]:
    """Those of `LENGTHS` that a bundle of so many tokens reads."""
    return tuple(length for length in LENGTHS if length <= bundle_tokens)


def make_text(tokens: int) -> str:
    """A text of so many tokens for any of the bundles."""
    return " ".join(WORDS[7 * place % len(WORDS)] for place in range(tokens - 2))


def make_bundle(name: str, shape: Shape, path: Path) -> None:
    """Compile a student of random weights, and write its bundle with an index of `shape.labels` labels."""
    from edgexl.compiler.pipeline import compile

    small = path.with_suffix(".small")
    try:
        compile(_make_student(name, shape), _make_recipe(shape), "raspberry-pi-5", small)
        _write_index(name, shape, small, path)
    finally:
        small.unlink(missing_ok=True)


def _make_student(name: str, shape: Shape) -> Student:
    import torch

    from edgexl.data import Query
    from edgexl.data.label_set import LabelSet
    from edgexl.student.contract import Shapes
    from edgexl.student.reasoner import ListwiseReasoner, ReasonerConfig
    from edgexl.student.screeners.ngrams import NgramConfig, NgramScreener, continuation_pieces
    from edgexl.student.screeners.transformer import ScreenerConfig, TransformerScreener
    from edgexl.student.student import Student

    tokenizer = _make_tokenizer()
    dims, ffn_dims, heads, layers, token_dims = shape.reasoner
    texts = _make_texts(name, _COMPILED_LABELS)
    labels = LabelSet(tuple(f"id{place:06d}" for place in range(len(texts))), tuple(texts))
    queries = tuple(Query(f"q{at}", text.rsplit(" ", 1)[0], (at,)) for at, text in enumerate(texts))
    with torch.random.fork_rng():
        torch.manual_seed(int.from_bytes(name.encode(), "big"))
        if shape.layers:
            screener: torch.nn.Module = TransformerScreener(
                ScreenerConfig(
                    vocabulary=_VOCABULARY, max_tokens=shape.tokens, word_dims=shape.state_dims // 2,
                    state_dims=shape.state_dims, ffn_dims=shape.ffn_dims, heads=shape.heads, layers=shape.layers,
                    query_dims=shape.query_dims,
                )
            )  # fmt: skip
        else:
            config = NgramConfig(
                vocabulary=_VOCABULARY, max_tokens=shape.tokens, dims=shape.state_dims, buckets=16384,
                ffn_dims=shape.ffn_dims, query_dims=shape.query_dims,
            )  # fmt: skip
            screener = NgramScreener(config, continuation_pieces(tokenizer, _VOCABULARY))
        reasoner = ListwiseReasoner(
            ReasonerConfig(
                vocabulary=_VOCABULARY, query_dims=shape.query_dims, state_dims=shape.state_dims, dims=dims,
                ffn_dims=ffn_dims, heads=heads, layers=layers, token_dims=token_dims, first_word_id=4,
            )
        )  # fmt: skip
    return Student.from_modules(
        screener=screener, reasoner=reasoner, tokenizer=tokenizer, labels=labels,
        shapes=Shapes(
            max_tokens=shape.tokens, query_dims=shape.query_dims, state_dims=shape.state_dims,
            shortlist=shape.shortlist, label_tokens=shape.label_tokens, vocabulary=_VOCABULARY,
        ),
        calibration=queries[:40], evaluation=queries[40:80], provenance={},
    )  # fmt: skip


def _make_recipe(shape: Shape) -> Recipe:
    from edgexl.compiler.recipe import (
        CalibrateRecipe,
        GateRecipe,
        GraphRecipe,
        IndexRecipe,
        ReasonerRecipe,
        Recipe,
        ShortlistRecipe,
    )

    index = IndexRecipe(
        rotation="random", coarse="sign", coarse_dims=None, code_bytes=min(shape.code_bytes, shape.query_dims // 8),
        overfetch=shape.overfetch, fine_bits=shape.fine_bits, fine_dims=min(shape.query_dims, 232),  # type: ignore[arg-type]
        lexical="none",
    )  # fmt: skip
    return Recipe(
        "calibration", engine="native", screener=GraphRecipe(shape.schemes[0]),
        reasoner=ReasonerRecipe(shape.schemes[1], blend="none"), index=index, shortlist=ShortlistRecipe(windows=1),
        calibrate=CalibrateRecipe(method="none"), gates=GateRecipe(reasoner_gain=-100, queries=20),
    )  # fmt: skip


def _make_tokenizer() -> Tokenizer:
    """BERT's kind, over the words, their letters and pieces."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordPiece
    from tokenizers.normalizers import BertNormalizer
    from tokenizers.pre_tokenizers import BertPreTokenizer
    from tokenizers.processors import TemplateProcessing

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    letters = "abcdefghijklmnopqrstuvwxyz"
    pieces = [*special, *WORDS, *letters, *(f"##{letter}" for letter in letters)]
    tokenizer = Tokenizer(WordPiece({piece: place for place, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.add_special_tokens(special)
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(piece, tokenizer.token_to_id(piece)) for piece in ("[CLS]", "[SEP]")],
    )  # fmt: skip
    return tokenizer


def _make_texts(name: str, count: int) -> list[str]:
    """Texts of three words, each of two syllables that are words themselves."""
    draw = random.Random(name)
    found: dict[str, None] = {}
    while len(found) < count:
        found[" ".join(draw.choice(WORDS) + draw.choice(("", *WORDS[:12])) for _ in range(3))] = None
    return sorted(found)


def _write_index(name: str, shape: Shape, small: Path, path: Path) -> None:
    """The bundle at `small` with another index: random codes of `shape.labels` labels, which cost a query what real
    ones do."""
    opened = read_bundle(small)
    sections = {Kind(entry.kind): bytes(opened.section(Kind(entry.kind))) for entry in opened.entries}
    labels, rows = shape.labels, shape.labels * (1 + shape.aliases)
    sizes = dataclasses.replace(opened.parameters, labels=labels, rows=rows)
    texts = _make_texts(name, labels)
    draw = np.random.default_rng(int.from_bytes(name.encode(), "big"))
    sections[Kind.COARSE_CODES] = draw.bytes(-(-rows // 256) * 256 * sizes.subspaces // 2)
    sections[Kind.FINE_CODES] = _fine_codes(sizes, rows, draw)
    sections[Kind.LABEL_TEXTS] = pack_strings(texts)
    sections[Kind.LABEL_IDS] = pack_strings([f"id{place:06d}" for place in range(labels)])
    if shape.aliases:
        places = np.arange(rows - labels)
        sections[Kind.ROW_LABELS] = pack_row_labels(Ragged(places * 7919 % labels, np.arange(rows - labels + 1)))
    if shape.lexical:
        from edgexl.compiler.passes.index_words import MOST, USUAL
        from edgexl.index.lexical import build_lexical

        row_texts = [*texts, *(texts[at * 7919 % labels] for at in range(rows - labels))]
        sections[Kind.LEXICAL] = build_lexical(row_texts, bytes_a_row=24).pack()
        sizes = dataclasses.replace(sizes, lexical_weight=USUAL.features, lexical_most=MOST, lexical_candidates=128)
    sections[Kind.PARAMETERS] = sizes.pack()
    write_bundle(path, sections)


def _fine_codes(sizes: Parameters, rows: int, draw: np.random.Generator) -> bytes:
    """Rows of a scale near 1 / sqrt(dims) and random codes."""
    parts = []
    for begin in range(0, rows, _PIECE_ROWS):
        count = min(_PIECE_ROWS, rows - begin)
        piece = draw.integers(0, 256, (count, 2 + sizes.fine_dims * sizes.fine_bits // 8), np.uint8)
        scales = (draw.uniform(0.5, 1.5, count) / sizes.fine_dims).astype("<f2")
        piece[:, :2] = scales.view(np.uint8).reshape(-1, 2)
        parts.append(piece.tobytes())
    return b"".join(parts)

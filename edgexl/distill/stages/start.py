"""How a student starts: the screener from some of a model's layers and word pieces, the reasoner from the latter; or
both as another student left them, where the recipe has its sizes (`goes_on`).

A model's word table is factorised by principal components: narrow rows, and a map back up to the encoder's width.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from edgexl.base.arrays import Ints
from edgexl.base.errors import BadInput
from edgexl.student.importer import import_sentence_transformer, locate_model
from edgexl.student.reasoner import ListwiseReasoner, ReasonerConfig
from edgexl.student.screeners import kind_named, kind_of
from edgexl.student.screeners.shape import ShapeTable
from edgexl.student.screeners.transformer import TransformerScreener
from edgexl.student.student import Student, is_student, load_student
from edgexl.student.weights import Product


@dataclass(frozen=True)
class Start:
    """What a student is made of: a screener, its tokenizer, and the `student` whose they are, where they are one's."""

    encoder: Any
    tokenizer: Tokenizer
    student: Student | None = None


def open_start(source: str, screener: str | None = None) -> Start:
    """The encoder that a student begins with: a sentence-transformers model's, or a student's own, whose kind is that
    of the `screener` to be made or has a transformer in it. Raises `BadInput` for another one."""
    if is_student(source):
        student = load_student(source)
        kind = kind_of(student.screener)
        if screener in (None, kind.name) and kind.sizes(student.screener):
            return Start(student.screener, student.tokenizer, student)
        encoder = kind.encoder(student.screener)
        if encoder is None:
            raise BadInput(f"start = '{source}' has no transformer to take layers from; name another model.")
        return Start(encoder, student.tokenizer, student)
    # a prompt tells what the model's vectors mean; the student learns that anew
    imported = import_sentence_transformer(locate_model(source), prompts="ignore")
    return Start(imported.screener, imported.tokenizer)


def goes_on(start: Start, shape: ShapeTable) -> bool:
    """Whether a recipe's shape has the very screener of the student that it starts from, with all word pieces."""
    if start.student is None or shape.vocabulary or start.encoder is not start.student.screener:
        return False
    kind = kind_of(start.encoder)
    sizes = kind.sizes(start.encoder)
    if isinstance(start.encoder, TransformerScreener) and not getattr(shape, "ffn_dims", 0):
        sizes.pop("ffn_dims", None)  # all of them
    return kind.name == shape.screener and all(getattr(shape, name) == size for name, size in sizes.items())


def prune(start: Start, texts: list[str], pieces: int) -> tuple[Tokenizer, Ints, Tensor]:
    """The tokenizer with the `pieces` most used word pieces (all where 0), the old id of each, and how often each
    stands in `texts` [V]."""
    from edgexl.student.vocabulary import choose_pieces, count_pieces, prune_tokenizer

    counts = count_pieces(start.tokenizer, texts)
    if not pieces:
        vocabulary = start.encoder.config.vocabulary
        met = np.zeros(vocabulary, np.int64)  # a table may have more rows than its tokenizer has pieces
        met[: len(counts)] = counts
        return start.tokenizer, np.arange(vocabulary), torch.from_numpy(met).float()
    tokenizer, old_ids = prune_tokenizer(start.tokenizer, choose_pieces(counts, pieces))
    old = np.asarray(old_ids, np.int64)
    return tokenizer, old, torch.from_numpy(counts[old]).float()


def start_screener(start: Start, shape: ShapeTable, tokenizer: Tokenizer, old_ids: Ints, counts: Tensor) -> nn.Module:
    """A screener of the recipe's shape, with what of the model fits into it. Raises `BadInput` for layers it lacks, and
    for other sizes than those of a student without layers."""
    if goes_on(start, shape):
        kept: nn.Module = copy.deepcopy(start.encoder)
        return kept
    if not isinstance(start.encoder, TransformerScreener):
        sizes = kind_of(start.encoder).sizes(start.encoder)
        raise BadInput(
            "The student that the recipe starts from has no layers to choose from, so it goes on as it is: [student] "
            f"must have its sizes ({', '.join(f'{name} = {_say(size)}' for name, size in sizes.items())}) and no "
            "vocabulary of its own."
        )
    # a piece that is never met here may be met on the device: it counts, if little
    return kind_named(shape.screener).start(start.encoder, shape, tokenizer, old_ids, (counts + 1.0).sqrt())


def _say(size: Any) -> str:
    """A size as TOML says it."""
    return json.dumps(list(size) if isinstance(size, tuple) else size)


def inherit_reasoner(start: Start, shape: ShapeTable, reasoner: ListwiseReasoner) -> Tensor | None:
    """Fill an untrained reasoner, which has no table of tokens yet, with the weights of the student's that a recipe
    goes on from; returns the map [w,e] from the screener's word rows to its tokens. None, and nothing is done, where
    that one is of another shape."""
    own = inherits(start, shape, reasoner.config)
    if own is None:
        return None
    student, product = own
    kept = {k: v for k, v in student.reasoner.state_dict().items() if k not in ("text.tokens.weight", "prior.weight")}
    reasoner.load_state_dict(kept, strict=False)
    return student.maps[product].clone()


def inherits(start: Start, shape: ShapeTable, config: ReasonerConfig) -> tuple[Student, Product] | None:
    """The student whose reasoner, of this very shape, is gone on with, and what derives its tokens."""
    student = start.student
    if student is None or not goes_on(start, shape) or not isinstance(student.reasoner, ListwiseReasoner):
        return None
    product = token_product(student.screener)
    same = replace(student.reasoner.config, dropout=0.0, prior=False) == replace(config, dropout=0.0, prior=False)
    return (student, product) if same and product in student.maps else None


def token_product(screener: nn.Module) -> Product:
    """What makes the reasoner's word pieces of the screener's."""
    name, words = kind_of(screener).words(screener)
    return Product(name="reasoner.text.tokens.weight", table=name, map="reasoner.text.tokens.map", rows=len(words))


def start_token_map(words: Tensor, reasoner: ListwiseReasoner) -> Tensor:
    """The first map [w,e] from the screener's word rows to the reasoner's: their leading columns, at unit variance."""
    dims = reasoner.config.token_dims
    token_map = torch.zeros(words.shape[1], dims)
    count = min(dims, words.shape[1])
    # rows of length about 1, as the reasoner's own initialisation would have them
    token_map[range(count), range(count)] = 1.0 / (words[:, :count].std(0).cpu() * dims**0.5).clamp_min(1e-6)
    return token_map

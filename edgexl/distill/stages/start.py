"""How a student starts: the screener from some of a model's layers and word pieces, the reasoner from the latter.

The model's word table is factorised by principal components: narrow rows, and a map back up to the encoder's width.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from edgexl.base.arrays import Ints
from edgexl.base.errors import BadInput
from edgexl.student.importer import import_sentence_transformer, locate_model
from edgexl.student.reasoner import ListwiseReasoner
from edgexl.student.screeners import kind_named, kind_of
from edgexl.student.screeners.shape import ShapeTable
from edgexl.student.screeners.transformer import TransformerScreener
from edgexl.student.student import is_student, load_student
from edgexl.student.weights import Product


@dataclass(frozen=True)
class Start:
    """What a student is made of: an encoder, and its tokenizer."""

    encoder: TransformerScreener
    tokenizer: Tokenizer


def open_start(source: str) -> Start:
    """The encoder that a student begins with: a student's own, or a sentence-transformers model's."""
    if is_student(source):
        student = load_student(source)
        encoder = kind_of(student.screener).encoder(student.screener)
        if encoder is None:
            raise BadInput(f"start = '{source}' has no transformer to take layers from; name another model.")
        return Start(encoder, student.tokenizer)
    # a prompt tells what the model's vectors mean; the student learns that anew
    imported = import_sentence_transformer(locate_model(source), prompts="ignore")
    return Start(imported.screener, imported.tokenizer)


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
    """A screener of the recipe's shape, with what of the model fits into it. Raises `BadInput` for layers it lacks."""
    # a piece that is never met here may be met on the device: it counts, if little
    return kind_named(shape.screener).start(start.encoder, shape, tokenizer, old_ids, (counts + 1.0).sqrt())


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

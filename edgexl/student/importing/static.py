"""Static models: a table of word vectors whose mean is a text's vector (model2vec, sentence-transformers'
StaticEmbedding).

Both leave special tokens out of the mean; here they have a row of zeros each, and what they do to the mean's length is
void, for vectors are brought to length 1.
"""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing
from torch import Tensor

from edgexl.base.errors import BadInput
from edgexl.student import text
from edgexl.student.architecture import Architecture
from edgexl.student.contract import refuse_unpackable
from edgexl.student.importing.files import ForeignModel, read_table
from edgexl.student.importing.tensors import Tensors, read_tensors
from edgexl.student.importing.tokenizer import free_padding
from edgexl.student.screeners.transformer import ScreenerConfig, TransformerScreener

STATIC = Architecture(positions="none", embedding_norm=False)
_AROUND = ("[CLS]", "[SEP]")


@torch.no_grad()
def read_static(folder: Path, max_tokens: int) -> tuple[TransformerScreener, Tokenizer, str]:
    """(screener without layers, tokenizer, hash of the weights). Raises `BadInput`, `ForeignModel`."""
    tensors = read_tensors(folder, kind="static")
    digest = tensors.sha256()
    tokenizer = _read_tokenizer(folder)
    table = _read_table(folder, tensors, tokenizer)
    tokenizer, swapped = free_padding(tokenizer)
    try:
        refuse_unpackable(tokenizer)
    except BadInput as error:
        raise ForeignModel(f"{folder}: {error}") from None
    pieces = tokenizer.get_vocab(with_added_tokens=True)
    if (highest := max(pieces.values())) >= len(table):
        table = torch.cat([table, torch.zeros(highest + 1 - len(table), table.shape[1])])
    if swapped is not None:
        table[[0, swapped]] = table[[swapped, 0]]
    unknown = text.unknown_id(tokenizer)
    if read_table(folder / "config.json").get("model_type") == "model2vec" and unknown is not None:
        table[unknown] = 0  # it leaves out what it does not know
    for piece in _AROUND:
        table[pieces[piece]] = 0
    config = ScreenerConfig(
        vocabulary=len(table), max_tokens=max_tokens, word_dims=table.shape[1], state_dims=table.shape[1], ffn_dims=1,
        heads=1, layers=0, architecture=STATIC,
    )  # fmt: skip
    screener = TransformerScreener(config)
    screener.word.weight.copy_(table)
    return screener, tokenizer, digest


def _read_table(folder: Path, tensors: Tensors, tokenizer: Tokenizer) -> Tensor:
    """A row [d] for each piece: model2vec stores rows that several pieces share, and weights, apart."""
    name = next((name for name in ("embedding.weight", "embeddings") if name in tensors.found), "embeddings")
    shape = tuple(tensors.found[name].shape) if name in tensors.found else (1, 1)
    if len(shape) != 2:
        raise BadInput(f"{folder}: '{name}' has {len(shape)} axes; a table of word vectors has 2.")
    if name in tensors.found and tensors.found[name].dtype == torch.int8:
        tensors.found[name] = tensors.found[name].to(torch.float32)  # model2vec's rows are these very numbers
    rows = tensors.take(name, (shape[0], shape[1]))
    own = tokenizer.get_vocab_size(with_added_tokens=True)
    if "mapping" in tensors.found:
        mapping = tensors.found.pop("mapping")
        if (
            mapping.dtype.is_floating_point
            or mapping.dim() != 1
            or not 0 <= int(mapping.min()) <= int(mapping.max()) < len(rows)
        ):
            raise BadInput(f"{folder}: 'mapping' does not name a row of '{name}' for each piece.")
        rows = rows[mapping.long()]
    if "weights" in tensors.found:
        weights = tensors.take("weights", (len(rows),))
        rows = rows * weights[:, None]
    added = sum(place >= len(rows) for piece in _AROUND if (place := tokenizer.token_to_id(piece)) is not None)
    if len(rows) < own - added:
        raise BadInput(
            f"{folder}: the tokenizer has {own} pieces, but the model has {len(rows)} word vectors; use the tokenizer "
            "that it was trained with."
        )
    tensors.warn_of_the_rest()
    return rows.clone()


def _read_tokenizer(folder: Path) -> Tokenizer:
    """tokenizer.json with [CLS] and [SEP] around a text."""
    if not (folder / "tokenizer.json").is_file():
        raise BadInput(f"{folder} has no tokenizer.json; save its fast tokenizer there.")
    tokenizer = text.read_tokenizer(folder / "tokenizer.json")
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.add_special_tokens([piece for piece in _AROUND if tokenizer.token_to_id(piece) is None])
    places = [(piece, tokenizer.token_to_id(piece)) for piece in _AROUND]
    tokenizer.post_processor = TemplateProcessing(single=f"{_AROUND[0]} $A {_AROUND[1]}", special_tokens=places)
    return tokenizer

"""Making screeners of sentence-transformers models: a directory, a hub id, or a model that a package carries.

Only BERT-like encoders with mean or first-token pooling are taken, and only safetensors are read: a directory that
offers pickled weights alone is refused. All that the directory says of itself is applied or refused by its name (see
`edgexl.student.importing`), so that the vectors are those of sentence-transformers.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from tokenizers import Tokenizer
from torch import Tensor

from edgexl.base.errors import BadInput
from edgexl.data.label_set import LabelSet
from edgexl.student.encode import encode_vectors
from edgexl.student.importing.description import describe
from edgexl.student.importing.files import ForeignModel, as_size, read_table
from edgexl.student.importing.packaged import PACKAGED_MODELS, PackagedModel
from edgexl.student.importing.settings import BertSizes, read_sizes
from edgexl.student.importing.sources import locate_model
from edgexl.student.importing.tensors import Tensors, read_tensors
from edgexl.student.importing.tokenizer import read_model_tokenizer
from edgexl.student.screeners.transformer import ScreenerConfig, TransformerScreener, project

__all__ = [
    "PACKAGED_MODELS", "ForeignModel", "ImportedScreener", "PackagedModel", "import_sentence_transformer",
    "locate_model", "read_tokenizer",
]  # fmt: skip

# What a layer's parts are called here and in BERT.
_LAYER_NAMES = {
    "query": "attention.self.query", "key": "attention.self.key", "value": "attention.self.value",
    "output": "attention.output.dense", "attention_norm": "attention.output.LayerNorm",
    "up": "intermediate.dense", "down": "output.dense", "ffn_norm": "output.LayerNorm",
}  # fmt: skip


@dataclass(frozen=True)
class ImportedScreener:
    """A screener with its tokenizer and where both came from."""

    screener: TransformerScreener
    tokenizer: Tokenizer
    provenance: dict[str, Any]


def import_sentence_transformer(
    source: str | bytes | os.PathLike[str],
    dims: int | None = None,
    labels: LabelSet | None = None,
    max_tokens: int = 128,
    prompts: Literal["refuse", "ignore"] = "refuse",
) -> ImportedScreener:
    """Make a screener of a sentence-transformers model: a directory, a name in `PACKAGED_MODELS`, or a hub id.

    `dims`: shorten the query vector to its leading principal directions over (a sample of) `labels`, a rotation
    without centring, so that inner products suffer least. `max_tokens` cuts the table of positions, where the model
    itself does not say a shorter length. `prompts`: a model that wants a text before each text is refused, unless what
    is done with it does not depend on that. Raises `BadInput` where the source cannot be had, is damaged or comes
    without safetensors, and `ForeignModel` where it is not BERT-like or needs what edgexl does not have.
    """
    directory = locate_model(source)
    described = describe(directory, prompts)
    sizes, config = read_sizes(described.encoder)
    tensors = read_tensors(described.encoder)
    read = read_model_tokenizer(described.encoder, described.lower_case, config.get("tokenizer_class"))
    highest = max(read.tokenizer.get_vocab(with_added_tokens=True).values())
    if highest >= sizes.vocabulary:
        raise BadInput(
            f"{described.encoder}: the tokenizer gives ids up to {highest}, but the model has {sizes.vocabulary} word "
            "vectors; use the tokenizer that it was trained with."
        )
    longest = described.longest or read.longest or sizes.positions
    if min(longest, sizes.positions, max_tokens) < 3:
        raise ForeignModel(
            f"{described.encoder} reads {min(longest, sizes.positions)} tokens; edgexl needs 3 at least."
        )
    _check_sizes(tensors, sizes)
    screener = TransformerScreener(
        ScreenerConfig(
            vocabulary=sizes.vocabulary,
            max_tokens=min(max_tokens, longest, sizes.positions),
            word_dims=sizes.hidden,
            state_dims=sizes.hidden,
            ffn_dims=sizes.intermediate,
            heads=sizes.heads,
            layers=sizes.layers,
            pooling=described.pooling,
            eps=sizes.eps,
        )
    )
    _load_encoder(screener, tensors, sizes)
    digest = tensors.sha256()
    if described.dense:
        matrix, bias, digests = _read_dense(described.dense, sizes.hidden)
        screener = project(screener, matrix, bias)
        digest = hashlib.sha256("".join([digest, *digests]).encode()).hexdigest()
    query_dims = screener.config.query_dims or sizes.hidden
    if dims is not None and dims != query_dims:
        if labels is None or dims > query_dims:
            raise BadInput(f"Shortening to {dims} dimensions needs labels, and at most {query_dims} dimensions.")
        screener = _shorten(screener, read.tokenizer, labels, dims)
    given = os.fsdecode(source)
    name = given if given in PACKAGED_MODELS or not Path(given).exists() else Path(given).resolve().name
    return ImportedScreener(screener.eval(), read.tokenizer, {"imported_from": name, "weights_sha256": digest})


def read_tokenizer(directory: Path) -> Tokenizer:
    """tokenizer.json of a model's directory, rid of the truncation and padding that many models leave in it."""
    from edgexl.student import text

    path = directory / "tokenizer.json"
    if not path.is_file():
        raise BadInput(f"{directory} has no tokenizer.json; save its fast tokenizer there.")
    tokenizer = text.read_tokenizer(path)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _check_sizes(tensors: Tensors, sizes: BertSizes) -> None:
    """Hold config.json's sizes against the weights before anything is built on its word. Raises `BadInput`."""
    tensors.require("embeddings.word_embeddings.weight", (sizes.vocabulary, sizes.hidden))
    tensors.require("embeddings.position_embeddings.weight", (sizes.positions, sizes.hidden))
    for layer in (0, sizes.layers - 1):
        tensors.require(f"encoder.layer.{layer}.intermediate.dense.weight", (sizes.intermediate, sizes.hidden))


@torch.no_grad()
def _load_encoder(screener: TransformerScreener, tensors: Tensors, sizes: BertSizes) -> None:
    """Load BERT's weights; the first token type is added to all positions, for there are no others."""

    def load(parameter: Tensor, name: str) -> None:
        parameter.copy_(tensors.take(name, tuple(parameter.shape)))

    load(screener.word.weight, "embeddings.word_embeddings.weight")
    positions = tensors.take("embeddings.position_embeddings.weight", (sizes.positions, sizes.hidden))
    types = tensors.take("embeddings.token_type_embeddings.weight", (sizes.types, sizes.hidden))
    screener.position.weight.copy_(positions[: screener.config.max_tokens] + types[0])
    load(screener.embedding_norm.weight, "embeddings.LayerNorm.weight")
    load(screener.embedding_norm.bias, "embeddings.LayerNorm.bias")
    for layer in range(sizes.layers):
        for own, theirs in _LAYER_NAMES.items():
            for part in ("weight", "bias"):
                load(getattr(getattr(screener.layers[layer], own), part), f"encoder.layer.{layer}.{theirs}.{part}")
    tensors.warn_of_the_rest()


def _read_dense(folders: tuple[tuple[Path, bool], ...], width: int) -> tuple[Tensor, Tensor, list[str]]:
    """All linear maps after pooling as one: (matrix [out, width], bias [out], the hash of each folder's weights)."""
    digests = []
    matrix, bias = torch.eye(width, dtype=torch.float64), torch.zeros(width, dtype=torch.float64)
    for folder, normalised in folders:
        path = folder / "config.json"
        config = read_table(path)
        activation = str(config.get("activation_function", "torch.nn.modules.activation.Tanh")).rpartition(".")[2]
        if activation != "Identity":
            raise ForeignModel(f"{folder} is a Dense module with the activation {activation:.40}; edgexl has Identity.")
        for key in ("module_input_name", "module_output_name"):
            if config.get(key) not in (None, "sentence_embedding"):
                raise ForeignModel(f"{path}: {key} is {config[key]!r:.40}; edgexl maps the sentence embedding alone.")
        sizes = as_size(path, "out_features", config.get("out_features")), len(bias)
        tensors = read_tensors(folder)
        digests.append(tensors.sha256())
        step = tensors.take("linear.weight", sizes).double()
        has_bias = config.get("bias", True)
        shift = tensors.take("linear.bias", sizes[:1]).double() if has_bias else torch.zeros(sizes[0]).double()
        if normalised and bool(shift.any() or bias.any()):
            raise ForeignModel(
                f"{folder} is a Dense module with a bias behind a Normalize module, which edgexl has not."
            )
        matrix, bias = step @ matrix, step @ bias + shift
    return matrix.float(), bias.float(), digests


def _shorten(screener: TransformerScreener, tokenizer: Tokenizer, labels: LabelSet, dims: int) -> TransformerScreener:
    """Add a projection onto the leading principal directions of the label vectors."""
    step = max(1, len(labels) // 20_000)  # 20,000 vectors settle a 384-wide covariance
    vectors = encode_vectors(screener, tokenizer, labels.texts[::step])
    _, directions = torch.linalg.eigh(vectors.T @ vectors)
    return project(screener, directions.flip(1)[:, :dims].T.contiguous(), torch.zeros(dims))

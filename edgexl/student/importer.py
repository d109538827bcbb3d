"""Making screeners of sentence-transformers models: a directory, a hub id, or a model that a package carries.

Encoders of the families in `edgexl.student.importing.families` and static tables of words are taken, and only
safetensors are read: a directory that offers pickled weights alone is refused. All that the directory says of itself is
applied or refused by its name (see `edgexl.student.importing`), so that the vectors are those of sentence-transformers.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from tokenizers import Tokenizer
from torch import nn

from edgexl.base.errors import BadInput
from edgexl.bundle.tokenizer import NO_PROMPTS, Prompts
from edgexl.data.label_set import LabelSet
from edgexl.student.encode import encode_vectors
from edgexl.student.importing.dense import Dense, fold, read_dense
from edgexl.student.importing.description import Description, describe
from edgexl.student.importing.families import Part
from edgexl.student.importing.files import ForeignModel, as_size
from edgexl.student.importing.packaged import PACKAGED_MODELS, PackagedModel
from edgexl.student.importing.settings import EncoderSizes, read_sizes
from edgexl.student.importing.sources import locate_model
from edgexl.student.importing.static import read_static
from edgexl.student.importing.tensors import Tensors, read_tensors
from edgexl.student.importing.tokenizer import read_model_tokenizer
from edgexl.student.layers import RMSNorm
from edgexl.student.reading import Pooling
from edgexl.student.screeners.transformer import ScreenerConfig, TransformerScreener, project

__all__ = [
    "PACKAGED_MODELS", "ForeignModel", "ImportedScreener", "PackagedModel", "import_sentence_transformer",
    "locate_model", "read_tokenizer",
]  # fmt: skip


@dataclass(frozen=True)
class ImportedScreener:
    """A screener with its tokenizer and where both came from."""

    screener: TransformerScreener
    tokenizer: Tokenizer
    provenance: dict[str, Any]
    prompts: Prompts = NO_PROMPTS


def import_sentence_transformer(
    source: str | bytes | os.PathLike[str],
    dims: int | None = None,
    labels: LabelSet | None = None,
    max_tokens: int = 128,
    prompts: Literal["take", "ignore"] = "take",
    pooling: Pooling | None = None,
) -> ImportedScreener:
    """Make a screener of a sentence-transformers model: a directory, a name in `PACKAGED_MODELS`, or a hub id.

    `dims`: shorten the query vector: to its leading dimensions where the model was trained for that (Matryoshka) and
    names this size, otherwise to its leading principal directions over (a sample of) `labels`, a rotation without
    centring, so that inner products suffer least. `max_tokens` cuts the table of positions, where the model itself
    does not say a shorter length. `prompts`: whether those that a model wants before queries and before label texts
    come with it. `pooling`: of token states, instead of what the model says. Raises `BadInput` where the source cannot
    be had, is damaged or comes without safetensors, and `ForeignModel` where it is of no known family or needs what
    edgexl does not have.
    """
    directory = locate_model(source)
    described = describe(directory, prompts)
    if pooling is not None:
        if described.static and pooling != "mean":
            raise BadInput(f"{directory} is a table of words, whose rows are averaged; leave the pooling out.")
        described = replace(described, pooling=pooling)
    if described.static:
        screener, tokenizer, digest = read_static(described.encoder, min(max_tokens, described.longest or max_tokens))
    else:
        screener, tokenizer, digest = _read_encoder(described, max_tokens)
    if described.dense:
        steps = read_dense(described.dense, screener.config.state_dims)
        screener = _add_dense(described, screener, steps)
        digest = hashlib.sha256("".join([digest, *(step.sha256 for step in steps)]).encode()).hexdigest()
    width = screener.config.vector_dims
    if described.truncated is not None and described.truncated < width:
        screener, width = _cut(screener, described.truncated), described.truncated
    if dims is not None and dims in described.matryoshka and dims < width:
        screener = _cut(screener, dims)
    elif dims is not None and dims != width:
        if labels is None or dims > width:
            raise BadInput(f"Shortening to {dims} dimensions needs labels, and at most {width} dimensions.")
        screener = _shorten(screener, tokenizer, labels, dims, described.prompts.label)
    given = os.fsdecode(source)
    name = given if given in PACKAGED_MODELS or not Path(given).exists() else Path(given).resolve().name
    return ImportedScreener(
        screener.eval(), tokenizer, {"imported_from": name, "weights_sha256": digest}, described.prompts
    )


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


def _read_encoder(described: Description, max_tokens: int) -> tuple[TransformerScreener, Tokenizer, str]:
    """(screener without what stands behind the pooling, tokenizer, hash of the weights)."""
    folder = described.encoder
    sizes, config = read_sizes(folder)
    tensors = read_tensors(folder, sizes.family.prefix, sizes.family.name)
    read = read_model_tokenizer(folder, described.lower_case, config.get("tokenizer_class"))
    highest = max(read.tokenizer.get_vocab(with_added_tokens=True).values())
    if highest >= sizes.vocabulary:
        raise BadInput(
            f"{folder}: the tokenizer gives ids up to {highest}, but the model has {sizes.vocabulary} word vectors; "
            "use the tokenizer that it was trained with."
        )
    longest = min(described.longest or read.longest or sizes.positions, sizes.positions)
    if min(longest, max_tokens) < 3:
        raise ForeignModel(f"{folder} reads {longest} tokens; edgexl needs 3 at least.")
    _check_sizes(tensors, sizes)
    if read.swapped is not None:
        words = tensors.found[sizes.family.words]
        words[[0, read.swapped]] = words[[read.swapped, 0]]
    screener = TransformerScreener(
        ScreenerConfig(
            vocabulary=sizes.vocabulary,
            max_tokens=min(max_tokens, longest),
            word_dims=sizes.hidden,
            state_dims=sizes.hidden,
            ffn_dims=sizes.intermediate,
            heads=sizes.heads,
            layers=sizes.layers,
            pooling=described.pooling,
            eps=sizes.eps,
            architecture=sizes.architecture,
        )
    )
    _load_encoder(screener, tensors, sizes)
    _scale_queries(screener, folder, config)
    return screener, read.tokenizer, tensors.sha256()


def _check_sizes(tensors: Tensors, sizes: EncoderSizes) -> None:
    """Hold config.json's sizes against the weights before anything is built on its word. Raises `BadInput`."""
    family = sizes.family
    tensors.require(family.words, (sizes.vocabulary, sizes.hidden))
    if family.position_table:
        tensors.require(family.position_table, (sizes.first_position + sizes.positions, sizes.hidden))
    up = family.layer["up"]
    for layer in (0, sizes.layers - 1):
        tensors.require(f"{up.name.format(layer)}.weight", (up.parts * sizes.intermediate, sizes.hidden))


@torch.no_grad()
def _load_encoder(screener: TransformerScreener, tensors: Tensors, sizes: EncoderSizes) -> None:
    """Load a family's weights; the first token type is added to all positions, for there are no others."""
    family, config = sizes.family, screener.config

    def load(module: nn.Module, part: Part, is_norm: bool) -> None:
        for name, parameter in module.named_parameters():
            stored = f"{part.name}.{name}"
            shape = (len(parameter) * part.parts, *parameter.shape[1:])
            if stored not in tensors.found and name == "bias" and sizes.architecture is not None:
                parameter.zero_()  # some of a layer's products may have one
                continue
            value = tensors.require(stored, shape) if part.place < part.parts - 1 else tensors.take(stored, shape)
            parameter.copy_(value.chunk(part.parts)[part.place])
            if is_norm:
                parameter.add_(family.norm_offset)

    screener.word.weight.copy_(tensors.take(family.words, (sizes.vocabulary, sizes.hidden)))
    if family.scaled_words:
        screener.word.weight.mul_(sizes.hidden**0.5)
    if family.position_table:
        rows = tensors.take(family.position_table, (sizes.first_position + sizes.positions, sizes.hidden))
        positions = rows[sizes.first_position :][: config.max_tokens]
        if family.type_table:
            positions = positions + tensors.take(family.type_table, (sizes.types, sizes.hidden))[0]
        screener.position.weight.copy_(positions)
    if family.relative:
        screener.relative.weight.copy_(tensors.take(family.relative, tuple(screener.relative.weight.shape)))
    if family.embedding_norm:
        load(screener.embedding_norm, Part(family.embedding_norm), True)
    if family.last_norm:
        load(screener.last_norm, Part(family.last_norm), True)
    for index, layer in enumerate(screener.layers):
        for own, part in family.layer.items():
            module: nn.Module = getattr(layer, own)
            load(module, replace(part, name=part.name.format(index)), own.endswith("norm"))
    tensors.warn_of_the_rest()


@torch.no_grad()
def _scale_queries(screener: TransformerScreener, folder: Path, config: dict[str, Any]) -> None:
    """Where a model divides its scores by another number than the root of a head's width, queries take it over."""
    a = screener.config.architecture
    if a is None or not a.head_norms:
        return
    scalar = as_size(folder / "config.json", "query_pre_attn_scalar", config.get("query_pre_attn_scalar", 256))
    for layer in screener.layers:
        norm: RMSNorm = layer.query_norm  # type: ignore[assignment]
        norm.weight.mul_((a.head_dims / scalar) ** 0.5)


@torch.no_grad()
def _add_dense(described: Description, screener: TransformerScreener, steps: tuple[Dense, ...]) -> TransformerScreener:
    """The screener with Dense modules behind its pooling."""
    for step in steps if described.static else ():
        if step.step.normalised:
            break
        if not step.linear:
            raise ForeignModel(
                f"{described.encoder.parent} has a Dense module with a bias or an activation behind a static table, "
                "which edgexl has only behind an encoder."
            )
    if (one := fold(steps)) is not None:
        return project(screener, *one)
    longer = TransformerScreener(replace(screener.config, dense=tuple(step.step for step in steps)))
    own = dict(screener.state_dict())
    for place, step in enumerate(steps):
        own[f"dense.{place}.weight"] = step.weight
        if step.step.bias:
            own[f"dense.{place}.bias"] = step.bias
    longer.load_state_dict(own)
    return longer


def _cut(screener: TransformerScreener, dims: int) -> TransformerScreener:
    """The screener with the leading dimensions of its vector alone."""
    return project(screener, torch.eye(screener.config.vector_dims)[:dims], torch.zeros(dims))


def _shorten(
    screener: TransformerScreener, tokenizer: Tokenizer, labels: LabelSet, dims: int, prompt: str
) -> TransformerScreener:
    """Add a projection onto the leading principal directions of the label vectors."""
    step = max(1, len(labels) // 20_000)  # 20,000 vectors settle a 384-wide covariance
    vectors = encode_vectors(screener, tokenizer, labels.texts[::step], prompt=prompt)
    _, directions = torch.linalg.eigh(vectors.T @ vectors)
    return project(screener, directions.flip(1)[:, :dims].T.contiguous(), torch.zeros(dims))

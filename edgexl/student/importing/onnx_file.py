"""Encoders by their ONNX file: any model that ONNX Runtime runs, with the tokenizer.json beside it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenizers import Tokenizer

from edgexl.base.errors import BadInput
from edgexl.base.fetch import sha256_file
from edgexl.bundle.tokenizer import NO_PROMPTS, Prompts
from edgexl.student.importing.description import describe
from edgexl.student.importing.files import ForeignModel, as_size, read_table
from edgexl.student.importing.tokenizer import read_model_tokenizer

if TYPE_CHECKING:
    from edgexl.student.onnx_screener import OnnxScreener
    from edgexl.student.reading import Pooling

# Where exporters put the graph into a model's directory.
_PLACES = ("model.onnx", "onnx/model.onnx")
MAX_TOKENS = 128


@dataclass(frozen=True)
class ImportedOnnx:
    """A screener with its tokenizer and where both came from."""

    screener: OnnxScreener
    tokenizer: Tokenizer
    provenance: dict[str, Any]
    prompts: Prompts = NO_PROMPTS


def find_onnx(source: str | bytes | os.PathLike[str]) -> Path | None:
    """The ONNX file that someone names, or that a directory without weights in safetensors holds; None for others."""
    path = Path(os.fsdecode(source))
    if path.is_file():
        return path if path.suffix == ".onnx" else None
    if not path.is_dir() or any(path.rglob("*.safetensors")):
        return None
    return next((path / place for place in _PLACES if (path / place).is_file()), None)


def import_onnx(
    path: Path, pooling: Pooling | None = None, max_tokens: int = MAX_TOKENS, dims: int | None = None
) -> ImportedOnnx:
    """A screener of an ONNX file; its tokenizer, and what sentence-transformers writes of pooling, length and prompts,
    lie beside it or a folder above. `pooling` of token states: what these files say, or else the mean.
    `dims`: the leading dimensions that the vectors keep, of a model that names this size as its own (Matryoshka).

    Raises `BadInput` for a file that is none, keeps weights elsewhere, has operators that ONNX Runtime lacks, or takes
    and gives something else than texts' tokens and their states or vectors; `ForeignModel` for modules behind it.
    """
    import onnx

    from edgexl.student.onnx_screener import POOLINGS, make_onnx_screener

    folder = next((each for each in (path.parent, path.parent.parent) if (each / "tokenizer.json").is_file()), None)
    if folder is None:
        raise BadInput(f"{path} has no tokenizer.json beside it; put the model's own there.")
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf's, whose own package is not among edgexl's
        if not isinstance(error, OSError) and type(error).__name__ != "DecodeError":
            raise
        raise BadInput(f"{path} is not an ONNX file, or cut off.") from None
    longest, prompts, truncated = None, NO_PROMPTS, None
    sizes: tuple[int, ...] = ()
    if (folder / "modules.json").is_file():
        described = describe(folder)
        if described.dense or described.static:
            raise ForeignModel(f"{folder}/modules.json has modules that {path.name} does not hold; export all of it.")
        pooling = pooling or described.pooling
        longest, prompts = described.longest, described.prompts
        truncated, sizes = described.truncated, described.matryoshka
    if pooling not in (None, *POOLINGS):
        raise ForeignModel(f"{folder} pools by {pooling}; edgexl pools an ONNX file's states by {', '.join(POOLINGS)}.")
    if dims is not None and dims not in sizes:
        named = f"it names {', '.join(map(str, sizes))}" if sizes else "it names none"
        raise BadInput(f"{path}'s vectors can be cut to sizes that the model names alone, not to {dims}; {named}.")
    config = read_table(folder / "config.json")
    read = read_model_tokenizer(folder, False, config.get("tokenizer_class"))
    vocabulary = max(read.tokenizer.get_vocab(with_added_tokens=True).values()) + 1
    positions = config.get("max_position_embeddings")
    places = as_size(folder / "config.json", "max_position_embeddings", positions) if positions else max_tokens
    tokens = min(max_tokens, longest or read.longest or max_tokens, places)
    screener = make_onnx_screener(model, str(path), vocabulary, tokens, pooling, dims or truncated)
    provenance = {"imported_from": f"{path.parent.resolve().name}/{path.name}", "weights_sha256": sha256_file(path)}
    return ImportedOnnx(screener, read.tokenizer, provenance, prompts)

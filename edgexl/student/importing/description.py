"""What a sentence-transformers directory says of itself, in every layout since 1.0: modules, pooling, prompts, lengths.

    modules.json                       the modules in order; without it the directory is a plain encoder, mean pooled
    config_sentence_transformers.json  prompts and similarity
    "", 0_Transformer/, 0_BERT/        the encoder: config.json, weights, tokenizer, sentence_*_config.json
    "", 0_StaticEmbedding/             or a table of words: weights, tokenizer
    1_Pooling/, 2_Dense/, ...          the others

Each setting is applied, has no effect on vectors, or is refused by its name.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from edgexl.base.errors import BadInput
from edgexl.base.strict_json import read_json
from edgexl.bundle.tokenizer import NO_PROMPTS, Prompts
from edgexl.student.importing.files import ForeignModel, as_size, inside, read_table
from edgexl.student.reading import Pooling

# sentence-transformers' own names for the file, the newest first.
_LENGTH_FILES = tuple(
    f"sentence_{kind}_config.json"
    for kind in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
# What sentence-transformers and a `ScreenerConfig` call the ways to pool.
_POOLING: dict[str, Pooling] = {
    "mean": "mean", "cls": "cls", "max": "max", "mean_sqrt_len_tokens": "sqrt", "weightedmean": "weighted",
    "lasttoken": "last",
}  # fmt: skip
_POOLING_MODES = {
    "pooling_mode_cls_token": "cls", "pooling_mode_max_tokens": "max", "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean", "pooling_mode_lasttoken": "lasttoken",
}  # fmt: skip
# Prompts that sentence-transformers puts before texts without being told to: in encode_query, in encode_document.
_SIDES = (("query",), ("document", "passage", "corpus"))
# Arguments for loading that do not change what is computed.
_HARMLESS_ARGUMENTS = {
    "attn_implementation", "torch_dtype", "dtype", "trust_remote_code", "use_safetensors", "revision", "device_map",
    "low_cpu_mem_usage", "cache_dir", "use_fast",
}  # fmt: skip
_CARD_SIZES = re.compile(r'"matryoshka_dims":\s*\[\s*(\d+(?:\s*,\s*\d+)*)\s*\]')
_TEXT = {"method": "forward", "method_output_name": "last_hidden_state"}

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Description:
    """A model's parts. `static`: the encoder is a table of words. `dense`: the folders of linear maps after pooling, in
    order, and whether the vector had been normalised before each. `longest`: tokens at most, None where nothing says
    so. `lower_case`: texts are lower-cased first, whatever the tokenizer does. `truncated`: the vector is cut to so
    many leading dimensions; `matryoshka`: the sizes that the model was trained to be cut to."""

    encoder: Path
    static: bool
    pooling: Pooling
    dense: tuple[tuple[Path, bool], ...]
    longest: int | None
    lower_case: bool
    truncated: int | None
    matryoshka: tuple[int, ...]
    prompts: Prompts


def describe(directory: Path, prompts: Literal["take", "ignore"] = "take") -> Description:
    """Read a model's directory. Raises `BadInput` where it is damaged, `ForeignModel` where it needs what edgexl does
    not have."""
    encoder, static, pooling, dense, normalised = _read_modules(directory)
    where = directory / "config_sentence_transformers.json"
    about = read_table(where)
    _check_about(where, about, normalised)
    folder = next(iter(sorted(directory.glob("*_Pooling/config.json"))), None)
    wanted = _read_prompts(directory, about, folder) if prompts == "take" else NO_PROMPTS
    longest, lower_case = _read_lengths(encoder)
    truncated = about.get("truncate_dim")
    truncated = None if truncated is None else as_size(where, "truncate_dim", truncated)
    sizes = _read_matryoshka(directory, about, encoder)
    return Description(encoder, static, pooling, dense, longest, lower_case, truncated, sizes, wanted)


def _read_matryoshka(directory: Path, about: dict[str, Any], encoder: Path) -> tuple[int, ...]:
    """The sizes that a model names in its JSON, or in the card that sentence-transformers wrote of its training."""
    for table in (about, read_table(encoder / "config.json")):
        for key in ("matryoshka_dims", "matryoshka_dimensions"):
            sizes = table.get(key)
            if isinstance(sizes, list) and all(type(size) is int and size > 0 for size in sizes):
                return tuple(sizes)
    card = directory / "README.md"
    if card.is_file() and (found := _CARD_SIZES.search(card.read_text(encoding="utf-8", errors="replace"))):
        return tuple(map(int, found[1].split(",")))
    return ()


def _read_modules(directory: Path) -> tuple[Path, bool, Pooling, tuple[tuple[Path, bool], ...], bool]:
    """(the encoder's folder, whether it is static, pooling, dense folders, whether the vector is normalised in the
    end)."""
    path = directory / "modules.json"
    if not path.exists():
        if read_table(directory / "config.json").get("model_type") == "model2vec":
            return directory, True, "mean", (), True
        for folder in sorted(directory.glob("*_Pooling/config.json")):
            if _pooling(folder) != "mean":
                raise BadInput(f"{directory} has {folder.parent.name}, but no modules.json that says so; add it.")
        return directory, False, "mean", (), False
    modules = read_json(path)
    if not isinstance(modules, list) or not all(isinstance(module, dict) for module in modules) or not modules:
        raise BadInput(f"{path} is not a list of modules.")
    encoder: Path | None = None
    static = False
    pooling: Pooling | None = None
    dense: list[tuple[Path, bool]] = []
    normalised = False
    for module in modules:
        kind, folder = _kind(path, module), inside(directory, module.get("path", ""), path)
        if (encoder is None) != (kind in ("Transformer", "BERT", "StaticEmbedding")):
            raise ForeignModel(f"{directory} has the module '{kind}' where edgexl expects an encoder alone, first.")
        if encoder is None:
            encoder, static = folder, kind == "StaticEmbedding"
            pooling = "mean" if static else None
        elif kind == "Pooling" and pooling is None and not dense and not normalised:
            pooling = _pooling(folder / "config.json")
        elif kind == "Normalize" and pooling is not None:
            normalised = True
        elif kind == "Dense" and pooling is not None:
            dense.append((folder, normalised))
            normalised = False
        elif kind != "Dropout":
            raise ForeignModel(f"{directory} has a '{kind}' module, which edgexl cannot import.")
    if encoder is None or pooling is None:
        raise ForeignModel(f"{directory} has no Pooling module, so it gives no vector a text.")
    return encoder, static, pooling, tuple(dense), normalised


def _kind(path: Path, module: dict[str, Any]) -> str:
    kind = module.get("type")
    if not isinstance(kind, str):
        raise BadInput(f"{path}: a module has no 'type'.")
    package, _, name = kind.rpartition(".")
    if package != "sentence_transformers" and not package.startswith("sentence_transformers."):
        raise ForeignModel(
            f"{path} names the module '{kind}', which is Python code of the model's own; edgexl runs none."
        )
    return name


def _pooling(path: Path) -> Pooling:
    config = read_table(path)
    if not config:
        raise BadInput(f"{path} is missing or empty; it must say how token vectors are pooled.")
    modes = config.get("pooling_mode")
    if modes is None:
        known = [name for key, name in _POOLING_MODES.items() if config.get(key)]
        unknown = [
            key for key, on in config.items() if key.startswith("pooling_mode_") and on and key not in _POOLING_MODES
        ]
        # none of the old keys set is sentence-transformers' mean
        modes = [*known, *unknown] or (["mean"] if config.keys() & _POOLING_MODES.keys() else ["nothing"])
    modes = [modes] if isinstance(modes, str) else modes
    if isinstance(modes, list) and len(modes) == 1 and modes[0] in _POOLING:
        return _POOLING[modes[0]]
    shown = ", ".join(map(str, modes)) if isinstance(modes, list) else repr(modes)
    raise ForeignModel(
        f"{path.parent.parent} pools by {shown:.80}; edgexl imports one of {', '.join(_POOLING)}, each alone."
    )


def _check_about(path: Path, about: dict[str, Any], normalised: bool) -> None:
    model_type = about.get("model_type", "SentenceTransformer")
    if model_type != "SentenceTransformer":
        raise ForeignModel(f"{path}: model_type is '{model_type!s:.40}'; edgexl imports SentenceTransformer models.")
    similarity = about.get("similarity_fn_name") or "cosine"
    if similarity != "cosine" and not (normalised and similarity in ("dot", "dot_score", "euclidean")):
        raise ForeignModel(
            f"{path}: similarity_fn_name is '{similarity!s:.40}', but edgexl compares by cosine, which orders labels "
            "otherwise."
        )


def _read_prompts(directory: Path, about: dict[str, Any], pooling: Path | None) -> Prompts:
    """The prompts that sentence-transformers' encode_query and encode_document apply by themselves."""
    prompts, default = about.get("prompts") or {}, about.get("default_prompt_name")
    where = f"{directory}/config_sentence_transformers.json"
    if not isinstance(prompts, dict) or not all(isinstance(text, str | None) for text in prompts.values()):
        raise BadInput(f"{where}: 'prompts' must name texts.")
    if default is not None and default not in {*prompts, "query", "document"}:
        raise BadInput(f"{where}: default_prompt_name is {default!r:.40}, which is not among its prompts.")
    sides = [next((name for name in names if name in prompts), default) for names in _SIDES]
    found = Prompts(*(prompts.get(name) or "" for name in sides))
    if found and pooling is not None and read_table(pooling).get("include_prompt") is False:
        raise ForeignModel(f"{directory} leaves its prompt's tokens out of the pooling, which edgexl cannot.")
    return found


def _read_lengths(encoder: Path) -> tuple[int | None, bool]:
    """(max_seq_length, do_lower_case) of the sentence_*_config.json."""
    path = next((encoder / name for name in _LENGTH_FILES if (encoder / name).exists()), encoder / _LENGTH_FILES[0])
    config = read_table(path)
    known = {
        "max_seq_length", "do_lower_case", "transformer_task", "modality_config", "module_output_name",
        "processing_kwargs", "unpad_inputs",
    }  # fmt: skip
    arguments = ("model_args", "model_kwargs", "tokenizer_args", "processor_kwargs", "config_args", "config_kwargs")
    for key, value in config.items():
        if key in arguments and value and (not isinstance(value, dict) or value.keys() - _HARMLESS_ARGUMENTS):
            raise ForeignModel(f"{path}: '{key}' is {value!r:.80}, which edgexl does not apply.")
        if key not in known and key not in arguments and value is not None:
            log.warning("%s: edgexl does not know '%s' and passes over it", path, key)
    if config.get("transformer_task", "feature-extraction") != "feature-extraction":
        raise ForeignModel(f"{path}: transformer_task is '{config['transformer_task']!s:.40}', not feature-extraction.")
    if config.get("processing_kwargs"):
        raise ForeignModel(
            f"{path}: 'processing_kwargs' is {config['processing_kwargs']!r:.80}, not applied by edgexl."
        )
    modality = config.get("modality_config")
    if modality is not None and (not isinstance(modality, dict) or modality.get("text") != _TEXT):
        raise ForeignModel(
            f"{path}: 'modality_config' is {modality!r:.120}; edgexl takes the last hidden state of texts."
        )
    if config.get("module_output_name", "token_embeddings") != "token_embeddings":
        raise ForeignModel(f"{path}: module_output_name is '{config['module_output_name']!s:.40}'.")
    longest = config.get("max_seq_length")
    if not isinstance(config.get("do_lower_case", False), bool | None):
        raise BadInput(f"{path}: 'do_lower_case' is {config['do_lower_case']!r:.40}; expected true or false.")
    return None if longest is None else as_size(path, "max_seq_length", longest), bool(config.get("do_lower_case"))

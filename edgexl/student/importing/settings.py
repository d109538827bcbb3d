"""config.json of an encoder: the sizes, and a refusal by its name of every setting that would compute otherwise."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgexl.base.errors import BadInput
from edgexl.student.architecture import Architecture
from edgexl.student.importing.families import Family, family_of
from edgexl.student.importing.files import ForeignModel, as_size, read_table

# Settings that change what is computed, and their values that leave it as it is here, in all families.
_FIXED: dict[str, tuple[Any, ...]] = {
    "is_decoder": (False, None),
    "is_causal": (False, None),
    "use_bidirectional_attention": (True, None),
    "add_cross_attention": (False, None),
    "is_encoder_decoder": (False, None),
    "quantization_config": (None,),
    "pruned_heads": (None, {}),
    "auto_map": (None, {}),
    "adapters": (None, {}),
}
# Settings of training, of heads that are not read, of output and of bookkeeping.
_HARMLESS = {
    "_name_or_path", "_attn_implementation", "_attn_implementation_autoset", "attn_implementation", "architectures",
    "attention_probs_dropout_prob", "hidden_dropout_prob", "classifier_dropout", "classifier_dropout_prob",
    "initializer_range", "initializer_factor", "gradient_checkpointing", "pad_token_id",
    "bos_token_id", "eos_token_id", "sep_token_id", "cls_token_id", "decoder_start_token_id",
    "transformers_version", "torch_dtype", "dtype", "torchscript", "use_cache", "use_bfloat16", "output_attentions",
    "output_hidden_states", "output_past", "return_dict", "return_dict_in_generate", "chunk_size_feed_forward",
    "tie_word_embeddings", "tie_encoder_decoder", "tokenizer_class", "id2label", "label2id", "num_labels",
    "problem_type", "finetuning_task", "prefix", "task_specific_params", "directionality", "pooler_fc_size",
    "pooler_num_attention_heads", "pooler_num_fc_layers", "pooler_size_per_head", "pooler_type", "language",
    "model_max_length", "max_length", "min_length", "do_sample", "early_stopping", "num_beams", "num_beam_groups",
    "diversity_penalty", "temperature", "top_k", "top_p", "typical_p", "repetition_penalty", "length_penalty",
    "no_repeat_ngram_size", "encoder_no_repeat_ngram_size", "bad_words_ids", "num_return_sequences",
    "output_scores", "forced_bos_token_id", "forced_eos_token_id", "remove_invalid_values",
    "exponential_decay_length_penalty", "suppress_tokens", "begin_suppress_tokens", "tf_legacy_loss",
    "cross_attention_hidden_size", "gradient_accumulation_steps", "sentence_transformers", "license", "model_type",
    "matryoshka_dims", "matryoshka_dimensions",
}  # fmt: skip

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EncoderSizes:
    """The family and the sizes of an encoder. `first_position`: the row of the table of positions for a text's first
    token; `positions` are those from there on."""

    family: Family
    architecture: Architecture | None
    vocabulary: int
    hidden: int
    intermediate: int
    heads: int
    layers: int
    positions: int
    first_position: int
    types: int
    eps: float


def read_sizes(encoder: Path) -> tuple[EncoderSizes, dict[str, Any]]:
    """(sizes, config.json) of the encoder in a folder. Raises `BadInput`, and `ForeignModel` for what none of the
    `FAMILIES` computes."""
    path = encoder / "config.json"
    if not path.exists():
        raise BadInput(f"{encoder} has no config.json; give the directory of a sentence-transformers model.")
    config = read_table(path)
    family = family_of(encoder, config.get("model_type"))
    for key, allowed in (_FIXED | family.fixed).items():
        if key in config and config[key] not in allowed:
            known = f"; edgexl has '{allowed[0]}' only" if isinstance(allowed[0], str) else ""
            raise ForeignModel(f"{path}: {key} is {config[key]!r:.80}, which edgexl does not apply{known}.")
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        if (encoder / name).exists():
            raise ForeignModel(
                f"{encoder} has {name}, an adapter, which edgexl does not apply; merge it into the weights."
            )
    sizes = {key for key, _ in family.sizes.values()} | {family.eps[0]}
    for key in config.keys() - _FIXED.keys() - family.fixed.keys() - sizes - _HARMLESS - family.harmless:
        log.warning("%s: edgexl does not know '%s' and passes over it", path, key)
    size = {name: as_size(path, key, config.get(key, default)) for name, (key, default) in family.sizes.items()}
    eps = config.get(*family.eps)
    if isinstance(eps, bool) or not isinstance(eps, int | float) or not 0 < eps < 1:
        raise BadInput(f"{path}: '{family.eps[0]}' is {eps!r:.40}; expected a small positive number.")
    architecture = family.architecture(path, config, size["layers"])
    if size["hidden"] % size["heads"] and not (architecture and architecture.head_dims):
        hidden, heads = (family.sizes[name][0] for name in ("hidden", "heads"))
        raise BadInput(f"{path}: {hidden} ({size['hidden']}) is not a multiple of {heads} ({size['heads']}).")
    if (width := config.get("embedding_size", size["hidden"])) != size["hidden"]:
        raise ForeignModel(
            f"{path}: embedding_size is {width!r:.40}, which is not hidden_size; {family.name} has no such map."
        )
    first = family.first_position(path, config)
    if size["positions"] <= first:
        raise BadInput(f"{path}: max_position_embeddings ({size['positions']}) leaves no position behind padding.")
    found = EncoderSizes(
        family, architecture, size["vocabulary"], size["hidden"], size["intermediate"], size["heads"], size["layers"],
        size["positions"] - first, first, size.get("types", 0), float(eps),
    )  # fmt: skip
    return found, config

"""config.json of a BERT encoder: the sizes, and a refusal by its name of every setting that would compute otherwise."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgexl.base.errors import BadInput
from edgexl.student.importing.files import ForeignModel, as_size, read_table

# What BertConfig takes where config.json is silent.
_DEFAULTS = {
    "vocab_size": 30522, "hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12,
    "num_hidden_layers": 12, "max_position_embeddings": 512, "type_vocab_size": 2,
}  # fmt: skip
# Settings that change what is computed, and their values that leave it as it is here.
_FIXED: dict[str, tuple[Any, ...]] = {
    "model_type": ("bert",),
    "hidden_act": ("gelu", "gelu_python"),
    "position_embedding_type": ("absolute", None),
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
    "initializer_range", "initializer_factor", "gradient_checkpointing", "layer_norm_eps", "pad_token_id",
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
    "cross_attention_hidden_size", "gradient_accumulation_steps", "sentence_transformers", "license",
}  # fmt: skip

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BertSizes:
    """The sizes of a BERT encoder."""

    vocabulary: int
    hidden: int
    intermediate: int
    heads: int
    layers: int
    positions: int
    types: int
    eps: float


def read_sizes(encoder: Path) -> tuple[BertSizes, dict[str, Any]]:
    """(sizes, config.json) of the encoder in a folder. Raises `BadInput`, `ForeignModel` for what is not plain BERT."""
    path = encoder / "config.json"
    if not path.exists():
        raise BadInput(f"{encoder} has no config.json; give the directory of a sentence-transformers model.")
    config = read_table(path)
    kind = config.get("model_type")
    if kind != "bert":
        raise ForeignModel(f"{encoder} is a '{kind!s:.40}' model; only BERT encoders with gelu can be imported.")
    for key, allowed in _FIXED.items():
        if key in config and config[key] not in allowed:
            known = f"; edgexl has '{allowed[0]}' only" if isinstance(allowed[0], str) else ""
            raise ForeignModel(f"{path}: {key} is {config[key]!r:.80}, which edgexl does not apply{known}.")
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        if (encoder / name).exists():
            raise ForeignModel(
                f"{encoder} has {name}, an adapter, which edgexl does not apply; merge it into the weights."
            )
    for key in config.keys() - _FIXED.keys() - _DEFAULTS.keys() - _HARMLESS:
        log.warning("%s: edgexl does not know '%s' and passes over it", path, key)
    size = {key: as_size(path, key, config.get(key, default)) for key, default in _DEFAULTS.items()}
    eps = config.get("layer_norm_eps", 1e-12)
    if isinstance(eps, bool) or not isinstance(eps, int | float) or not 0 < eps < 1:
        raise BadInput(f"{path}: 'layer_norm_eps' is {eps!r:.40}; expected a small positive number.")
    if size["hidden_size"] % size["num_attention_heads"]:
        raise BadInput(
            f"{path}: hidden_size ({size['hidden_size']}) is not a multiple of num_attention_heads "
            f"({size['num_attention_heads']})."
        )
    if (width := config.get("embedding_size", size["hidden_size"])) != size["hidden_size"]:
        raise ForeignModel(f"{path}: embedding_size is {width!r:.40}, which is not hidden_size; BERT has no such map.")
    sizes = BertSizes(
        size["vocab_size"], size["hidden_size"], size["intermediate_size"], size["num_attention_heads"],
        size["num_hidden_layers"], size["max_position_embeddings"], size["type_vocab_size"],
        float(eps),
    )  # fmt: skip
    return sizes, config

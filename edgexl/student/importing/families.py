"""The families of encoders that can be imported: what config.json and the weights call the parts of each.

A further family is a `Family` in `FAMILIES`, where it computes what an `Architecture` can say.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgexl.base.errors import BadInput
from edgexl.student.architecture import Architecture
from edgexl.student.importing.files import ForeignModel, as_size

Config = dict[str, Any]


@dataclass(frozen=True)
class Part:
    """A tensor, or the `place`-th of `parts` equal shares of its rows."""

    name: str
    place: int = 0
    parts: int = 1


@dataclass(frozen=True)
class Family:
    """One family of encoders. `types` are its names in config.json, `prefix` is what a model with a head puts before
    all tensors. `sizes` are config.json's keys of the sizes of `EncoderSizes`, with their defaults; `fixed` are
    settings that change what is computed, and their values that leave it as it is. `layer` names the parts of layer {}.
    """

    name: str
    types: tuple[str, ...]
    prefix: str
    sizes: dict[str, tuple[str, int]]
    fixed: dict[str, tuple[Any, ...]]
    words: str
    layer: dict[str, Part]
    embedding_norm: str = "embeddings.LayerNorm"
    position_table: str | None = "embeddings.position_embeddings.weight"
    type_table: str | None = None
    last_norm: str | None = None
    relative: str | None = None
    eps: tuple[str, float] = ("layer_norm_eps", 1e-12)
    harmless: frozenset[str] = frozenset()
    architecture: Callable[[Path, Config, int], Architecture | None] = lambda path, config, layers: None
    # How many positions are before that of the first token.
    first_position: Callable[[Path, Config], int] = lambda path, config: 0
    # What norms add to their stored weights; words are multiplied by the root of their width.
    norm_offset: float = 0.0
    scaled_words: bool = False


def _sizes(vocabulary: int, positions: int, **more: tuple[str, int]) -> dict[str, tuple[str, int]]:
    return {
        "vocabulary": ("vocab_size", vocabulary), "hidden": ("hidden_size", 768),
        "intermediate": ("intermediate_size", 3072), "heads": ("num_attention_heads", 12),
        "layers": ("num_hidden_layers", 12), "positions": ("max_position_embeddings", positions), **more,
    }  # fmt: skip


def _behind_padding(path: Path, config: Config) -> int:
    return as_size(path, "pad_token_id", config.get("pad_token_id", 1), least=0) + 1


def _mpnet(path: Path, config: Config, layers: int) -> Architecture:
    return _build(path, relative_buckets=32)


def _modernbert(path: Path, config: Config, layers: int) -> Architecture:
    every = as_size(path, "global_attn_every_n_layers", config.get("global_attn_every_n_layers", 3))
    names = ("global_rope_theta", 160_000.0), ("local_rope_theta", 10_000.0)
    theta, local_theta = _thetas(path, config, names)
    window = as_size(path, "local_attention", config.get("local_attention", 128)) // 2
    return _build(
        path, positions="rotary", theta=theta, local_theta=local_theta, norms="before", gated=True, window=window,
        norm_bias=bool(config.get("norm_bias", False)),
        bias=bool(config.get("attention_bias", False) or config.get("mlp_bias", False)),
        local_layers=_local_layers(path, config, layers, lambda layer: layer % every != 0),
    )  # fmt: skip


def _gemma(path: Path, config: Config, layers: int) -> Architecture:
    every = as_size(path, "sliding_window_pattern", config.get("sliding_window_pattern") or 6)
    theta, local_theta = _thetas(path, config, (("rope_theta", 1e6), ("rope_local_base_freq", 10_000.0)))
    window = as_size(path, "sliding_window", config.get("sliding_window", 4096)) // 2
    return _build(
        path, positions="rotary", theta=theta, local_theta=local_theta, norm="rms", norms="around", head_norms=True,
        embedding_norm=False, bias=bool(config.get("attention_bias", False)), gated=True, activation="gelu_tanh",
        window=window, shared_keys=True, head_dims=as_size(path, "head_dim", config.get("head_dim", 256)),
        local_layers=_local_layers(path, config, layers, lambda layer: (layer + 1) % every != 0),
    )  # fmt: skip


def _build(path: Path, **settings: Any) -> Architecture:
    try:
        return Architecture(**settings)
    except ValueError as error:
        raise BadInput(f"{path}: {error}.") from None


def _thetas(path: Path, config: Config, names: tuple[tuple[str, float], tuple[str, float]]) -> tuple[float, float]:
    """The bases of the angles of global and of local layers, in the older and the newer layout of config.json."""
    if config.get("rope_scaling"):
        raise ForeignModel(f"{path}: rope_scaling is {config['rope_scaling']!r:.80}, which edgexl does not apply.")
    new = config.get("rope_parameters") or {}
    found: list[float] = []
    for kind, (key, default) in zip(("full_attention", "sliding_attention"), names, strict=True):
        table = new.get(kind) if isinstance(new, dict) else None
        if table is not None and (not isinstance(table, dict) or table.get("rope_type", "default") != "default"):
            raise ForeignModel(f"{path}: rope_parameters of {kind} are {table!r:.80}, which edgexl does not apply.")
        theta = table.get("rope_theta") if table else config.get(key, default)
        if theta is None:
            theta = found[0] if found else default
        if isinstance(theta, bool) or not isinstance(theta, int | float):
            raise BadInput(f"{path}: '{key}' is {theta!r:.40}; expected a number.")
        found.append(float(theta))
    return found[0], found[1]


def _local_layers(path: Path, config: Config, layers: int, local: Callable[[int], bool]) -> tuple[int, ...]:
    types = config.get("layer_types")
    if types is None:
        return tuple(filter(local, range(layers)))
    known = {"full_attention", "sliding_attention"}
    if not isinstance(types, list) or len(types) != layers or not all(kind in known for kind in types):
        raise ForeignModel(
            f"{path}: layer_types must name full_attention or sliding_attention for each of {layers} layers."
        )
    return tuple(layer for layer, kind in enumerate(types) if kind == "sliding_attention")


def _bert_layer(attention: dict[str, str]) -> dict[str, Part]:
    own = {
        "attention_norm": "attention.output.LayerNorm", "up": "intermediate.dense", "down": "output.dense",
        "ffn_norm": "output.LayerNorm", **attention,
    }  # fmt: skip
    return {name: Part(f"encoder.layer.{{}}.{theirs}") for name, theirs in own.items()}


_BERT_ATTENTION = {
    "query": "attention.self.query", "key": "attention.self.key", "value": "attention.self.value",
    "output": "attention.output.dense",
}  # fmt: skip
_BERT_FIXED: dict[str, tuple[Any, ...]] = {
    "hidden_act": ("gelu", "gelu_python"),
    "position_embedding_type": ("absolute", None),
}
_TYPES = {"types": ("type_vocab_size", 2)}

FAMILIES: tuple[Family, ...] = (
    Family(
        name="BERT", types=("bert",), prefix="bert.", sizes=_sizes(30522, 512, **_TYPES), fixed=_BERT_FIXED,
        words="embeddings.word_embeddings.weight", layer=_bert_layer(_BERT_ATTENTION),
        type_table="embeddings.token_type_embeddings.weight",
    ),
    Family(
        name="RoBERTa", types=("roberta", "xlm-roberta", "camembert"), prefix="roberta.",
        sizes=_sizes(50265, 512, **_TYPES), fixed=_BERT_FIXED, words="embeddings.word_embeddings.weight",
        layer=_bert_layer(_BERT_ATTENTION), type_table="embeddings.token_type_embeddings.weight",
        first_position=_behind_padding,
    ),
    Family(
        name="DistilBERT", types=("distilbert",), prefix="distilbert.",
        sizes=_sizes(
            30522, 512, hidden=("dim", 768), intermediate=("hidden_dim", 3072), heads=("n_heads", 12),
            layers=("n_layers", 6),
        ),
        fixed={"activation": ("gelu",)}, words="embeddings.word_embeddings.weight", eps=("", 1e-12),
        harmless=frozenset({
            "dropout", "attention_dropout", "qa_dropout", "seq_classif_dropout", "sinusoidal_pos_embds",
        }),
        layer={own: Part(f"transformer.layer.{{}}.{theirs}") for own, theirs in {
            "query": "attention.q_lin", "key": "attention.k_lin", "value": "attention.v_lin",
            "output": "attention.out_lin", "attention_norm": "sa_layer_norm", "up": "ffn.lin1", "down": "ffn.lin2",
            "ffn_norm": "output_layer_norm",
        }.items()},
    ),
    Family(
        name="MPNet", types=("mpnet",), prefix="mpnet.", sizes=_sizes(30527, 512),
        fixed={**_BERT_FIXED, "relative_attention_num_buckets": (32,)},
        words="embeddings.word_embeddings.weight", relative="encoder.relative_attention_bias.weight",
        architecture=_mpnet,
        # its code says so, whatever config.json calls padding
        first_position=lambda path, config: 2,
        layer=_bert_layer({
            "query": "attention.attn.q", "key": "attention.attn.k", "value": "attention.attn.v",
            "output": "attention.attn.o", "attention_norm": "attention.LayerNorm",
        }),
    ),
    Family(
        name="ModernBERT", types=("modernbert",), prefix="model.",
        sizes=_sizes(50368, 8192, intermediate=("intermediate_size", 1152), layers=("num_hidden_layers", 22)),
        fixed={"hidden_activation": ("gelu",), "position_embedding_type": ("absolute", None)},
        words="embeddings.tok_embeddings.weight", embedding_norm="embeddings.norm", position_table=None,
        last_norm="final_norm", eps=("norm_eps", 1e-5), architecture=_modernbert,
        harmless=frozenset({
            "attention_bias", "attention_dropout", "classifier_activation", "classifier_bias", "classifier_pooling",
            "decoder_bias", "deterministic_flash_attn", "embedding_dropout", "global_attn_every_n_layers",
            "global_rope_theta", "initializer_cutoff_factor", "layer_types", "local_attention", "local_rope_theta",
            "mlp_bias", "mlp_dropout", "norm_bias", "reference_compile", "repad_logits_with_grad", "rope_parameters",
            "rope_scaling", "sparse_pred_ignore_index", "sparse_prediction",
        }),
        layer={own: Part(f"layers.{{}}.{name}", place, parts) for own, name, place, parts in (
            ("query", "attn.Wqkv", 0, 3), ("key", "attn.Wqkv", 1, 3), ("value", "attn.Wqkv", 2, 3),
            ("output", "attn.Wo", 0, 1), ("attention_norm", "attn_norm", 0, 1), ("gate", "mlp.Wi", 0, 2),
            ("up", "mlp.Wi", 1, 2), ("down", "mlp.Wo", 0, 1), ("ffn_norm", "mlp_norm", 0, 1),
        )},
    ),
    Family(
        name="Gemma 3", types=("gemma3_text",), prefix="model.",
        sizes=_sizes(262208, 131072, heads=("num_attention_heads", 8), layers=("num_hidden_layers", 26)),
        fixed={
            "hidden_activation": ("gelu_pytorch_tanh",), "use_bidirectional_attention": (True,),
            "attn_logit_softcapping": (None,), "num_key_value_heads": (1,), "attention_bias": (False,),
        },
        words="embed_tokens.weight", embedding_norm="", position_table=None, last_norm="norm",
        eps=("rms_norm_eps", 1e-6), architecture=_gemma, norm_offset=1.0, scaled_words=True,
        harmless=frozenset({
            "attention_bias", "attention_dropout", "final_logit_softcapping", "head_dim", "layer_types",
            "query_pre_attn_scalar", "rope_local_base_freq", "rope_parameters", "rope_scaling", "rope_theta",
            "sliding_window", "sliding_window_pattern", "_sliding_window_pattern",
        }),
        layer={own: Part(f"layers.{{}}.{name}") for own, name in {
            "query": "self_attn.q_proj", "key": "self_attn.k_proj", "value": "self_attn.v_proj",
            "output": "self_attn.o_proj", "query_norm": "self_attn.q_norm", "key_norm": "self_attn.k_norm",
            "attention_norm": "input_layernorm", "attended_norm": "post_attention_layernorm",
            "ffn_norm": "pre_feedforward_layernorm", "fed_norm": "post_feedforward_layernorm",
            "gate": "mlp.gate_proj", "up": "mlp.up_proj", "down": "mlp.down_proj",
        }.items()},
    ),
)  # fmt: skip


def family_of(folder: Path, kind: Any) -> Family:
    """The family that config.json's model_type names. Raises `ForeignModel`."""
    for family in FAMILIES:
        if kind in family.types:
            return family
    known = ", ".join(kind for family in FAMILIES for kind in family.types)
    raise ForeignModel(f"{folder} is a '{kind!s:.40}' model; edgexl imports {known} and static models.")

"""Every layout and setting that is imported, against sentence-transformers on 200 texts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from edgexl.base.fetch import cache_directory
from edgexl.student.encode import encode_vectors
from edgexl.student.importer import import_sentence_transformer, locate_model
from tests.student.importing.conftest import (
    Change,
    both,
    edit,
    make_bert,
    make_texts,
    remove,
    weights,
    write,
    write_vocabulary,
)

ST = "sentence_transformers"
OLD_POOLING = {
    "word_embedding_dimension": 32, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True,
    "pooling_mode_max_tokens": False, "pooling_mode_mean_sqrt_len_tokens": False,
}  # fmt: skip
OLD_MODULES = [
    {"idx": 0, "name": "0", "path": "", "type": f"{ST}.models.Transformer"},
    {"idx": 1, "name": "1", "path": "1_Pooling", "type": f"{ST}.models.Pooling"},
]
OLD_LENGTHS = {"max_seq_length": 32, "do_lower_case": False}


def lay_out_as(folder: str, lengths: str = "sentence_bert_config.json") -> Change:
    """As sentence-transformers 1 and 2 wrote a model: the encoder in a folder of its own."""

    def apply(directory: Path) -> None:
        (directory / folder).mkdir()
        for path in list(directory.iterdir()):
            if path.is_file() and path.name not in ("modules.json", "config_sentence_transformers.json"):
                path.rename(directory / folder / path.name)
        (directory / folder / "sentence_bert_config.json").unlink()
        (directory / folder / lengths).write_text(json.dumps(OLD_LENGTHS))
        modules = [OLD_MODULES[0] | {"path": folder}, OLD_MODULES[1]]
        (directory / "modules.json").write_text(json.dumps(modules))
        (directory / "1_Pooling" / "config.json").write_text(json.dumps(OLD_POOLING))
        (directory / "config_sentence_transformers.json").unlink()

    return apply


def shard(directory: Path) -> None:
    from transformers import BertModel

    model = BertModel.from_pretrained(directory)
    (directory / "model.safetensors").unlink()
    model.save_pretrained(directory, max_shard_size="40KB")
    assert len(list(directory.glob("model-*.safetensors"))) > 2
    assert not (directory / "model.safetensors").exists()


def cast(dtype: torch.dtype) -> Change:
    return both(
        weights(lambda tensors: {name: value.to(dtype) for name, value in tensors.items()}),
        edit("config.json", dtype=str(dtype).removeprefix("torch.")),
    )


def with_head(directory: Path) -> None:
    from transformers import BertForMaskedLM, BertModel

    bert = BertModel.from_pretrained(directory, add_pooling_layer=False)
    model = BertForMaskedLM(bert.config)
    model.bert = bert
    model.save_pretrained(directory)


def rename(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    old = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    for new, name in old.items():
        tensors = {key.replace(new, name): value for key, value in tensors.items()}
    return tensors


def resize(**settings: Any) -> Change:
    """Other weights, for another shape."""
    return lambda directory: make_bert(**settings).save_pretrained(directory)


def dense(*outputs: int, bias: bool = True, normalise_before: bool = False) -> Change:
    """Dense modules behind the pooling, with a Normalize module before or after them."""

    def apply(directory: Path) -> None:
        modules = json.loads((directory / "modules.json").read_text())
        normalise = modules.pop()
        if normalise_before:
            modules.append(normalise)
        width = 32
        for place, size in enumerate(outputs):
            path = directory / f"{2 + place}_Dense"
            path.mkdir(exist_ok=True)
            config = {"in_features": width, "out_features": size, "bias": bias}
            (path / "config.json").write_text(
                json.dumps(config | {"activation_function": "torch.nn.modules.linear.Identity"})
            )
            tensors = {"linear.weight": torch.randn(size, width)} | ({"linear.bias": torch.randn(size)} if bias else {})
            save_file(tensors, path / "model.safetensors")
            modules.append({"idx": 2, "name": f"d{place}", "path": path.name, "type": f"{ST}.models.Dense"})
            width = size
        modules = modules if normalise_before else [*modules, normalise]
        (directory / "modules.json").write_text(json.dumps(modules))

    return apply


def add_module(kind: str, config: dict[str, Any]) -> Change:
    def apply(directory: Path) -> None:
        modules = json.loads((directory / "modules.json").read_text())
        modules.insert(2, {"idx": 9, "name": "9", "path": "9_Extra", "type": f"{ST}.models.{kind}"})
        (directory / "modules.json").write_text(json.dumps(modules))
        (directory / "9_Extra").mkdir()
        (directory / "9_Extra" / "config.json").write_text(json.dumps(config))

    return apply


def vocabulary_alone(directory: Path) -> None:
    (directory / "tokenizer.json").unlink()
    write_vocabulary(directory)


def leave_padding(directory: Path) -> None:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    tokenizer.enable_padding(length=30)
    tokenizer.enable_truncation(5)
    tokenizer.save(str(directory / "tokenizer.json"))


TOKEN = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
VARIANTS: dict[str, Change] = {
    "5.7": lambda directory: None,
    "pooling mode in a list": edit("1_Pooling/config.json", pooling_mode=["mean"]),
    "first token": edit("1_Pooling/config.json", pooling_mode="cls"),
    "prompts not pooled": edit("1_Pooling/config.json", include_prompt=False),
    "old pooling": write("1_Pooling/config.json", OLD_POOLING),
    "old pooling by first token": write(
        "1_Pooling/config.json", OLD_POOLING | {"pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True}
    ),
    "old pooling by default": write("1_Pooling/config.json", OLD_POOLING | {"pooling_mode_mean_tokens": False}),
    "old modules": write("modules.json", OLD_MODULES),
    "0_Transformer": lay_out_as("0_Transformer"),
    "0_BERT": lay_out_as("0_BERT"),
    "lengths by another name": lay_out_as("0_Transformer", "sentence_roberta_config.json"),
    "a plain encoder": remove("modules.json", "1_Pooling", "config_sentence_transformers.json"),
    "shards": shard,
    "fp16": cast(torch.float16),
    "bf16": cast(torch.bfloat16),
    "fp64": cast(torch.float64),
    "with a head": with_head,
    "gamma and beta": weights(rename),
    "max_seq_length": write("sentence_bert_config.json", {"max_seq_length": 8, "do_lower_case": False}),
    "max_seq_length over the tokenizer's": both(
        write("sentence_bert_config.json", {"max_seq_length": 12, "do_lower_case": False}),
        edit("tokenizer_config.json", model_max_length=6),
    ),
    "model_max_length": edit("tokenizer_config.json", model_max_length=8),
    "do_lower_case": write("sentence_bert_config.json", {"max_seq_length": 32, "do_lower_case": True}),
    "do_lower_case without accents": both(
        write("sentence_bert_config.json", {"max_seq_length": 32, "do_lower_case": True}),
        edit("tokenizer_config.json", strip_accents=True),
    ),
    "lower case by the tokenizer's settings": edit("tokenizer_config.json", do_lower_case=True),
    "lower case by the tokenizer's default": edit("tokenizer_config.json", do_lower_case=...),
    "lower case with accents": edit("tokenizer_config.json", do_lower_case=True, strip_accents=False),
    "Chinese characters in words": edit("tokenizer_config.json", tokenize_chinese_chars=False),
    "a generic tokenizer": edit("tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast", do_lower_case=True),
    "vocab.txt": vocabulary_alone,
    "vocab.txt in lower case": both(vocabulary_alone, edit("tokenizer_config.json", do_lower_case=True)),
    "no tokenizer_config": both(remove("tokenizer_config.json"), edit("config.json", tokenizer_class=...)),
    "an added token": edit(
        "tokenizer_config.json",
        added_tokens_decoder={"5": TOKEN | {"content": "Ba"}, "4": TOKEN | {"content": "[MASK]", "lstrip": True}},
    ),
    "padding left in": leave_padding,
    "a dense module": dense(24),
    "two dense modules": dense(24, 16),
    "a dense module without bias": dense(24, bias=False),
    "a dense module behind normalisation": dense(24, bias=False, normalise_before=True),
    "a dense module with a bias behind normalisation": dense(24, normalise_before=True),
    "a dense module with tanh by default": both(dense(24), edit("2_Dense/config.json", activation_function=...)),
    "dense modules with activations": both(
        dense(24, 20, 16),
        *(
            edit(f"{2 + place}_Dense/config.json", activation_function=f"torch.nn.modules.activation.{name}")
            for place, name in enumerate(("GELU", "Sigmoid", "ReLU"))
        ),
    ),
    "the largest of each dimension": edit("1_Pooling/config.json", pooling_mode="max"),
    "a weighted mean": edit("1_Pooling/config.json", pooling_mode="weightedmean"),
    "the last token": edit("1_Pooling/config.json", pooling_mode="lasttoken"),
    "a mean by the root": both(edit("1_Pooling/config.json", pooling_mode="mean_sqrt_len_tokens"), dense(24)),
    "truncated": edit("config_sentence_transformers.json", truncate_dim=8),
    "truncated behind a dense module": both(dense(24), edit("config_sentence_transformers.json", truncate_dim=8)),
    "dropout": add_module("Dropout", {"dropout": 0.5}),
    "another epsilon": edit("config.json", layer_norm_eps=0.05),
    "gelu in Python": edit("config.json", hidden_act="gelu_python"),
    "one token type": resize(type_vocab_size=1),
    "settings without effect": edit(
        "config.json", chunk_size_feed_forward=1, pad_token_id=7, hidden_dropout_prob=0.9, num_labels=7
    ),
    "prompts for tasks": edit("config_sentence_transformers.json", prompts={"classification": "classify: "}),
    "dot products of unit vectors": edit("config_sentence_transformers.json", similarity_fn_name="dot"),
}  # fmt: skip


def expected_vectors(directory: Path, texts: list[str]) -> np.ndarray:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(directory), device="cpu", model_kwargs={"dtype": torch.float32})
    return np.asarray(model.encode(texts, normalize_embeddings=True, show_progress_bar=False))


def least_cosine(directory: Path, texts: list[str]) -> float:
    imported = import_sentence_transformer(directory)
    ours = encode_vectors(imported.screener, imported.tokenizer, texts)
    return float((ours.numpy() * expected_vectors(directory, texts)).sum(1).min())


@pytest.mark.parametrize("change", VARIANTS.values(), ids=VARIANTS.keys())
def test_a_variant_gives_what_sentence_transformers_gives(model: Path, change: Change) -> None:
    change(model)
    assert least_cosine(model, make_texts()) >= 0.9999


def test_the_variants_differ_where_a_setting_counts(model: Path) -> None:
    """Or the texts could not tell whether it was applied."""
    texts = make_texts()
    before = expected_vectors(model, texts)
    for name in ("first token", "max_seq_length", "do_lower_case", "lower case with accents", "another epsilon"):
        directory = Path(shutil.copytree(model, model.parent / name))
        VARIANTS[name](directory)
        assert (before * expected_vectors(directory, texts)).sum(1).min() < 0.999, name


def test_minilm_as_the_newest_layout_describes_it(tmp_path: Path) -> None:
    """Real weights and tokenizer under what sentence-transformers 5.4 and newer write."""
    directory = Path(shutil.copytree(locate_model("all-MiniLM-L6-v2"), tmp_path / "minilm"))
    assert locate_model("all-MiniLM-L6-v2").is_relative_to(cache_directory())
    newest = {"embedding_dimension": 384, "pooling_mode": "mean", "include_prompt": True}
    (directory / "1_Pooling" / "config.json").write_text(json.dumps(newest))
    base, kinds = f"{ST}.base.modules.transformer.Transformer", f"{ST}.sentence_transformer.modules"
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": base},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": f"{kinds}.pooling.Pooling"},
        {"idx": 2, "name": "2", "path": "2_Normalize", "type": f"{kinds}.normalize.Normalize"},
    ]
    (directory / "modules.json").write_text(json.dumps(modules))
    text = {"method": "forward", "method_output_name": "last_hidden_state"}
    lengths = {"transformer_task": "feature-extraction", "modality_config": {"text": text}}
    (directory / "sentence_bert_config.json").write_text(
        json.dumps(lengths | {"module_output_name": "token_embeddings"})
    )
    assert least_cosine(directory, [*make_texts()[:40], "A dog that is used to herd sheep.", "Café"]) >= 0.9999

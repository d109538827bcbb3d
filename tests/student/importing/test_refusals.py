"""What is damaged, and what edgexl does not have, is refused in one sentence that names it."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from edgexl.base.errors import BadInput
from edgexl.student.importer import ForeignModel, import_sentence_transformer
from tests.student.importing.conftest import Change, both, edit, remove, weights, write
from tests.student.importing.test_variants import OLD_POOLING, ST, add_module, dense, shard, vocabulary_alone

WORDS = "embeddings.word_embeddings.weight"


def cut(name: str, share: float = 0.7) -> Change:
    def apply(directory: Path) -> None:
        content = (directory / name).read_bytes()
        (directory / name).write_bytes(content[: int(len(content) * share)])

    return apply


def spoil(row: int, value: float) -> Change:
    def change(tensors: dict[str, torch.Tensor]) -> None:
        tensors[WORDS][row, 3] = value

    return weights(change)


def lose(lost: str) -> Change:
    return weights(lambda tensors: {name: value for name, value in tensors.items() if name != lost})


def cast_one(name: str, dtype: torch.dtype) -> Change:
    return weights(lambda tensors: {**tensors, name: tensors[name].to(dtype)})


def shards(change: Any) -> Change:
    """Change a sharded model's index."""

    def apply(directory: Path) -> None:
        shard(directory)
        path = directory / "model.safetensors.index.json"
        index = json.loads(path.read_text())
        change(index["weight_map"])
        path.write_text(json.dumps(index))

    return apply


def twice_in_shards(directory: Path) -> None:
    shard(directory)
    first, second = sorted(directory.glob("model-*.safetensors"))[:2]
    tensors = load_file(first)
    save_file(load_file(second) | {name: tensors[name] for name in list(tensors)[:1]}, second)


def lose_a_shard(directory: Path) -> None:
    shard(directory)
    next(directory.glob("model-*.safetensors")).unlink()


def model_of(kind: str) -> Change:
    """tokenizer.json with another model."""

    def apply(directory: Path) -> None:
        spec = json.loads((directory / "tokenizer.json").read_text())
        names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a"]
        if kind == "BPE":
            spec["model"] = {"type": "BPE", "vocab": {name: place for place, name in enumerate(names)}, "merges": []}
        else:
            spec["model"] = {"type": "Unigram", "unk_id": 1, "vocab": [[name, -1.0] for name in names]}
        spec["added_tokens"] = [entry for entry in spec["added_tokens"] if entry["id"] < 5]
        (directory / "tokenizer.json").write_text(json.dumps(spec))

    return apply


def tokenizer_with(**parts: Any) -> Change:
    def apply(directory: Path) -> None:
        spec = json.loads((directory / "tokenizer.json").read_text()) | parts
        (directory / "tokenizer.json").write_text(json.dumps(spec))

    return apply


def config(**changes: Any) -> Change:
    return edit("config.json", **changes)


def lengths(**changes: Any) -> Change:
    return edit("sentence_bert_config.json", **changes)


def about(**changes: Any) -> Change:
    return edit("config_sentence_transformers.json", **changes)


def foreign_module(kind: str) -> Change:
    def apply(directory: Path) -> None:
        modules = json.loads((directory / "modules.json").read_text())
        modules[0]["type"] = kind
        (directory / "modules.json").write_text(json.dumps(modules))

    return apply


NORMALIZED = {"content": "ba", "normalized": True, "lstrip": True, "special": False}
LOWERCASE = {"type": "Lowercase"}

FOREIGN: dict[str, tuple[Change, str]] = {
    "albert": (config(model_type="albert"), "is a 'albert' model; edgexl imports bert, roberta, xlm"),
    "no type": (config(model_type=...), "is a 'None' model"),
    "gelu_new": (config(hidden_act="gelu_new"), "hidden_act is 'gelu_new'"),
    "relu": (config(hidden_act="relu"), "hidden_act is 'relu'"),
    "relative": (config(position_embedding_type="relative_key"), "position_embedding_type is 'relative_key'"),
    "decoder": (config(is_decoder=True), "is_decoder is True"),
    "cross": (config(add_cross_attention=True), "add_cross_attention is True"),
    "quantised": (config(quantization_config={"bits": 4}), "quantization_config is"),
    "pruned": (config(pruned_heads={"0": [1]}), "pruned_heads is"),
    "code": (config(auto_map={"AutoModel": "modeling.Bert"}), "auto_map is"),
    "width": (config(embedding_size=16), "embedding_size is 16"),
    "adapter": (write("adapter_config.json", {}), "adapter_config.json, an adapter"),
    "own module": (foreign_module("custom_module.Transformer"), "'custom_module.Transformer', which is Python code"),
    "look-alike": (foreign_module("sentence_transformers_x.Transformer"), "is Python code of the model's own"),
    "no pooling": (write("modules.json", [{"path": "", "type": f"{ST}.models.Transformer"}]), "has no Pooling module"),
    "layer norm": (add_module("LayerNorm", {"dimension": 32}), "has a 'LayerNorm' module"),
    "two poolings": (add_module("Pooling", OLD_POOLING), "has a 'Pooling' module"),
    "two modes": (edit("1_Pooling/config.json", pooling_mode=["mean", "cls"]), "pools by mean, cls"),
    "a mode to come": (edit("1_Pooling/config.json", pooling_mode="attention"), "pools by attention"),
    "a mode of no kind": (edit("1_Pooling/config.json", pooling_mode=3), "pools by 3"),
    "old max": (write("1_Pooling/config.json", OLD_POOLING | {"pooling_mode_max_tokens": True}), "pools by max, mean"),
    "old to come": (write("1_Pooling/config.json", {"pooling_mode_next_tokens": True}), "pools by pooling_mode_next"),
    "softmax": (
        both(dense(8), edit("2_Dense/config.json", activation_function="torch.nn.modules.activation.Softmax")),
        "activation torch.nn.modules.activation.Softmax",
    ),
    "its own activation": (both(dense(8), edit("2_Dense/config.json", activation_function="own.Tanh")), "own.Tanh"),
    "dense of tokens": (
        both(dense(8), edit("2_Dense/config.json", module_input_name="token_embeddings")), "module_input_name"
    ),
    "prompts not pooled": (
        both(about(prompts={"query": "find: "}), edit("1_Pooling/config.json", include_prompt=False)),
        "out of the pooling",
    ),
    "dot product": (
        both(about(similarity_fn_name="dot"), lambda directory: edit_modules(directory, slice(2))),
        "similarity_fn_name is 'dot'",
    ),
    "manhattan": (about(similarity_fn_name="manhattan"), "similarity_fn_name is 'manhattan'"),
    "sparse": (about(model_type="SparseEncoder"), "model_type is 'SparseEncoder'"),
    "task": (lengths(transformer_task="fill-mask"), "transformer_task is 'fill-mask'"),
    "pooler": (lengths(modality_config={"text": {"method": "pool"}}), "'modality_config' is"),
    "processing": (lengths(processing_kwargs={"text": {"max_length": 4}}), "'processing_kwargs' is"),
    "arguments": (lengths(tokenizer_args={"do_lower_case": True}), "'tokenizer_args' is"),
    "too short": (lengths(max_seq_length=2), "reads 2 tokens"),
    "int8": (cast_one(WORDS, torch.int8), f"'{WORDS}' is stored as torch.int8"),
    "BPE": (model_of("BPE"), "model BPE has a pre-tokenizer"),
    "Unigram": (model_of("Unigram"), "model Unigram has a pre-tokenizer"),
    "normalizers": (tokenizer_with(normalizer={"type": "ByteLevel"}), "is ByteLevel"),
    "splits": (tokenizer_with(pre_tokenizer={"type": "Whitespace"}), "is Whitespace"),
    "normalized token": (edit("tokenizer_config.json", added_tokens_decoder={"6": NORMALIZED}), "normalized=true"),
    "left": (edit("tokenizer_config.json", truncation_side="left"), "truncation_side is 'left'"),
    "Japanese": (edit("tokenizer_config.json", tokenizer_class="BertJapaneseTokenizer"), "BertJapaneseTokenizer"),
    "tokenizer code": (edit("tokenizer_config.json", auto_map={"AutoTokenizer": ["a.B", None]}), "a tokenizer of"),
    "older added token": (write("added_tokens.json", {"<new>": 180}), "adds '<new>'"),
}  # fmt: skip


def edit_modules(directory: Path, kept: slice) -> None:
    modules = json.loads((directory / "modules.json").read_text())
    (directory / "modules.json").write_text(json.dumps(modules[kept]))


DAMAGED: dict[str, tuple[Change, str]] = {
    "cut tokenizer": (cut("tokenizer.json"), "tokenizer.json is not a Hugging Face tokenizer"),
    "tokenizer of nothing": (write("tokenizer.json", b""), "tokenizer.json is not a Hugging Face tokenizer"),
    "tokenizer in UTF-16": (write("tokenizer.json", b"\xff\xfe{\0"), "it is not UTF-8"),
    "tokenizer of brackets": (write("tokenizer.json", b"[" * 3000), "is not a Hugging Face tokenizer"),
    "no tokenizer": (remove("tokenizer.json", "vocab.txt"), "has no tokenizer.json"),
    "cut vocabulary": (both(vocabulary_alone, write("vocab.txt", b"[PAD]\n[UNK]\nba\n")), r"has no line '\[CLS\]'"),
    "vocabulary in Latin-1": (both(vocabulary_alone, write("vocab.txt", b"\xe9\n")), "vocab.txt is not UTF-8"),
    "cut weights": (cut("model.safetensors"), "model.safetensors is not a sound weight file"),
    "no weights": (write("model.safetensors", b""), "model.safetensors is not a sound weight file"),
    "a pickle": (
        lambda directory: (directory / "model.safetensors").rename(directory / "pytorch_model.bin"), "never read"
    ),
    "cut config": (cut("config.json"), "config.json is not readable JSON"),
    "cut modules": (cut("modules.json"), "modules.json is not readable JSON"),
    "cut pooling": (cut("1_Pooling/config.json"), "1_Pooling/config.json is not readable JSON"),
    "cut lengths": (cut("sentence_bert_config.json"), "sentence_bert_config.json is not readable JSON"),
    "cut prompts": (cut("config_sentence_transformers.json"), "config_sentence_transformers.json is not readable JSON"),
    "cut settings": (cut("tokenizer_config.json"), "tokenizer_config.json is not readable JSON"),
    "brackets": (write("config.json", b"[" * 3000 + b"]" * 3000), "config.json is not readable JSON"),
    "config of another kind": (write("config.json", [1]), "config.json holds list"),
    "no config": (remove("config.json"), "has no config.json"),
    "no pooling config": (remove("1_Pooling"), "1_Pooling/config.json is missing"),
    "modules of another kind": (write("modules.json", {"0": "Transformer"}), "is not a list of modules"),
    "modules outside": (
        write("modules.json", [{"path": "../other", "type": f"{ST}.models.Transformer"}]), "names '../other'"
    ),
    "a pooling that nothing names": (
        both(remove("modules.json"), edit("1_Pooling/config.json", pooling_mode="cls")), "no modules.json"
    ),
    "NaN": (spoil(9, torch.nan), f"'{WORDS}', row 9, holds numbers that are not finite"),
    "infinity": (spoil(11, torch.inf), f"'{WORDS}', row 11, holds numbers that are not finite"),
    "overflow": (spoil(12, 3e38), f"'{WORDS}', row 12, holds 3e.38"),
    "twice": (weights(lambda tensors: tensors | {f"bert.{WORDS}": tensors[WORDS].clone()}), f"'{WORDS}' twice"),
    "lacking": (lose(WORDS), f"lacks the tensor '{WORDS}'"),
    "larger": (config(vocab_size=181), r"is \[180, 32\], but its config.json makes it \[181, 32\]"),
    "smaller": (config(vocab_size=5), "the tokenizer gives ids up to"),
    "positions": (config(max_position_embeddings=41), "position_embeddings.weight' is"),
    "layers": (config(num_hidden_layers=3), "lacks the tensor 'encoder.layer.2"),
    "heads": (config(num_attention_heads=5), "not a multiple of num_attention_heads"),
    "a size in words": (config(hidden_size="32"), "'hidden_size' is '32'; expected a whole number"),
    "a size of nothing": (config(num_hidden_layers=None), "'num_hidden_layers' is None"),
    "a huge size": (config(vocab_size=10**400), "'vocab_size' is 1000"),
    "a size that lies": (config(vocab_size=2**31 - 1), r"but its config.json makes it|word vectors"),
    "layers that lie": (config(num_hidden_layers=10**9), "layer|tensors"),
    "epsilon": (config(layer_norm_eps=0), "'layer_norm_eps' is 0"),
    "length": (lengths(max_seq_length="8"), "'max_seq_length' is '8'"),
    "case": (lengths(do_lower_case="yes"), "'do_lower_case' is 'yes'"),
    "no such prompt": (about(default_prompt_name="other"), "default_prompt_name is 'other'"),
    "prompts of another kind": (about(prompts=["a"]), "'prompts' must name texts"),
    "ids of added tokens": (
        edit("tokenizer_config.json", added_tokens_decoder={"9": {"content": "[MASK]", "special": True}}), "is not id 9"
    ),
    "shard outside": (
        shards(lambda places: places.update({WORDS: "../model.safetensors"})), "'../model.safetensors', which is no"
    ),
    "absolute shard": (shards(lambda places: places.update({WORDS: "/etc/passwd"})), "names '/etc/passwd'"),
    "pickled shard": (shards(lambda places: places.update({WORDS: "a.bin"})), "'a.bin', which is no safetensors file"),
    "shard of no kind": (shards(lambda places: places.update({WORDS: [1]})), "which is no safetensors file"),
    "lost shard": (lose_a_shard, "which is missing"),
    "wrong shard": (shards(lambda places: places.update({"x": places[WORDS]})), "places the tensor 'x' in"),
    "a tensor in two shards": (twice_in_shards, "twice"),
    "an empty index": (both(remove("model.safetensors"), write("model.safetensors.index.json", {})), "no 'weight_map'"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "sentence"), FOREIGN.values(), ids=FOREIGN.keys())
def test_what_edgexl_does_not_have_is_refused_by_its_name(model: Path, change: Change, sentence: str) -> None:
    change(model)
    with pytest.raises(ForeignModel, match=sentence) as caught:
        import_sentence_transformer(model)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(("change", "sentence"), DAMAGED.values(), ids=DAMAGED.keys())
def test_what_is_damaged_is_refused_in_one_sentence(model: Path, change: Change, sentence: str) -> None:
    change(model)
    with pytest.raises(BadInput, match=sentence) as caught:
        import_sentence_transformer(model)
    assert "\n" not in str(caught.value)
    assert str(model) in str(caught.value)
    assert len(str(caught.value)) < 500


def test_prompts_are_passed_over_where_the_caller_says_so(model: Path) -> None:
    about(prompts={"query": "query: "}, default_prompt_name="query")(model)
    assert import_sentence_transformer(model, prompts="ignore").screener.config.max_tokens == 40


def test_what_nobody_knows_is_said_in_a_line(model: Path, caplog: pytest.LogCaptureFixture) -> None:
    import_sentence_transformer(model)
    assert not caplog.records
    both(
        config(attention_sink=True),
        lengths(pad_to=8, model_args={}, tokenizer_args=None, padding_side=None, unpad_inputs=True),
        weights(lambda tensors: tensors | {"encoder.layer.7.x": torch.ones(1), "cls.y": torch.ones(1)}),
    )(model)
    with caplog.at_level(logging.WARNING):
        import_sentence_transformer(model)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 3
    assert sum("edgexl does not know 'pad_to'" in line for line in said) == 1
    assert sum("'attention_sink'" in line for line in said) == 1
    assert "'encoder.layer.7.x' (1 such)" in said[2]

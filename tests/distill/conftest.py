"""A data set, a teacher and a recipe small enough to distil in seconds, all made in code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from edgexl.data import write_dataset
from tests.tiny import tiny_labels, tiny_queries, tiny_tokenizer

LAYERS, WIDTH, FFN, POSITIONS = 3, 32, 64, 24


def write_teacher(directory: Path, seed: int = 0) -> Path:
    """A sentence-transformers directory with a random BERT in it: word vectors large, layers small."""
    directory.mkdir(parents=True)
    tokenizer = tiny_tokenizer()
    tokenizer.enable_padding(length=20)  # as real ones come: the importer must take it off
    tokenizer.save(str(directory / "tokenizer.json"))
    config = {
        "model_type": "bert", "hidden_act": "gelu", "vocab_size": 1026, "hidden_size": WIDTH, "layer_norm_eps": 1e-12,
        "intermediate_size": FFN, "num_attention_heads": 2, "num_hidden_layers": LAYERS,
        "max_position_embeddings": POSITIONS,
    }  # fmt: skip
    (directory / "config.json").write_text(json.dumps(config))
    kinds = [("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2_Normalize")]
    modules = [
        {"idx": i, "path": path, "type": f"sentence_transformers.models.{kind}"} for i, (kind, path) in enumerate(kinds)
    ]
    (directory / "modules.json").write_text(json.dumps(modules))
    (directory / "1_Pooling").mkdir()
    (directory / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_mean_tokens": True}))
    draw = torch.Generator().manual_seed(seed)

    def normal(*shape: int, std: float) -> torch.Tensor:
        return torch.randn(*shape, generator=draw) * std

    tensors = {
        "embeddings.word_embeddings.weight": normal(1026, WIDTH, std=1.0),
        "embeddings.position_embeddings.weight": normal(POSITIONS, WIDTH, std=0.02),
        "embeddings.token_type_embeddings.weight": normal(2, WIDTH, std=0.02),
        "embeddings.LayerNorm.weight": torch.ones(WIDTH),
        "embeddings.LayerNorm.bias": torch.zeros(WIDTH),
    }
    sizes = {
        "attention.self.query": (WIDTH, WIDTH), "attention.self.key": (WIDTH, WIDTH),
        "attention.self.value": (WIDTH, WIDTH), "attention.output.dense": (WIDTH, WIDTH),
        "intermediate.dense": (FFN, WIDTH), "output.dense": (WIDTH, FFN),
    }  # fmt: skip
    for layer in range(LAYERS):
        for name, (rows, columns) in sizes.items():
            tensors[f"encoder.layer.{layer}.{name}.weight"] = normal(rows, columns, std=0.05)
            tensors[f"encoder.layer.{layer}.{name}.bias"] = normal(rows, std=0.05)
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            tensors[f"encoder.layer.{layer}.{name}.weight"] = torch.ones(WIDTH)
            tensors[f"encoder.layer.{layer}.{name}.bias"] = torch.zeros(WIDTH)
    save_file(tensors, directory / "model.safetensors")
    return directory


RECIPE = """
data = "{data}"
teacher = "{teacher}"
[student]
teacher_layers = [0, 2]
max_tokens = 16
query_dims = 24
word_dims = 16
shortlist = 16
label_tokens = 4
reasoner_dims = 32
reasoner_ffn_dims = 32
reasoner_heads = 2
reasoner_layers = 1
token_dims = 8

[split]
reasoning_share = 0.4
calibration = 60
development = 60
evaluation = 100
[screening]
steps = {screening}
batch = 32
random_labels = 32
learning_rate = 2e-3
[reasoning]
steps = {reasoning}
batch = 32
learning_rate = 3e-3
leading_dims = 16
"""


@pytest.fixture
def tiny_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipe over 300 labels; the cache is the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    labels = tiny_labels()
    trn = [query for word in (0, 1) for query in tiny_queries(labels, 300, word)]
    write_dataset(tmp_path / "data", labels, trn, tiny_queries(labels, 150, 2), "made in code")
    write_teacher(tmp_path / "teacher")
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE.format(data=tmp_path / "data", teacher=tmp_path / "teacher", screening=60, reasoning=60))
    return path

"""The sizes of a config.json, and what it leaves out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import BertConfig

from edgexl.base.errors import BadInput
from edgexl.student.importing.settings import read_sizes

KEYS = (
    "vocab_size", "hidden_size", "intermediate_size", "num_attention_heads", "num_hidden_layers",
    "max_position_embeddings", "type_vocab_size", "layer_norm_eps",
)  # fmt: skip
NAMES = ("vocabulary", "hidden", "intermediate", "heads", "layers", "positions", "types", "eps")


def sizes_of(directory: Path, **config: Any) -> tuple[Any, ...]:
    (directory / "config.json").write_text(json.dumps({"model_type": "bert", **config}))
    found = read_sizes(directory)[0]
    return tuple(getattr(found, name) for name in NAMES)


def test_what_is_left_out_is_berts_own(tmp_path: Path) -> None:
    assert sizes_of(tmp_path) == tuple(getattr(BertConfig(), key) for key in KEYS)
    told = dict(zip(KEYS, (11, 12, 13, 3, 5, 6, 7, 0.5), strict=True))
    assert sizes_of(tmp_path, **told) == tuple(told.values())


@pytest.mark.parametrize("eps", [0, -0.5, 1, 1.5, True, "1e-12", None])
def test_an_epsilon_is_a_small_positive_number(eps: Any, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"'layer_norm_eps' is .* expected a small positive number"):
        sizes_of(tmp_path, layer_norm_eps=eps)

"""A tiny cased BERT, saved by sentence-transformers itself, for tests to change one thing of."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

WORDS = ("Ba", "ba", "be", "Bi", "bi", "bo", "BU", "bu", "de", "di", "fé", "fe", "go", "ku", "la", "Me", "me", "ne")
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZéèüÉÈÜ中文"


def make_texts() -> list[str]:
    """200 texts of known and unknown words, cases, accents, punctuation and lengths from 1 to 60 words."""
    draw = torch.Generator().manual_seed(0)
    words = [*WORDS, "Fé", "ÉDÉ", "xylo", "Zürich", "bu.", "(ba)", "中文ba", "[MASK]", "I\u0307", "e\u0301", "☃"]

    def number(end: int) -> int:
        return int(torch.randint(end, (1,), generator=draw))

    return [
        " ".join(words[number(len(words))] for _ in range(1 + number(60 if i % 20 == 0 else 7))) for i in range(200)
    ]


def write_vocabulary(folder: Path) -> Path:
    """BERT's vocab.txt."""
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *LETTERS, *(f"##{letter}" for letter in LETTERS)]
    path = folder / "vocab.txt"
    path.write_text("".join(f"{piece}\n" for piece in [*pieces, *"().,;"]), encoding="utf-8")
    return path


def make_bert(**sizes: Any) -> Any:
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=180, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48,
        max_position_embeddings=40, initializer_range=0.4, **sizes,
    )  # fmt: skip
    return BertModel(config).eval()


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What sentence-transformers saves of a cased BERT that is mean pooled and normalised."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from transformers import BertTokenizerFast

    folder = tmp_path_factory.mktemp("saved")
    make_bert().save_pretrained(folder / "plain")
    BertTokenizerFast(str(write_vocabulary(folder)), do_lower_case=False).save_pretrained(folder / "plain")
    modules = [Transformer(str(folder / "plain")), Pooling(32), Normalize()]
    SentenceTransformer(modules=modules, device="cpu").save(str(folder / "model"))
    return folder / "model"


@pytest.fixture
def model(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "model"))


Change = Callable[[Path], None]


def edit(name: str, **changes: Any) -> Change:
    """Change keys of a JSON file; `...` removes one. A file that is not there begins empty."""

    def apply(directory: Path) -> None:
        path = directory / name
        path.parent.mkdir(exist_ok=True)
        table = json.loads(path.read_text()) if path.exists() else {}
        table |= changes
        path.write_text(json.dumps({key: value for key, value in table.items() if value is not ...}))

    return apply


def write(name: str, value: Any) -> Change:
    """Write a file: bytes as they are, anything else as JSON."""

    def apply(directory: Path) -> None:
        path = directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(value if isinstance(value, bytes) else json.dumps(value).encode())

    return apply


def remove(*names: str) -> Change:
    def apply(directory: Path) -> None:
        for name in names:
            path = directory / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)  # transformers 5 saves no vocab.txt

    return apply


def weights(change: Callable[[dict[str, Tensor]], Any], name: str = "model.safetensors") -> Change:
    """Change the tensors, in place or for those that are returned."""

    def apply(directory: Path) -> None:
        tensors = load_file(directory / name)
        tensors = change(tensors) or tensors
        save_file(tensors, directory / name, metadata={"format": "pt"})

    return apply


def both(*changes: Change) -> Change:
    def apply(directory: Path) -> None:
        for change in changes:
            change(directory)

    return apply

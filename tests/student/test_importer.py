"""Importing sentence-transformers models: a tiny one made in code, and MiniLM from the package that carries it."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
import torch
from huggingface_hub import snapshot_download

from edgexl.base.errors import BadInput
from edgexl.base.fetch import cache_directory
from edgexl.student.encode import encode_vectors
from edgexl.student.importer import import_sentence_transformer, locate_model
from edgexl.student.importing import sources
from edgexl.student.screeners.transformer import TransformerScreener
from tests.distill.conftest import write_teacher
from tests.tiny import tiny_labels


def reference_vectors(directory: Path, texts: list[str]) -> torch.Tensor:
    """What the transformers library makes of a sentence-transformers directory: mean pooling, unit length."""
    from transformers import BertModel, PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(directory / "tokenizer.json"), pad_token="[PAD]")
    model = BertModel.from_pretrained(directory).eval()
    vectors = []
    for text in texts:
        tokens = tokenizer(text, return_tensors="pt", padding=False, truncation=False)
        with torch.no_grad():
            states = model(input_ids=tokens["input_ids"]).last_hidden_state[0]
        vectors.append(torch.nn.functional.normalize(states.mean(0), dim=0))
    return torch.stack(vectors)


def test_a_tiny_model_gives_what_transformers_gives(tmp_path: Path) -> None:
    directory = write_teacher(tmp_path / "model")
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps(config | {"architectures": ["BertModel"], "type_vocab_size": 2}))
    texts = ["ba de", "fi", "go ku la me ne"]
    imported = import_sentence_transformer(directory)
    mine = encode_vectors(imported.screener, imported.tokenizer, texts)
    torch.testing.assert_close(mine, reference_vectors(directory, texts), rtol=1e-4, atol=1e-4)
    assert imported.screener.config.max_tokens == 24
    assert imported.provenance["imported_from"] == "model"


def test_minilm_from_its_package_gives_what_transformers_gives() -> None:
    imported = import_sentence_transformer("all-MiniLM-L6-v2")
    directory = locate_model("all-MiniLM-L6-v2")
    assert directory.is_relative_to(cache_directory())
    texts = ["a contract between crew and captain of a ship", "hello", "a dog that is used to herd sheep or cattle"]
    mine = encode_vectors(imported.screener, imported.tokenizer, texts)
    torch.testing.assert_close(mine, reference_vectors(directory, texts), rtol=1e-4, atol=1e-4)


def test_shortening_keeps_the_inner_products_of_labels(tmp_path: Path) -> None:
    labels = tiny_labels()
    directory = write_teacher(tmp_path / "model")
    full = import_sentence_transformer(directory)
    short = import_sentence_transformer(directory, dims=16, labels=labels)
    assert isinstance(short.screener, TransformerScreener)
    before = encode_vectors(full.screener, full.tokenizer, labels.texts)
    after = encode_vectors(short.screener, short.tokenizer, labels.texts)
    assert after.shape == (300, 16)
    products = torch.stack([(before @ before.T).flatten(), (after @ after.T).flatten()])
    assert torch.corrcoef(products)[0, 1] > 0.85
    with pytest.raises(BadInput, match="Shortening to 16 dimensions needs labels"):
        import_sentence_transformer(directory, dims=16)


def test_models_that_cannot_be_imported_are_refused(tmp_path: Path) -> None:
    directory = write_teacher(tmp_path / "model")
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps(config | {"model_type": "albert"}))
    with pytest.raises(BadInput, match="is a 'albert' model"):
        import_sentence_transformer(directory)
    (directory / "config.json").write_text(json.dumps(config))
    (directory / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_next_tokens": True}))
    with pytest.raises(BadInput, match="pools by pooling_mode_next_tokens"):
        import_sentence_transformer(directory)
    (directory / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_cls_token": True}))
    assert import_sentence_transformer(directory).screener.config.pooling == "cls"
    (directory / "model.safetensors").rename(directory / "pytorch_model.bin")
    with pytest.raises(BadInput, match="pickles are never read"):
        import_sentence_transformer(directory)


def test_without_a_network_the_hub_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        assert sources._answers(address)
    assert not sources._answers(address)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    asked: list[bool] = []

    def download(name: str, *, local_files_only: bool, **more: object) -> str:
        asked.append(local_files_only)
        return snapshot_download(name, local_files_only=local_files_only, **more)  # type: ignore[arg-type]

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    with pytest.raises(BadInput, match="the model hub did not give it"):
        locate_model("nosuch/model")
    assert asked == [True]
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    assert sources._answers(address)


def test_a_name_that_is_nowhere_is_refused_with_the_known_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for name in ("nosuch/model", "../not a name"):
        with pytest.raises(
            BadInput, match=r"no packaged model \(all-MiniLM-L6-v2, .*\), and the model hub did not give it"
        ):
            locate_model(name)

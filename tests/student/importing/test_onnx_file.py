"""Encoders by their ONNX file give sentence-transformers' vectors, and what no bundle can hold is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

import edgexl
from edgexl.base.errors import BadInput
from edgexl.bundle.tokenizer import Prompts
from edgexl.student.encode import encode_vectors
from edgexl.student.importing.onnx_file import find_onnx, import_onnx
from edgexl.student.importing.sources import check_source
from edgexl.student.student import Student
from tests.student.importing.conftest import make_texts

TEXTS = [text for text in make_texts() if len(text) < 60][:40]


class LastState(torch.nn.Module):
    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.model(input_ids, attention_mask, token_type_ids=types).last_hidden_state
        return found


def export(model: torch.nn.Module, path: Path, free: bool = True) -> None:
    names = ["input_ids", "attention_mask", "token_type_ids"]
    ids = torch.tensor([[2, 9, 17, 3]])
    axes = {name: {0: "batch", 1: "tokens"} for name in (*names, "last_hidden_state")} if free else None
    torch.onnx.export(
        LastState(model).eval(), (ids, torch.ones_like(ids), torch.zeros_like(ids)), path, input_names=names,
        output_names=["last_hidden_state"], dynamic_axes=axes, dynamo=False, opset_version=17,
    )  # fmt: skip


@pytest.fixture(scope="module")
def onnx_model(saved: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The saved model with an ONNX file in the place of its weights."""
    from sentence_transformers import SentenceTransformer

    folder = tmp_path_factory.mktemp("onnx") / "model"
    shutil.copytree(saved, folder)
    for weights in folder.rglob("*.safetensors"):
        weights.unlink()
    (folder / "onnx").mkdir()
    export(SentenceTransformer(str(saved), device="cpu")[0].auto_model, folder / "onnx" / "model.onnx")
    return folder


def test_vectors_are_sentence_transformers_own(onnx_model: Path, saved: Path) -> None:
    from sentence_transformers import SentenceTransformer

    wanted = SentenceTransformer(str(saved), device="cpu").encode(TEXTS, normalize_embeddings=True)
    path = find_onnx(onnx_model)
    assert path == onnx_model / "onnx" / "model.onnx"
    for source in (path, find_onnx(path)):
        assert source is not None
        model = import_onnx(source)
        found = encode_vectors(model.screener, model.tokenizer, TEXTS).numpy()
        np.testing.assert_allclose((found * wanted).sum(1), 1, atol=1e-5)
    assert model.screener.config.pooling == "mean"
    assert find_onnx(saved) is None


@pytest.mark.parametrize("pooling", ["cls", "max"])
def test_poolings(onnx_model: Path, saved: Path, pooling: str) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling

    first = SentenceTransformer(str(saved), device="cpu")[0]
    peer = SentenceTransformer(modules=[first, Pooling(32, pooling)], device="cpu")
    model = import_onnx(onnx_model / "onnx" / "model.onnx", pooling)  # type: ignore[arg-type]
    found = encode_vectors(model.screener, model.tokenizer, TEXTS).numpy()
    np.testing.assert_allclose((found * peer.encode(TEXTS, normalize_embeddings=True)).sum(1), 1, atol=1e-5)


def test_the_whole_way_from_labels_to_answers(onnx_model: Path, tmp_path: Path) -> None:
    labels = list(dict.fromkeys(TEXTS))[:20]
    model = str(onnx_model)
    check_source(model)
    edgexl.compile_labels(labels, model, tmp_path / "labels.exl")
    with edgexl.open_bundle(tmp_path / "labels.exl") as bundle:
        found = [bundle.predict(text, k=1).labels[0].text for text in labels]
    assert sum(text == best for text, best in zip(labels, found, strict=True)) >= len(labels) - 1


def test_a_graph_that_gives_vectors_needs_no_pooling(onnx_model: Path, tmp_path: Path) -> None:
    model = onnx.load(onnx_model / "onnx" / "model.onnx")
    first = helper.make_node("ReduceMax", ["last_hidden_state"], ["sentence_embedding"], axes=[1], keepdims=0)
    model.graph.node.append(first)
    model.graph.output.append(helper.make_tensor_value_info("sentence_embedding", TensorProto.FLOAT, ["batch", 32]))
    onnx.save(model, tmp_path / "model.onnx")
    for name in ("tokenizer.json", "config.json"):
        shutil.copy(onnx_model / name, tmp_path)
    student = Student.from_encoder(tmp_path / "model.onnx", TEXTS)
    assert (student.shapes.query_dims, student.shapes.state_dims) == (32, 1)


def describe(folder: Path, **about: object) -> None:
    path = folder / "config_sentence_transformers.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | about))


def test_prompts_are_read_as_of_weights(onnx_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(onnx_model, folder)
    describe(folder, prompts={"query": "ba ", "document": "be "})
    assert Student.from_encoder(folder, TEXTS).prompts == Prompts("ba ", "be ")
    assert Student.from_encoder(onnx_model, TEXTS).prompts == Prompts("", "")


@pytest.mark.parametrize("with_vector", [False, True])
def test_vectors_are_cut_at_the_models_own_sizes(onnx_model: Path, tmp_path: Path, with_vector: bool) -> None:
    folder = tmp_path / "model"
    shutil.copytree(onnx_model, folder)
    graph = folder / "onnx" / "model.onnx"
    if with_vector:
        model = onnx.load(graph)
        node = helper.make_node("ReduceMean", ["last_hidden_state"], ["sentence_embedding"], axes=[1], keepdims=0)
        model.graph.node.append(node)
        model.graph.output.append(helper.make_tensor_value_info("sentence_embedding", TensorProto.FLOAT, ["batch", 32]))
        onnx.save(model, graph)
    text = TEXTS[:1]  # alone, so that a mean over all places has no padding in it
    whole = import_onnx(graph)
    wanted = encode_vectors(whole.screener, whole.tokenizer, text).numpy()[:, :16]
    describe(folder, matryoshka_dims=[8, 16])
    cut = import_onnx(graph, dims=16)
    assert cut.screener.config.query_dims == 16
    found = encode_vectors(cut.screener, cut.tokenizer, text).numpy()
    np.testing.assert_allclose(found, wanted / np.linalg.norm(wanted), atol=1e-6)
    describe(folder, truncate_dim=8)
    assert import_onnx(graph).screener.config.query_dims == 8
    with pytest.raises(BadInput, match="can be cut to sizes that the model names alone, not to 12; it names 8, 16"):
        import_onnx(graph, dims=12)


def put_outside(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL


def rename_domain(model: onnx.ModelProto) -> None:
    model.graph.node[0].domain = "my.own"


def take_positions(model: onnx.ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("position_ids", TensorProto.INT64, ["batch", "tokens"]))


def fix_axes(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 4


def take_no_mask(model: onnx.ModelProto) -> None:
    kept = [value for value in model.graph.input if value.name != "attention_mask"]
    del model.graph.input[:]
    model.graph.input.extend(kept)


def give_integers(model: onnx.ModelProto) -> None:
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.INT64


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (put_outside, "keeps weights in other files"),
        (rename_domain, "of the domain 'my.own', which is not in ONNX Runtime"),
        (take_positions, "takes 'position_ids', which no bundle supplies"),
        (fix_axes, "takes texts of one length or number alone"),
        (take_no_mask, "does not take 'attention_mask'"),
        (give_integers, "gives neither token states"),
    ],
)
def test_what_no_bundle_can_hold(
    onnx_model: Path, tmp_path: Path, change: Callable[[onnx.ModelProto], None], sentence: str
) -> None:
    model = onnx.load(onnx_model / "onnx" / "model.onnx")
    change(model)
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    shutil.copy(onnx_model / "tokenizer.json", tmp_path)
    with pytest.raises(BadInput, match=sentence):
        import_onnx(tmp_path / "model.onnx")


def test_files_that_are_not_there_or_none(tmp_path: Path, onnx_model: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"nothing of the kind")
    with pytest.raises(BadInput, match=r"has no tokenizer\.json beside it"):
        import_onnx(tmp_path / "model.onnx")
    shutil.copy(onnx_model / "tokenizer.json", tmp_path)
    with pytest.raises(BadInput, match="is not an ONNX file, or cut off"):
        import_onnx(tmp_path / "model.onnx")

"""A rotated index's graphs give the unrotated ones' answers."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgexl.compiler.graphs.graph import Session, serialise
from edgexl.compiler.graphs.rotate import rotate_output, unrotate_input
from edgexl.compiler.passes.export import Export
from edgexl.compiler.pipeline import begin
from edgexl.index import train_rotation
from edgexl.student.contract import sample_inputs
from edgexl.student.student import Student
from edgexl.target import load_target
from tests.compiler.conftest import TINY_RECIPE


@pytest.fixture(scope="module")
def rotation() -> np.ndarray:
    return train_rotation(np.zeros((1, 32), np.float32), "random", 0)


def test_the_students_graphs(student: Student, rotation: np.ndarray) -> None:
    graphs = Export().run(begin(student, TINY_RECIPE, load_target("host"))).graphs
    assert graphs is not None
    inputs = sample_inputs(student.screener, student.shapes, tokens=6, labels=5)
    feeds = {name: value.numpy() for name, value in inputs.items()}
    wanted = Session(graphs.reasoner).run(feeds)[0]
    turned = Session(rotate_output(graphs.screener, "query_vector", rotation)).run(feeds)[0]
    np.testing.assert_allclose(turned, feeds["query_vector"] @ rotation, atol=1e-6)
    reasoner = graphs.reasoner
    for name in ("query_vector", "label_vectors"):
        reasoner = unrotate_input(reasoner, name, rotation)
        feeds[name] = feeds[name] @ rotation
    np.testing.assert_allclose(Session(reasoner).run(feeds)[0], wanted, atol=1e-4)


def test_an_input_that_only_meets_weights_costs_no_product_more(rotation: np.ndarray) -> None:
    matrix = np.random.default_rng(0).standard_normal((32, 3)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["label_vectors", "w"], ["y"]),
            helper.make_node("MatMul", ["label_vectors", "w"], ["z"]),
        ],
        "g",
        [helper.make_tensor_value_info("label_vectors", TensorProto.FLOAT, [1, "N", 32])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, "N", 3]) for name in "yz"],
        [numpy_helper.from_array(matrix, "w")],
    )
    model = serialise(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8))
    folded = unrotate_input(model, "label_vectors", rotation)
    assert [node.op_type for node in onnx.load_from_string(folded).graph.node] == ["MatMul", "MatMul"]
    vectors = np.random.default_rng(1).standard_normal((1, 4, 32)).astype(np.float32)
    for found in Session(folded).run({"label_vectors": vectors @ rotation}):
        np.testing.assert_allclose(found, vectors @ matrix, atol=1e-5)

"""The exported graphs are the modules, at lengths that the tracer did not see."""

from __future__ import annotations

import ctypes
import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgexl.base.errors import BadInput, GateFailed
from edgexl.compiler.graphs.graph import Session
from edgexl.compiler.passes.export import Export
from edgexl.compiler.pipeline import begin
from edgexl.student.contract import call_reasoner, sample_inputs
from edgexl.student.student import Student
from edgexl.target import load_target
from tests.compiler.conftest import TINY_RECIPE


@pytest.mark.parametrize(("tokens", "labels"), [(3, 1), (11, 7), (16, 16)])
def test_graphs_are_the_modules(student: Student, tokens: int, labels: int) -> None:
    graphs = Export().run(begin(student, TINY_RECIPE, load_target("host"))).graphs
    assert graphs is not None
    inputs = sample_inputs(student.screener, student.shapes, tokens, labels)
    feeds = {name: value.numpy() for name, value in inputs.items()}
    vector, states = Session(graphs.screener).run(feeds)
    np.testing.assert_allclose(vector, feeds["query_vector"], atol=1e-5)
    np.testing.assert_allclose(states, feeds["token_states"], atol=1e-5)
    with torch.no_grad():
        logits = call_reasoner(student.reasoner, inputs).numpy()
    np.testing.assert_allclose(Session(graphs.reasoner).run(feeds)[0], logits, atol=1e-4)


def test_the_label_encoder_takes_many_texts_at_once(student: Student) -> None:
    graphs = Export().run(begin(student, TINY_RECIPE, load_target("host"))).graphs
    assert graphs is not None
    ids = np.array([[2, 9, 17, 3], [2, 40, 8, 3], [2, 5, 6, 3]])
    many = Session(graphs.label_encoder).run({"input_ids": ids, "attention_mask": np.ones_like(ids)})[0]
    for row, vector in zip(ids, many, strict=True):
        one = Session(graphs.screener).run({"input_ids": row[None], "attention_mask": np.ones_like(row[None])})[0]
        np.testing.assert_allclose(vector, one[0], atol=1e-5)


class _Frozen(nn.Module):
    """A reasoner whose traced graph holds the traced shortlist's length as a number."""

    input_names = ("screening_scores",)

    def forward(self, screening_scores: Tensor) -> Tensor:
        return screening_scores.amax(-1) / float(screening_scores.shape[1])


def test_a_frozen_length_fails_the_gate(student: Student) -> None:
    frozen = dataclasses.replace(student, reasoner=_Frozen())
    with pytest.raises(GateFailed, match=r"export_difference failed.* blame is export"):
        Export().run(begin(frozen, TINY_RECIPE, load_target("host")))


class _Curious(nn.Module):
    input_names = ("screening_scores", "label_frequency")

    def forward(self, screening_scores: Tensor, label_frequency: Tensor) -> Tensor:
        return screening_scores.amax(-1) + label_frequency


def test_an_unknown_input_is_refused_by_name(student: Student) -> None:
    curious = dataclasses.replace(student, reasoner=_Curious())
    with pytest.raises(BadInput, match="'label_frequency'"):
        Export().run(begin(curious, TINY_RECIPE, load_target("host")))


class _Untraceable(nn.Module):
    input_names = ("screening_scores",)

    def forward(self, screening_scores: Tensor) -> Tensor:
        return torch.fft.fft(screening_scores.amax(-1)).real


def test_a_module_without_onnx_operators_is_one_sentence(student: Student, capfd: pytest.CaptureFixture[str]) -> None:
    untraceable = dataclasses.replace(student, reasoner=_Untraceable())
    with pytest.raises(BadInput, match="cannot be exported to ONNX"):
        Export().run(begin(untraceable, TINY_RECIPE, load_target("host")))
    ctypes.CDLL(None).fflush(None)  # torch's own lines wait in the C library's buffer
    assert capfd.readouterr().out == ""


class _Picky(nn.Module):
    """A reasoner without token states, vectors or label tokens."""

    input_names = ("screening_scores",)

    def forward(self, screening_scores: Tensor) -> Tensor:
        return screening_scores.amax(-1) * 3.0


def test_a_graph_takes_only_what_it_declares(student: Student) -> None:
    graphs = (
        Export().run(begin(dataclasses.replace(student, reasoner=_Picky()), TINY_RECIPE, load_target("host"))).graphs
    )
    assert graphs is not None
    assert Session(graphs.reasoner).input_names == ("screening_scores",)

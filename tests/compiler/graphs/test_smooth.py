"""Smoothing leaves a model's numbers and lets bytes round them finer."""

from __future__ import annotations

import numpy as np
import onnx
import torch
from torch import nn

from edgexl.compiler.graphs.graph import Session
from edgexl.compiler.graphs.schemes import quantize_graph
from edgexl.compiler.graphs.smooth import smooth_products
from edgexl.compiler.passes.export import trace
from edgexl.compiler.recipe import GraphRecipe
from edgexl.target import Int8

WIDTH = 32


class Products(nn.Module):
    """Two products of one normalised input, which a residual connection reads, too, and one of what comes of them.
    `tied`: the two have the same weights."""

    def __init__(self, outstanding: float, tied: bool = False) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.norm = nn.LayerNorm(WIDTH)
        self.norm.weight.data[5] = outstanding
        self.one = nn.Linear(WIDTH, WIDTH)
        self.other = self.one if tied else nn.Linear(WIDTH, WIDTH)
        self.last = nn.Linear(WIDTH, WIDTH)

    def forward(self, token_states: torch.Tensor) -> torch.Tensor:
        y = self.norm(token_states)
        again = self.norm(token_states * token_states) if self.one is self.other else y
        found: torch.Tensor = y + self.last(torch.tanh(self.one(y) + self.other(again)))
        return found


def make(outstanding: float, tied: bool = False) -> bytes:
    return trace(
        Products(outstanding, tied).eval(), ("token_states",), ("out",), {"token_states": torch.randn(1, 4, WIDTH)}
    )


def samples() -> list[dict[str, np.ndarray]]:
    draw = np.random.default_rng(0)
    return [{"token_states": draw.normal(size=(1, 4, WIDTH)).astype(np.float32)} for _ in range(24)]


def divisions(model: bytes) -> int:
    return sum(node.name.endswith("/Smooth") for node in onnx.load_from_string(model).graph.node)


def error(model: bytes, exact: bytes) -> float:
    rounded = Session(quantize_graph(model, GraphRecipe("int8-token"), Int8("avx2", "uint8")))
    return float(
        np.mean([np.abs(rounded.run(each)[0] - Session(exact).run(each)[0]).mean() for each in samples()[12:]])
    )


def test_the_numbers_stay_and_bytes_round_them_finer() -> None:
    model = make(40.0)
    smooth = smooth_products(model, samples()[:12])
    assert divisions(smooth) == 1  # one for both products of the input, none for the input that does not stand out
    for each in samples():
        wanted = Session(model).run(each)[0]
        np.testing.assert_allclose(Session(smooth).run(each)[0], wanted, rtol=1e-4, atol=1e-4)
    # the weights' own rounding, to 7 bits, remains
    assert error(smooth, model) < 0.8 * error(model, model)


def test_what_stands_out_nowhere_stays_as_it_is() -> None:
    model = make(1.0)
    assert smooth_products(model, samples()) == model
    assert smooth_products(make(40.0), []) == make(40.0)


def test_weights_that_other_products_read_stay() -> None:
    model = make(40.0, tied=True)
    smooth = smooth_products(model, samples())
    for each in samples():
        np.testing.assert_allclose(Session(smooth).run(each)[0], Session(model).run(each)[0], rtol=1e-4, atol=1e-4)

"""Simulated rounding is the compiled graph's rounding, scheme by scheme, and gradients pass through it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgexl.base.errors import BadInput
from edgexl.compiler.artifact import Graphs
from edgexl.compiler.graphs.graph import Session
from edgexl.compiler.graphs.schemes import pack_blocks, product_names, quantize_graph
from edgexl.compiler.passes.build_index import BuildIndex
from edgexl.compiler.passes.export import Export
from edgexl.compiler.pipeline import begin
from edgexl.compiler.recipe import GraphRecipe, IndexRecipe, ReasonerRecipe, Recipe
from edgexl.distill.stages.simulate import (
    FULL_RANGE,
    IndexCodes,
    choose_products,
    name_as_exported,
    round_product,
    round_weight_blocks,
    simulate,
)
from edgexl.index import CoarseCode, decode_coarse
from edgexl.student.student import Student
from edgexl.target import Int8, load_target
from tests.tiny import tiny_ngram_student, tiny_student

SCHEMES = ("int8", "int8-token", "int8-weights", "int4-weights")
# Of this machine: without VNNI, ONNX Runtime gives the same numbers with weights of another type.
HERE = load_target("host").int8
SEVEN_BITS = Int8("avx2", "int8", reduce_range=True)
# Of the rounding's own size: what the order of a sum may move, where it decides the last digit of an activation
NOTHING = 0.05


@pytest.fixture(scope="module")
def student() -> Student:
    return tiny_student()


@pytest.fixture(scope="module")
def graphs(student: Student) -> Graphs:
    made = Export().run(begin(student, Recipe("test"), load_target("host"))).graphs
    assert made is not None
    return made


@pytest.fixture(scope="module")
def inputs(student: Student) -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(3)
    ids = torch.randint(4, 1026, (1, 11), generator=draw)
    mask = torch.ones_like(ids)
    with torch.no_grad():
        vector, states = student.screener(ids, mask)
    labels = nn.functional.normalize(torch.randn(1, 9, 32, generator=draw), dim=-1)
    scores = (labels @ vector.unsqueeze(-1)).expand(-1, -1, 2)
    pieces = torch.randint(0, 1026, (1, 9, 4), generator=draw)
    return {
        "input_ids": ids, "attention_mask": mask, "token_states": states, "query_vector": vector,
        "label_vectors": labels, "screening_scores": scores, "label_tokens": pieces,
    }  # fmt: skip


def distance(left: Any, right: Any) -> float:
    return float(np.linalg.norm(np.asarray(left) - np.asarray(right)))


def outputs(module: nn.Module, feeds: dict[str, Tensor]) -> list[Tensor]:
    with torch.no_grad():
        found = module(**feeds)
    return list(found) if isinstance(found, tuple) else [found]


@pytest.mark.parametrize("int8", [FULL_RANGE, SEVEN_BITS], ids=["8 bits", "7 bits"])
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("stage", ["screener", "reasoner"])
def test_a_simulated_module_is_its_compiled_graph(
    student: Student, graphs: Graphs, inputs: dict[str, Tensor], stage: str, scheme: str, int8: Int8
) -> None:
    recipe = GraphRecipe(scheme=scheme)  # type: ignore[arg-type]
    module, graph = getattr(student, stage), getattr(graphs, stage)
    session = Session(quantize_graph(graph, recipe, HERE if int8 == FULL_RANGE else int8))
    feeds = {name: inputs[name] for name in session.input_names}
    compiled = session.run({name: value.numpy() for name, value in feeds.items()})
    exact = outputs(module, feeds)
    with simulate(module, recipe, int8):
        found = outputs(module, feeds)
    for wanted, own, plain in zip(compiled, found, exact, strict=True):
        assert distance(own, wanted) < NOTHING * distance(plain, wanted)
    again = outputs(module, feeds)
    assert all(torch.equal(left, right) for left, right in zip(again, exact, strict=True))


def test_no_scheme_passes_for_another(student: Student, graphs: Graphs, inputs: dict[str, Tensor]) -> None:
    feeds = {name: inputs[name] for name in ("input_ids", "attention_mask")}
    exact = outputs(student.screener, feeds)[0]
    for scheme in SCHEMES:
        compiled = Session(quantize_graph(graphs.screener, GraphRecipe(scheme=scheme), HERE)).run(  # type: ignore[arg-type]
            {name: value.numpy() for name, value in feeds.items()}
        )[0]
        for other in SCHEMES:
            with simulate(student.screener, GraphRecipe(scheme=other)):  # type: ignore[arg-type]
                found = outputs(student.screener, feeds)[0]
            assert (distance(found, compiled) < NOTHING * distance(exact, compiled)) == (other == scheme)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("depth", [64, 70])
def test_weight_blocks_are_the_compilers(bits: int, depth: int) -> None:
    weight = torch.randn(5, depth, generator=torch.Generator().manual_seed(0))
    weight[2, :32] = 0.0
    codes, scales = pack_blocks(weight.T.numpy(), bits)
    blocks = codes.shape[1]
    flat = np.stack([codes & 15, codes >> 4], -1).reshape(5, blocks, 32) if bits == 4 else codes
    wanted = ((flat.astype(np.float32) - (1 << bits - 1)) * scales.reshape(5, blocks, 1)).reshape(5, -1)[:, :depth]
    np.testing.assert_allclose(round_weight_blocks(weight, bits).numpy(), wanted, atol=1e-6)


def test_a_batch_of_like_length_rounds_each_text_by_itself(student: Student) -> None:
    draw = torch.Generator().manual_seed(4)
    ids = torch.randint(4, 1026, (3, 8), generator=draw)
    mask = torch.ones_like(ids)
    for scheme in SCHEMES:
        with simulate(student.screener, GraphRecipe(scheme=scheme)), torch.no_grad():  # type: ignore[arg-type]
            together = student.screener(ids, mask)[0]
            alone = torch.cat([student.screener(ids[row : row + 1], mask[row : row + 1])[0] for row in range(3)])
        assert distance(together, alone) < 1e-3


def test_gradients_are_those_of_the_products_without_rounding() -> None:
    draw = torch.Generator().manual_seed(5)
    x = torch.randn(2, 3, 64, generator=draw, requires_grad=True)
    weight = torch.randn(8, 64, generator=draw, requires_grad=True)
    slope = torch.randn(2, 3, 8, generator=draw)
    wanted = torch.autograd.grad((nn.functional.linear(x, weight) * slope).sum(), (x, weight))
    for scheme in SCHEMES:
        found = torch.autograd.grad((round_product(x, weight, scheme) * slope).sum(), (x, weight))  # type: ignore[arg-type]
        for own, exact in zip(found, wanted, strict=True):
            error = distance(own, exact) / float(exact.norm())
            assert 0 < error < 0.15  # the other factor is rounded


def test_names_are_those_of_the_exported_products(student: Student, graphs: Graphs) -> None:
    for stage in ("screener", "reasoner"):
        module = getattr(student, stage)
        names = [name_as_exported(name) for name, part in module.named_modules() if isinstance(part, nn.Linear)]
        found = product_names(getattr(graphs, stage))
        assert len(found) == len(names)
        assert all(sum(name in node for name in names) == 1 for node in found)
    kept = choose_products(student.screener, GraphRecipe(keep_fp32=("/up/",)))
    assert student.screener.layers[0].up not in kept  # type: ignore[index, union-attr]
    assert student.screener.layers[0].down in kept  # type: ignore[index, union-attr]
    with (
        pytest.raises(BadInput, match="keep_fp32 = '/sideways/'"),
        simulate(student.screener, GraphRecipe(keep_fp32=("/sideways/",))),
    ):
        pass


def test_numbers_of_a_name_go_with_the_word_before_them() -> None:
    names = {"up": "up", "layers.0.up": "layers.0/up", "text.layers.1.2.down": "text/layers.1.2/down", "0.up": "0/up"}
    assert {name: name_as_exported(name) for name in names} == {n: f"/module/{path}/" for n, path in names.items()}


@pytest.fixture(scope="module")
def vectors() -> Tensor:
    draw = torch.Generator().manual_seed(6)
    scale = torch.linspace(2.0, 0.2, 32)
    return nn.functional.normalize(torch.randn(600, 32, generator=draw) * scale, dim=-1)


@pytest.mark.parametrize("coarse", ["pq", "auto"])
def test_codes_are_the_compiled_indexs(student: Student, graphs: Graphs, vectors: Tensor, coarse: str) -> None:
    index = IndexRecipe(rotation="pca", coarse=coarse, code_bytes=4, fine_dims=24, overfetch=64)  # type: ignore[arg-type]
    recipe = Recipe("test", index=index, reasoner=ReasonerRecipe("int4-weights"))
    artifact = begin(student, recipe, load_target("host"))
    built = BuildIndex(recipe.index).run(
        replace(artifact, graphs=graphs, vectors=vectors[: len(student.labels)].numpy())
    )
    tried = built.facts["coarse"]
    code = CoarseCode(tried[0]["coarse"], tried[0]["dims"]) if tried else CoarseCode("pq", 32)
    assert (built.index.fine_gain != 1.0) == (code.dims < 24)
    codes = IndexCodes(recipe.index, 32, code)
    codes.learn(vectors[: len(student.labels)])
    turned = codes.turn(vectors[: len(student.labels)])
    chosen = np.array([5, 0, 299])
    np.testing.assert_array_equal(codes.fine(turned)[chosen].numpy(), built.index.decompress(chosen))
    wanted = decode_coarse(built.index.coarse, built.index.rows, built.index.codebook)
    np.testing.assert_array_equal(codes.coarse(turned).numpy()[:, : code.dims], wanted)
    assert not codes.coarse(turned)[:, code.dims :].any()


def test_codes_pass_gradients_to_what_they_keep(vectors: Tensor) -> None:
    codes = IndexCodes(IndexRecipe(rotation="none", code_bytes=4, fine_dims=16), 32, CoarseCode("pq", 24))
    codes.learn(vectors)
    x = vectors[:50].clone().requires_grad_()
    (slope,) = torch.autograd.grad(codes.fine(codes.turn(x)).sum(), x)
    assert torch.equal(slope[:, :16], torch.ones(50, 16))
    assert not slope[:, 16:].any()
    (slope,) = torch.autograd.grad(codes.coarse(codes.turn(x)).sum(), x)
    assert torch.equal(slope[:, :24], torch.ones(50, 24))
    assert not slope[:, 24:].any()


def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(BadInput, match="do not divide"):
        IndexCodes(IndexRecipe(code_bytes=5), 32, CoarseCode("pq", 32))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_screener_of_ngrams_is_its_compiled_graph_too(scheme: str) -> None:
    student = tiny_ngram_student()
    made = Export().run(begin(student, Recipe("test"), load_target("host"))).graphs
    assert made is not None
    recipe = GraphRecipe(scheme=scheme)  # type: ignore[arg-type]
    ids = torch.tensor([[2, 9, 17, 40, 41, 3]])
    feeds = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    compiled = Session(quantize_graph(made.screener, recipe, HERE)).run({k: v.numpy() for k, v in feeds.items()})
    exact = outputs(student.screener, feeds)
    with simulate(student.screener, recipe):
        found = outputs(student.screener, feeds)
    for wanted, own, plain in zip(compiled, found, exact, strict=True):
        assert distance(own, wanted) < NOTHING * distance(plain, wanted)

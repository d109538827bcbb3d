"""Recognise: operators that the engine does in one step become one node each.

`RULES`, at the end, are applied in order: each finds its pattern in what the ones before left. Products with constant
weights are `Linear` whatever they are quantised to. To add a rule, write its function, whose docstring is the pattern
that `edgexl inspect STUDENT --rules` prints, put it into `RULES` under a name, and its test into
tests/compiler/lowering/test_recognise.py.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from edgexl.base.arrays import Array
from edgexl.bundle.plan import BLOCK, Activation
from edgexl.compiler.lowering.nodes import Node, Nodes
from edgexl.compiler.lowering.shapes import Shapes, infer

Kind = Literal["f32", "int8", "blocks4", "blocks8"]


@dataclass(frozen=True)
class Weights:
    """A constant matrix [K, N]: `codes` f32 or i8 (blocks: codes less their zero), times `scales` f32 ([N], blocks:
    [N, K / 32]), and `bias` [N]."""

    kind: Kind
    codes: Array
    scales: Array
    bias: Array | None = None

    def beside(self, other: Weights) -> Weights:
        """Both matrices as one with the columns of both."""
        bias = [part.bias if part.bias is not None else np.zeros(part.columns, np.float32) for part in (self, other)]
        some = self.bias is not None or other.bias is not None
        return Weights(
            self.kind,
            np.concatenate([self.codes, other.codes], 1),
            np.concatenate([self.scales, other.scales]),
            np.concatenate(bias) if some else None,
        )

    @property
    def columns(self) -> int:
        """N."""
        return int(self.codes.shape[1])


def _linear(source: str, output: str, weights: Weights) -> Node:
    return Node("Linear", [source], [output], {"weights": weights, "widths": [weights.columns]})


def _make_signed(codes: Array, zero: Array | None) -> Array | None:
    """int8 codes whose zero is 0; None where there are none such."""
    offset = 0 if zero is None else zero.astype(np.int16)
    wide = codes.astype(np.int16) - offset
    return wide.astype(np.int8) if np.abs(wide).max(initial=0) <= 127 else None


def _quantised_per_row(graph: Nodes) -> None:
    """x / step -> QuantizeLinear -> MatMulInteger -> Cast -> x columns' scales -> x step."""
    for node in [node for node in graph.nodes if node.op == "MatMulInteger"]:
        quantise = graph.producer(node.inputs[0])
        divide = graph.producer(quantise.inputs[0]) if quantise and quantise.op == "QuantizeLinear" else None
        chain = _chain(graph, node, ("Cast", "Mul", "Mul"))
        codes = graph.constants.get(node.inputs[1])
        if not divide or divide.op != "Div" or not chain or codes is None:
            continue
        scales = next((graph.constants[name] for name in chain[1].inputs if name in graph.constants), None)
        signed = _make_signed(codes, graph.constants.get(node.inputs[3]) if len(node.inputs) > 3 else None)
        if scales is not None and signed is not None and divide.inputs[1] in chain[2].inputs:
            weights = Weights("int8", signed, scales.reshape(-1).astype(np.float32))
            graph.replace([node, *chain], _linear(divide.inputs[0], chain[2].outputs[0], weights))


def _quantised_per_tensor(graph: Nodes) -> None:
    """DynamicQuantizeLinear -> MatMulInteger -> Cast -> x (scale of x x columns' scales). The engine does better: it
    scales by row."""
    for node in [node for node in graph.nodes if node.op == "MatMulInteger"]:
        quantise = graph.producer(node.inputs[0])
        chain = _chain(graph, node, ("Cast", "Mul"))
        codes = graph.constants.get(node.inputs[1])
        if not quantise or quantise.op != "DynamicQuantizeLinear" or not chain or codes is None:
            continue
        product = next((graph.producer(name) for name in chain[1].inputs if name != chain[0].outputs[0]), None)
        scales = [graph.constants[name] for name in product.inputs if name in graph.constants] if product else []
        signed = _make_signed(codes, graph.constants.get(node.inputs[3]) if len(node.inputs) > 3 else None)
        if len(scales) == 1 and signed is not None:
            wide = np.broadcast_to(scales[0].reshape(-1), (codes.shape[1],)).astype(np.float32)
            graph.replace(
                [node, *chain], _linear(quantise.inputs[0], chain[1].outputs[0], Weights("int8", signed, wide))
            )


def _chain(graph: Nodes, node: Node, operators: tuple[str, ...]) -> list[Node] | None:
    """The nodes behind `node`, each read by the next alone."""
    found: list[Node] = []
    for operator in operators:
        reader = graph.only_reader((found[-1] if found else node).outputs[0])
        if reader is None or reader.op != operator:
            return None
        found.append(reader)
    return found


def _weight_blocks(graph: Nodes) -> None:
    """MatMulNBits with blocks of 32; where the last block is not full, its very weights as floats."""
    for node in [node for node in graph.nodes if node.op == "MatMulNBits"]:
        bits, depth, columns = (int(node.settings[key]) for key in ("bits", "K", "N"))
        if bits not in (4, 8) or int(node.settings["block_size"]) != BLOCK or len(node.inputs) > 3:
            continue
        packed, scales = graph.constants[node.inputs[1]], graph.constants[node.inputs[2]]
        if bits == 4:
            packed = np.stack([packed & 15, packed >> 4], -1)
        codes = packed.reshape(columns, -1).astype(np.int16) - (1 << bits - 1)
        scales = scales.reshape(columns, -1)
        if depth % BLOCK:
            matrix = (codes * np.repeat(scales, BLOCK, 1))[:, :depth].T.astype(np.float32)
            weights = Weights("f32", matrix, np.ones(columns, np.float32))
        else:
            # -128 has no place among the engine's codes; it loses a half of a percent of one weight in a block
            signed = np.maximum(codes, -127).astype(np.int8).T.copy()
            weights = Weights("blocks4" if bits == 4 else "blocks8", signed, scales)
        graph.replace([node], _linear(node.inputs[0], node.outputs[0], weights))


def _float_products(graph: Nodes) -> None:
    """MatMul with a constant matrix on the right."""
    for node in [node for node in graph.nodes if node.op == "MatMul"]:
        matrix = graph.constants.get(node.inputs[1])
        if matrix is not None and matrix.ndim == 2 and matrix.dtype == np.float32:
            weights = Weights("f32", matrix, np.ones(matrix.shape[1], np.float32))
            graph.replace([node], _linear(node.inputs[0], node.outputs[0], weights))


def _look_ups(graph: Nodes) -> None:
    """Gather of rows of a constant table; of int8 rows, with the row's scale; of 4-bit blocks, as they are."""
    for node in [node for node in graph.nodes if node.op == "GatherBlockQuantized"]:
        codes, scales = (graph.constants.get(name) for name in (node.inputs[0], node.inputs[2]))
        known = {"bits": 4, "block_size": BLOCK, "gather_axis": 0, "quantize_axis": 1}
        if codes is None or scales is None or len(node.inputs) > 3 or node.settings != known or codes.ndim != 2:
            continue
        if 2 * codes.shape[1] == BLOCK * scales.shape[1]:
            blocks: dict[str, Any] = {"table": codes.view(np.int8), "scales": scales.astype(np.float32), "blocks": True}
            graph.replace([node], Node("Embed", [node.inputs[1]], node.outputs, blocks))
    for node in [node for node in graph.nodes if node.op == "Gather"]:
        table = graph.constants.get(node.inputs[0])
        fixed = node.inputs[1] in graph.constants
        if table is None or fixed or node.settings.get("axis", 0) != 0 or table.ndim not in (1, 2) or table.size < 2:
            continue
        if table.dtype == np.float32:
            if not _is_scale(graph, node):
                settings: dict[str, Any] = {"table": table, "scales": None}
                graph.replace([node], Node("Embed", [node.inputs[1]], node.outputs, settings))
        elif table.dtype in (np.uint8, np.int8, np.int64, np.int32) and np.abs(table.astype(np.int64)).max() <= 127:
            scaled = _scaled_look_up(graph, node)
            if scaled:
                settings = {"table": table.astype(np.int8), "scales": scaled[1]}
                graph.replace([node, *scaled[0]], Node("Embed", [node.inputs[1]], scaled[0][-1].outputs, settings))
                continue
            settings = {"table": table.astype(np.int8), "scales": None}
            graph.replace([node], Node("Embed", [node.inputs[1]], node.outputs, settings))


def _is_scale(graph: Nodes, node: Node) -> bool:
    """Whether a look-up of floats only scales a look-up of codes."""
    reader = graph.only_reader(node.outputs[0])
    other = [name for name in reader.inputs if name != node.outputs[0]] if reader and reader.op == "Mul" else []
    wide = graph.producer(other[0]) if other else None
    codes = graph.producer(wide.inputs[0]) if wide and wide.op == "Cast" else None
    return bool(codes and codes.op in ("Gather", "Embed") and codes.inputs[-1] == node.inputs[1])


def _scaled_look_up(graph: Nodes, node: Node) -> tuple[list[Node], Array] | None:
    """The Cast and Mul behind a look-up of codes, and the rows' scales [V]."""
    chain = _chain(graph, node, ("Cast", "Mul"))
    if not chain:
        return None
    other = next((name for name in chain[1].inputs if name != chain[0].outputs[0]), "")
    scale = graph.producer(other)
    table = graph.constants.get(scale.inputs[0]) if scale and scale.op == "Gather" else None
    if scale is None or table is None or scale.inputs[1] != node.inputs[1] or table.size != table.shape[0]:
        return None
    return chain, table.reshape(-1).astype(np.float32)


def _gelu(graph: Nodes) -> None:
    """x * (1 + erf(x / sqrt 2)) * 0.5, in the orders that exporters write it."""
    for node in [node for node in graph.nodes if node.op == "Erf"]:
        divide = graph.producer(node.inputs[0])
        plus = graph.only_reader(node.outputs[0])
        if not divide or not plus or plus.op != "Add" or 1.0 not in [graph.scalar(name) for name in plus.inputs]:
            continue
        factor = next((number for number in map(graph.scalar, divide.inputs) if number), math.nan)
        source = next((name for name in divide.inputs if graph.scalar(name) is None), "")
        wanted = {"Div": math.sqrt(2), "Mul": math.sqrt(0.5)}.get(divide.op, math.nan)
        if not math.isclose(factor, wanted, rel_tol=1e-5):
            continue
        last = _gelu_end(graph, plus, source)
        if last:
            graph.replace([divide, node, plus, *last], Node("Gelu", [source], last[-1].outputs))


def _gelu_end(graph: Nodes, plus: Node, source: str) -> list[Node] | None:
    """The two factors, x and 0.5, behind 1 + erf."""
    first = graph.only_reader(plus.outputs[0])
    if not first or first.op != "Mul":
        return None
    other = next((name for name in first.inputs if name != plus.outputs[0]), "")
    half = graph.producer(other)
    if half and half.op == "Mul" and source in half.inputs and 0.5 in [graph.scalar(name) for name in half.inputs]:
        return [half, first]
    second = graph.only_reader(first.outputs[0])
    factors = [graph.scalar(name) for name in second.inputs] if second and second.op == "Mul" else []
    if second and other == source and 0.5 in factors:
        return [first, second]
    return None


def _bias(graph: Nodes) -> None:
    """A constant vector added to a product."""
    for node in [node for node in graph.nodes if node.op == "Linear"]:
        weights: Weights = node.settings["weights"]
        reader = graph.only_reader(node.outputs[0])
        if not reader or reader.op != "Add":
            continue
        bias = next((graph.constants[name] for name in reader.inputs if name in graph.constants), None)
        if bias is not None and bias.size == weights.columns and bias.ndim <= 1:
            biased = dataclasses.replace(weights, bias=bias.astype(np.float32).reshape(-1))
            graph.replace([node, reader], _linear(node.inputs[0], reader.outputs[0], biased))


def _scaled_inputs(graph: Nodes) -> None:
    """A number times what goes into a product, into the weights' scales: codes by row do not see it."""
    for node in [node for node in graph.nodes if node.op == "Linear"]:
        while True:
            scaling = graph.producer(node.inputs[0])
            if not scaling or scaling.op != "Mul" or graph.only_reader(node.inputs[0]) is not node:
                break
            factor = next((graph.scalar(name) for name in scaling.inputs if graph.scalar(name) is not None), None)
            source = next((name for name in scaling.inputs if name not in graph.constants), "")
            if factor is None or not source:
                break
            weights: Weights = node.settings["weights"]
            scaled = dataclasses.replace(weights, scales=weights.scales * np.float32(factor))
            new = Node("Linear", [source, *node.inputs[1:]], node.outputs, node.settings | {"weights": scaled})
            graph.replace([scaling, node], new)
            node = new


def _activation(graph: Nodes) -> None:
    """What is done to each number of a product."""
    kinds = {"Relu": Activation.RELU, "Gelu": Activation.GELU, "Tanh": Activation.TANH}
    for node in [node for node in graph.nodes if node.op == "Linear"]:
        reader = graph.only_reader(node.outputs[0])
        if reader and reader.op in kinds:
            settings = node.settings | {"activation": kinds[reader.op]}
            graph.replace([node, reader], Node("Linear", node.inputs, reader.outputs, settings))


def _attention(graph: Nodes) -> None:
    """softmax(q k^T x scale + bias) v, and the largest score of each row where something reads it."""
    shapes = infer(graph)
    for softmax in [node for node in graph.nodes if node.op == "Softmax"]:
        product = graph.only_reader(softmax.outputs[0])
        sizes = shapes.sizes.get(softmax.inputs[0], ())
        last = softmax.settings.get("axis", -1) in (-1, len(sizes) - 1)
        if not product or product.op != "MatMul" or product.inputs[0] != softmax.outputs[0] or not last:
            continue
        found = _scores(graph, softmax.inputs[0])
        readers = [node for node in graph.readers(softmax.inputs[0]) if node is not softmax]
        best = readers[0] if len(readers) == 1 and _largest_of_row(readers[0], len(sizes)) else None
        if found is None or softmax.inputs[0] in graph.outputs or len(readers) > (best is not None):
            continue
        gone, query, key, scale, bias = found
        outputs = [product.outputs[0], best.outputs[0] if best else ""]
        node = Node("Attention", [query, key, product.inputs[1], bias], outputs, {"scale": scale})
        graph.replace([*gone, softmax, product, *([best] if best else [])], node)


def _largest_of_row(node: Node, rank: int) -> bool:
    axes, keeps = list(node.settings.get("axes", [])), node.settings.get("keepdims", 1)
    return node.op == "ReduceMax" and axes in ([-1], [rank - 1]) and not keeps


def _scores(graph: Nodes, name: str) -> tuple[list[Node], str, str, float, str] | None:
    """The nodes that make attention's scores: (nodes, query, key transposed, scale, bias or "")."""
    gone: list[Node] = []
    bias = ""
    node = graph.producer(name)
    if node and node.op == "Add":
        gone.append(node)
        sides = [graph.producer(part) for part in node.inputs]
        place = next((i for i, side in enumerate(sides) if side and side.op in ("MatMul", "Mul", "Div")), None)
        place = next((i for i, side in enumerate(sides) if side and side.op == "MatMul"), place)
        if place is None or graph.only_reader(node.inputs[place]) is None:
            return None
        bias, node = node.inputs[1 - place], sides[place]
    scale = 1.0
    if node and node.op in ("Mul", "Div"):
        factor = next((graph.scalar(part) for part in node.inputs if graph.scalar(part) is not None), None)
        if not factor:
            return None
        scale = factor if node.op == "Mul" else 1 / factor
        gone.append(node)
        inner = next(part for part in node.inputs if graph.scalar(part) is None)
        node = graph.producer(inner) if graph.only_reader(inner) else None
    if not node or node.op != "MatMul" or any(part in graph.constants for part in node.inputs):
        return None
    gone.append(node)
    query, key = node.inputs
    scaling = graph.producer(query)
    if scaling and scaling.op == "Mul" and graph.only_reader(query):
        factor = next((graph.scalar(part) for part in scaling.inputs if graph.scalar(part) is not None), None)
        if factor is not None:
            scale *= factor
            query = next(part for part in scaling.inputs if graph.scalar(part) is None)
            gone.append(scaling)
    return gone, query, key, scale, bias


def _residual(graph: Nodes) -> None:
    """What is added to a product number by number."""
    shapes = infer(graph)
    for node in [node for node in graph.nodes if node.op == "Linear"]:
        reader = graph.only_reader(node.outputs[0])
        if not reader or reader.op != "Add" or len(node.inputs) > 1 or "activation" in node.settings:
            continue
        other = reader.inputs[1 - reader.inputs.index(node.outputs[0])]
        same = shapes.sizes.get(other) == shapes.sizes[node.outputs[0]] == shapes.sizes[reader.outputs[0]]
        if same and other not in graph.constants and other != node.outputs[0]:
            new = Node("Linear", [node.inputs[0], other], reader.outputs, node.settings)
            graph.replace([node, reader], new)
            graph.sort()


def _shared_inputs(graph: Nodes) -> None:
    """Products of one input, such as query, key and value, are one product with the columns of all."""
    groups: dict[tuple[str, str], list[Node]] = {}
    for node in graph.nodes:
        if node.op == "Linear" and len(node.inputs) == 1 and "activation" not in node.settings:
            groups.setdefault((node.inputs[0], node.settings["weights"].kind), []).append(node)
    for (source, _), nodes in groups.items():
        if len(nodes) < 2:
            continue
        weights = nodes[0].settings["weights"]
        for node in nodes[1:]:
            weights = weights.beside(node.settings["weights"])
        widths = [node.settings["weights"].columns for node in nodes]
        outputs = [node.outputs[0] for node in nodes]
        graph.replace(nodes, Node("Linear", [source], outputs, {"weights": weights, "widths": widths}))


@dataclass(frozen=True)
class Rule:
    """A fusion: it rewrites a graph's nodes wherever it finds its pattern."""

    name: str
    rewrite: Callable[[Nodes], None]

    @property
    def pattern(self) -> str:
        """What it looks for, in a sentence or two."""
        return " ".join((self.rewrite.__doc__ or "").split())


RULES = (
    Rule("int8 product by row", _quantised_per_row),
    Rule("int8 product by tensor", _quantised_per_tensor),
    Rule("product of weight blocks", _weight_blocks),
    Rule("float product", _float_products),
    Rule("look-up", _look_ups),
    Rule("gelu", _gelu),
    Rule("bias", _bias),
    Rule("scaled input", _scaled_inputs),
    Rule("attention", _attention),
    Rule("activation", _activation),
    Rule("residual", _residual),
    Rule("shared input", _shared_inputs),
)


def recognise(graph: Nodes) -> tuple[Shapes, dict[str, int]]:
    """Rewrite the graph in place; gives the sizes of what is left, and how often each rule found its pattern."""
    found: dict[str, int] = {}
    for rule in RULES:
        before = graph.replaced
        rule.rewrite(graph)
        graph.sort()
        found[rule.name] = graph.replaced - before
    return infer(graph), found

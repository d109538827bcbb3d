"""A graph of five nodes: who makes a value, who reads it, and what stays when nodes become one."""

from __future__ import annotations

import numpy as np
import pytest

from edgexl.compiler.lowering.nodes import Node, Nodes


@pytest.fixture
def graph() -> Nodes:
    """x -> a -> b -> c -> y; a's value is read twice by e, whose own, z, is an output that f reads; nothing reads f."""
    nodes = [
        Node("A", ["x"], ["va"]),
        Node("B", ["va"], ["vb"]),
        Node("C", ["vb", ""], ["y", ""]),
        Node("E", ["va", "va"], ["z"]),
        Node("F", ["z"], ["vf"]),
    ]
    constants = {"one": np.array([[2.5]], np.float32), "two": np.array([1.0, 2.0]), "none": np.zeros(0)}
    return Nodes(nodes, constants, {}, ("y", "z"))


def ops(nodes: list[Node]) -> str:
    return "".join(node.op for node in nodes)


def test_who_makes_and_who_reads(graph: Nodes) -> None:
    assert (graph.producer("y"), graph.producer("x")) == (graph.nodes[2], None)
    assert [ops(graph.readers(name)) for name in ("x", "va", "vb", "z", "y")] == ["A", "BE", "C", "F", ""]
    alone = {name: graph.only_reader(name) for name in ("x", "va", "vb", "y", "z")}
    # two read va, none y, and z is an output
    assert alone == {"x": graph.nodes[0], "va": None, "vb": graph.nodes[2], "y": None, "z": None}


def test_a_number_is_a_constant_of_one_element(graph: Nodes) -> None:
    assert [graph.scalar(name) for name in ("one", "two", "none", "va")] == [2.5, None, None, None]


def test_nodes_become_one_at_the_place_of_the_last(graph: Nodes) -> None:
    graph.replace([graph.nodes[2], graph.nodes[0]], Node("N", ["x"], ["y"]))
    assert ops(graph.nodes) == "BNEF"
    assert ops(graph.readers("x")) == "N"


def test_nodes_follow_what_they_read_and_the_unneeded_go(graph: Nodes) -> None:
    graph.nodes.reverse()
    graph.sort()
    assert ops(graph.nodes) == "ABCE"
    graph.outputs = ("z", "y", "x")
    graph.sort()
    assert ops(graph.nodes) == "AEBC"

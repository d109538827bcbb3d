"""Lowering: a quantised ONNX graph becomes a plan for the native engine.

    model --nodes.read--> nodes --recognise--> fewer, larger nodes --shapes--> sizes in T and N --emit--> plan, weights

What an operator becomes stands in `emit`; what several become together, in `recognise`.
"""

from edgexl.compiler.lowering.lower import Lowered, lower_graph
from edgexl.compiler.lowering.nodes import NotCovered
from edgexl.compiler.lowering.recognise import RULES

__all__ = ["RULES", "Lowered", "NotCovered", "lower_graph"]

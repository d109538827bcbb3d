"""Export: the student's modules become two standard ONNX graphs with free text length T and shortlist length N."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from edgexl.base.errors import BadInput
from edgexl.bundle.parameters import REASONER_OUTPUTS, SCREENER_INPUTS, SCREENER_OUTPUTS
from edgexl.compiler.artifact import Artifact, Graphs
from edgexl.compiler.graphs.graph import OPSET, Session, fold, plain_products
from edgexl.compiler.graphs.schemes import choose_products
from edgexl.compiler.measure.gates import Verdict, judge
from edgexl.compiler.passes.declaration import Pass
from edgexl.student.contract import input_names, sample_inputs
from edgexl.student.onnx_screener import OnnxScreener

# The axes that stay free, by input or output name.
FREE_AXES = {
    "input_ids": {1: "T"},
    "attention_mask": {1: "T"},
    "token_states": {1: "T"},
    "label_vectors": {1: "N"},
    "screening_scores": {1: "N"},
    "label_tokens": {1: "N"},
    "evidence": {1: "N"},
    "logits": {1: "N"},
}
# fp32 sums in another order differ by about 1e-6; a length that the exporter froze differs by 1e-1 or fails.
LARGEST_DIFFERENCE = 1e-4


@dataclass(frozen=True)
class Export(Pass):
    """Trace both modules at batch size 1, fold constants, and see that the graphs give the modules' numbers at other
    lengths than the traced ones, too."""

    name = "export"
    adds = ("graphs",)
    measured = True

    def run(self, artifact: Artifact) -> Artifact:
        """Adds `graphs`. Raises `BadInput` when a module cannot be traced or the recipe does not fit it, `GateFailed`
        when the graphs differ from it."""
        student, shapes = artifact.student, artifact.shapes
        names = input_names(student.reasoner)
        sample = sample_inputs(
            student.screener, shapes, tokens=min(7, shapes.max_tokens), labels=min(5, shapes.shortlist)
        )
        screener = export_screener(student.screener, sample)
        reasoner = trace(student.reasoner, names, REASONER_OUTPUTS, sample)
        encoder = export_screener(student.screener, sample, free_batch=True)
        for model, recipe in ((screener, artifact.recipe.screener), (reasoner, artifact.recipe.reasoner)):
            choose_products(model, recipe)  # not after encoding all labels
        difference = largest_difference(artifact, screener, reasoner)
        verdict = Verdict(
            "export_difference", difference, LARGEST_DIFFERENCE, self.name,
            "a module must not depend on the traced lengths: no Python numbers of a shape, no loops over tokens", True,
        )  # fmt: skip
        verdicts = artifact.verdicts + judge((verdict,))
        return dataclasses.replace(artifact, graphs=Graphs(screener, reasoner, encoder), verdicts=verdicts)


def export_screener(screener: nn.Module, sample: dict[str, Tensor], free_batch: bool = False) -> bytes:
    """A screener as a folded ONNX model, which some are."""
    if isinstance(screener, OnnxScreener):
        return plain_products(fold(screener.graph(free_batch)))
    return trace(screener, SCREENER_INPUTS, SCREENER_OUTPUTS, sample, free_batch)


class _ByName(nn.Module):
    """A module that takes its inputs by position, in the order of `names`, for the tracer knows no other way."""

    def __init__(self, module: nn.Module, names: Sequence[str]) -> None:
        super().__init__()
        self.module = module
        self.names = tuple(names)

    def forward(self, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        return self.module(**dict(zip(self.names, inputs, strict=True)))  # type: ignore[no-any-return]


def trace(
    module: nn.Module, names: Sequence[str], outputs: Sequence[str], sample: dict[str, Tensor], free_batch: bool = False
) -> bytes:
    """The module as a folded ONNX model. `free_batch` leaves the batch dimension free, too."""
    axes = {name: dict(FREE_AXES.get(name, {})) for name in (*names, *outputs)}
    if free_batch:
        axes = {name: {0: "B", **free} for name, free in axes.items()}
    stream = io.BytesIO()
    try:
        with warnings.catch_warnings(), _no_graph_dump():
            # the tracer warns about every Python number; the comparison at other lengths judges what they did
            warnings.simplefilter("ignore")
            torch.onnx.export(
                _ByName(module, names).eval(),
                tuple(sample[name] for name in names),
                stream,  # type: ignore[arg-type]  # the tracing exporter writes to streams, its annotation forgets them
                input_names=list(names),
                output_names=list(outputs),
                dynamic_axes={name: free for name, free in axes.items() if free},
                opset_version=OPSET,
                dynamo=False,
            )
    except (RuntimeError, TypeError, ValueError, torch.onnx.errors.OnnxExporterError) as error:
        reason = str(error).splitlines()[0]
        raise BadInput(f"A module of the student cannot be exported to ONNX: {reason}") from error
    return plain_products(fold(stream.getvalue()))


@contextlib.contextmanager
def _no_graph_dump() -> Iterator[None]:
    """Keeps torch from printing the whole graph of a module that it cannot export: its log is on whatever it is told,
    and reaches standard output as late as the process ends."""
    log = getattr(torch._C, "_jit_onnx_log", None)
    if log is None:
        yield
        return
    torch._C._jit_onnx_log = lambda *_: None
    try:
        yield
    finally:
        torch._C._jit_onnx_log = log


def largest_difference(artifact: Artifact, screener: bytes, reasoner: bytes) -> float:
    """Between graphs and modules, relative to the largest number of an output (at least 1), at the extreme lengths."""
    student, shapes = artifact.student, artifact.shapes
    sessions = Session(screener), Session(reasoner)
    worst = 0.0
    for tokens, labels in ((3, 1), (shapes.max_tokens, shapes.shortlist), (min(16, shapes.max_tokens), 2)):
        inputs = sample_inputs(student.screener, shapes, tokens, labels)
        feeds = {name: value.numpy() for name, value in inputs.items()}
        with torch.no_grad():
            logits = student.reasoner(**{name: inputs[name] for name in sessions[1].input_names})
        wanted = [feeds["query_vector"], feeds["token_states"], logits.numpy()]
        try:
            found = sessions[0].run(feeds) + sessions[1].run(feeds)
        except RuntimeError:
            return float("inf")  # the engine refuses the other length: the exporter has frozen it
        for left, right in zip(wanted, found, strict=True):
            if left.shape != right.shape or not np.isfinite(right).all():
                return float("inf")
            worst = max(worst, float(np.abs(left - right).max()) / max(1.0, float(np.abs(left).max())))
    return worst

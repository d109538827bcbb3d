"""What a compile recipe does to a student, simulate in PyTorch with gradients that pass straight through.

Within `simulate(module, recipe, int8)` the module's products and look-ups round as those of its compiled graph do (see
`edgexl.compiler.graphs.schemes`), and `IndexCodes` rounds label vectors as the label index does, so that training can
meet what compression will do. Rounding has no slope: in the backward pass it counts as the identity (Bengio et al.,
2013). The numbers are the graph's to within a few roundings that the last digit of a sum decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edgexl.base.errors import BadInput
from edgexl.bundle.plan import BLOCK
from edgexl.compiler.graphs.schemes import SMALLEST_TABLE_ROWS
from edgexl.compiler.graphs.seven_bits import round_columns
from edgexl.compiler.recipe import GraphRecipe, IndexRecipe, Scheme
from edgexl.index import CoarseCode, Gain, decode_fine, encode_fine, fit_codes
from edgexl.index.codebook import nearest_entry
from edgexl.target import Int8

FULL_RANGE = Int8("avx512_vnni", "int8")
# What the exporter puts in front of the names of a module's parts (see `edgexl.compiler.passes.export`).
EXPORTED_ROOT = "/module/"


@contextmanager
def simulate(module: nn.Module, recipe: GraphRecipe, int8: Int8 = FULL_RANGE) -> Iterator[None]:
    """Within, every `nn.Linear` and `nn.Embedding` in `module` computes as in the graph compiled by `recipe`.

    Weights stay the module's own float ones, and get gradients. Simulated products run in fp32, whatever autocast
    says. Batches have the text in their first dimension; under the scheme int8, whose activations have one scale a
    text, padding takes part in that scale, as it never does on a device: batch texts of like length.
    Raises `BadInput` where a part of `keep_fp32` names nothing.
    """
    chosen = [part for part in module.modules() if isinstance(part, nn.Embedding) and rounds_table(part, recipe)]
    products = choose_products(module, recipe)
    for table in chosen:
        table.forward = partial(_look_up, table, recipe.embeddings)  # type: ignore[method-assign]
    for linear in products:
        linear.forward = partial(_multiply, linear, recipe.scheme, int8)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for part in (*chosen, *products):
            del part.forward


def rounds_table(table: nn.Embedding, recipe: GraphRecipe) -> bool:
    """Whether the recipe stores this table in fewer bits."""
    return recipe.embeddings != "fp32" and table.num_embeddings >= SMALLEST_TABLE_ROWS


def choose_products(module: nn.Module, recipe: GraphRecipe) -> list[nn.Linear]:
    """The linear parts whose products the recipe rounds: all but those that `keep_fp32` names."""
    named = {name_as_exported(name): part for name, part in module.named_modules() if isinstance(part, nn.Linear)}
    for kept in recipe.keep_fp32:
        if not any(kept in name for name in named):
            raise BadInput(f"keep_fp32 = '{kept}' is part of no matrix product's name; there are {', '.join(named)}.")
    if recipe.scheme == "fp32":
        return []
    return [part for name, part in named.items() if not any(kept in name for kept in recipe.keep_fp32)]


def name_as_exported(name: str) -> str:
    """What the ONNX nodes of the part `name` are called, but for the operator: layers.0.up -> /module/layers.0/up/."""
    parts: list[str] = []
    for word in name.split("."):
        if word.isdigit() and parts:
            parts[-1] += f".{word}"
        else:
            parts.append(word)
    return EXPORTED_ROOT + "/".join(parts) + "/"


def _multiply(linear: nn.Linear, scheme: Scheme, int8: Int8, x: Tensor) -> Tensor:
    product = round_product(x, linear.weight, scheme, int8)
    return product if linear.bias is None else product + linear.bias


def _look_up(table: nn.Embedding, scheme: str, ids: Tensor) -> Tensor:
    # a row is rounded by itself, so that rounding what was looked up is rounding the table
    if scheme == "int4" and table.embedding_dim % BLOCK == 0:
        return round_weight_blocks(nn.functional.embedding(ids, table.weight), 4)
    return round_rows(nn.functional.embedding(ids, table.weight), 127)


def round_product(x: Tensor, weight: Tensor, scheme: Scheme, int8: Int8 = FULL_RANGE) -> Tensor:
    """x [B,...,K] times the transpose of weight [N,K], as `scheme` computes it, in fp32."""
    activations, weights = _ROUNDING[scheme]
    with torch.autocast(x.device.type, enabled=False):
        return nn.functional.linear(activations(x.float()), weights(weight.float(), int8))


class _StraightThrough(torch.autograd.Function):
    """`rounded` forward, the identity of `x` backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, rounded: Tensor) -> Tensor:
        return rounded.view_as(rounded)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None


def straight_through(x: Tensor, rounded: Tensor) -> Tensor:
    """The value of `rounded`, with the gradient of `x`."""
    return _StraightThrough.apply(x, rounded.detach())  # type: ignore[no-any-return, no-untyped-call]


def round_rows(x: Tensor, top: int) -> Tensor:
    """Codes from -`top` to `top` with one scale for the last dimension."""
    plain = x.detach()
    step = plain.abs().amax(-1, keepdim=True).clamp_min(1e-12) / top
    return straight_through(x, (plain / step).round() * step)


def round_seven_bits(weight: Tensor) -> Tensor:
    """[N,K] with the compiler's codes of 7 bits and a scale a row."""
    codes, scales = round_columns(weight.detach().cpu().float().numpy().T)
    return straight_through(weight, torch.from_numpy((codes * scales).T).to(weight))


def round_tensors(x: Tensor) -> Tensor:
    """uint8 codes with one scale and zero point for all but the first dimension: ONNX's DynamicQuantizeLinear."""
    plain = x.detach()
    inner = tuple(range(1, x.ndim))
    low = plain.amin(inner, keepdim=True).clamp_max(0.0)
    high = plain.amax(inner, keepdim=True).clamp_min(0.0)
    step = ((high - low) / 255.0).clamp_min(1e-30)
    zero = (-low / step).round().clamp(0, 255)
    return straight_through(x, (((plain / step).round() + zero).clamp(0, 255) - zero) * step)


def round_blocks(x: Tensor) -> Tensor:
    """int8 codes with one scale a block of 32: what MatMulNBits does to activations at accuracy level 4.

    ONNX Runtime documents the level, not the blocks; tests/distill/stages/test_simulate.py holds this against it.
    """
    plain = _in_blocks(x.detach())
    step = (plain.abs().amax(-1, keepdim=True) / 127.0).clamp_min(1e-30)
    rounded = ((plain / step).round() * step).flatten(-2)[..., : x.shape[-1]]
    return straight_through(x, rounded)


def round_weight_blocks(weight: Tensor, bits: int) -> Tensor:
    """A weight [N,K] in blocks of 32 along K, as `edgexl.compiler.graphs.schemes.pack_blocks` packs its transpose."""
    plain = _in_blocks(weight.detach())
    half = 1 << bits - 1
    outermost = plain.gather(-1, plain.abs().argmax(-1, keepdim=True))
    scale = outermost / -half
    steps = torch.where(scale != 0, plain / torch.where(scale != 0, scale, 1.0), 0.0)
    rounded = steps.round().clamp(-half, half - 1) * scale
    return straight_through(weight, rounded.flatten(-2)[..., : weight.shape[-1]])


def _in_blocks(x: Tensor) -> Tensor:
    """[...,K] -> [..., blocks, 32], padded with zeros."""
    missing = -x.shape[-1] % BLOCK
    padded = nn.functional.pad(x, (0, missing))
    return padded.view(*padded.shape[:-1], -1, BLOCK)


_Activations = Callable[[Tensor], Tensor]
_Weights = Callable[[Tensor, Int8], Tensor]
# By scheme: how activations [B,...,K] and weights [N,K] are rounded. ONNX Runtime's own 7-bit weights end at 64.
_ROUNDING: dict[Scheme, tuple[_Activations, _Weights]] = {
    "fp32": (lambda x: x, lambda weight, int8: weight),
    "int8": (round_tensors, lambda weight, int8: round_rows(weight, 64 if int8.reduce_range else 127)),
    "int8-token": (
        lambda x: round_rows(x, 127),
        lambda weight, int8: round_seven_bits(weight),
    ),
    "int8-weights": (round_blocks, lambda weight, int8: round_weight_blocks(weight, 8)),
    "int4-weights": (round_blocks, lambda weight, int8: round_weight_blocks(weight, 4)),
}


class IndexCodes(nn.Module):
    """What a label index of `recipe` with the coarse code `code` leaves of vectors [n,`dims`]: rotated, then coded
    coarsely and finely.

    `rotation` [D,D], `codebook` [M,16,C/M] of the leading C dimensions and `gain`, that of their fine codes, are
    buffers, so that a checkpoint holds them; `learn` fits them as the compiler does. The codes themselves are made by
    `edgexl.index`, on the CPU. Raises `BadInput` for sizes that do not fit.
    """

    rotation: Tensor
    codebook: Tensor
    gain: Tensor

    def __init__(self, recipe: IndexRecipe, dims: int, code: CoarseCode) -> None:
        super().__init__()
        self.recipe = recipe
        self.code = code
        self.fine_dims = recipe.fine_dims_of(dims)
        subspaces = 2 * recipe.code_bytes
        if code.dims % subspaces:
            raise BadInput(
                f"[index] code_bytes = {recipe.code_bytes} are {subspaces} subspaces, and {code.dims} dimensions do "
                "not divide into them."
            )
        self.register_buffer("rotation", torch.eye(dims))
        self.register_buffer("codebook", torch.zeros(subspaces, 16, code.dims // subspaces))
        self.register_buffer("gain", torch.ones(()))

    def learn(self, vectors: Tensor) -> None:
        """Fit rotation, code book and gain to (a sample of) the rows' vectors [n,D]."""
        rows = vectors.detach().float().cpu().numpy()
        recipe = self.recipe
        fitted = fit_codes(rows, self.code, recipe.rotation, recipe.code_bytes, self.fine_dims, recipe.seed)
        if fitted.rotation is not None:
            self.rotation.copy_(torch.from_numpy(fitted.rotation))
        self.codebook.copy_(torch.from_numpy(fitted.codebook))
        self.gain.fill_(fitted.gain.factor)

    def turn(self, vectors: Tensor) -> Tensor:
        """Vectors [...,D] in the index's space."""
        return vectors.float() @ self.rotation

    def fine(self, turned: Tensor) -> Tensor:
        """What fine codes leave of vectors [n,D] in the index's space: zeros from `fine_dims` on.

        The gradient of the dimensions that are left out is 0.
        """
        rows, gain = turned.detach().float().cpu().numpy(), Gain(self.code.dims, float(self.gain))
        codes = encode_fine(rows, self.fine_dims, self.recipe.fine_bits, gain)
        rounded = decode_fine(codes, len(rows), self.fine_dims, self.recipe.fine_bits, rows.shape[1], gain)
        return straight_through(_leading(turned, self.fine_dims), torch.from_numpy(rounded).to(turned.device))

    def coarse(self, turned: Tensor) -> Tensor:
        """What coarse codes leave of vectors [n,D] in the index's space: zeros behind the dimensions that they keep."""
        rows = turned.detach().float().cpu().numpy()
        codebook = self.codebook.cpu().numpy()
        rounded = np.zeros_like(rows)
        width = codebook.shape[2]
        for subspace, entries in enumerate(codebook):
            part = slice(subspace * width, (subspace + 1) * width)
            rounded[:, part] = entries[nearest_entry(np.ascontiguousarray(rows[:, part]), entries)]
        return straight_through(_leading(turned, self.code.dims), torch.from_numpy(rounded).to(turned.device))

    def unturn(self, fine: Tensor, scheme: Scheme, int8: Int8 = FULL_RANGE) -> Tensor:
        """Decompressed vectors [B,N,D] back in the student's space, as the reasoner's graph turns them: by a product
        that is rounded like its others (`graphs.rotate.unrotate_input`). It cannot be one with the rotation that
        `edgexl.index` fits and applies, which is not rounded."""
        if self.recipe.rotation == "none":
            return fine
        return round_product(fine, self.rotation, scheme, int8)


def _leading(x: Tensor, dims: int) -> Tensor:
    """x [n,D] with zeros from `dims` on, in the gradient, too."""
    return x * (torch.arange(x.shape[1], device=x.device) < dims).to(x.dtype)

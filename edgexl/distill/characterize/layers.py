"""Reading a model after each of its layers: the layers above are left out, the head stays.

A model cut so is the model itself with a shorter stack, which shares all weights and never changes the whole one.
"""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import nn

from edgexl.distill.teachers import BiEncoderTeacher, Teacher, TwoStageTeacher
from edgexl.distill.teachers.vectors import ScreenerEncoder

_Stack = TypeVar("_Stack", bound=nn.Module)


def layer_count(module: nn.Module) -> int:
    """How many layers a screener or reasoner has; 0 for one that is not a stack of layers."""
    layers = getattr(module, "layers", None)
    return len(layers) if isinstance(layers, nn.ModuleList) else 0


def cut_after(module: _Stack, layers: int) -> _Stack:
    """`module` with its first `layers` layers only."""
    whole = module.layers
    assert isinstance(whole, nn.ModuleList)
    # a shallow copy shares the table of submodules, which must not be written to
    short = copy.copy(module)
    short._modules = dict(module._modules)
    short.layers = nn.ModuleList(list(whole)[:layers])
    return short.eval()


def screening_stack(teacher: Teacher) -> ScreenerEncoder | None:
    """The encoder behind phase one, where it is a stack of layers that can be cut."""
    encoder: object = None
    if isinstance(teacher, BiEncoderTeacher):
        encoder = teacher.encoder
    elif isinstance(teacher, TwoStageTeacher) and teacher.tokenizer is not None:
        tokens = teacher.shapes.max_tokens
        encoder = ScreenerEncoder("", teacher.name, teacher.screener, teacher.tokenizer, tokens, teacher.device)
    return encoder if isinstance(encoder, ScreenerEncoder) and layer_count(encoder.screener) else None


def cut_reasoner(teacher: TwoStageTeacher, layers: int) -> TwoStageTeacher:
    """The teacher with a reasoner cut after `layers` layers: its norm and verdict read the labels' states there."""
    short = copy.copy(teacher)
    with torch.no_grad():
        short.reasoner = cut_after(teacher.reasoner, layers)
    return short

"""The graph contract: what a screener and a reasoner take and give, and the check that a pair of modules does so.

`REASONER_INPUTS` is the whole vocabulary of inputs that a runtime can supply. A reasoner declares those that it takes
in `input_names`, in any order, and is called with them by name.

A reasoner with a `screening_weight`, a number of 0 or more, corrects screening: a label's logit is what the graph gives
and so many times the screening score, which the runtime adds.
"""

from __future__ import annotations

import dataclasses
import math
import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from edgexl.base.errors import BadInput
from edgexl.bundle.parameters import GRAPH_INPUTS, LARGEST_SIZES
from edgexl.bundle.tokenizer import check_tokenizer_json

# B = 1 on the device; T tokens of the text, N labels in the shortlist, S tokens a label, d and h as in `Shapes`.
_MEANINGS = (
    "[B,T] int64",
    "[B,T] int64, 1 = token",
    "[B,T,h], what the screener made of the text",
    "[B,d], length 1",
    "[B,N,d], decompressed",
    "[B,N,2]: best over the label's own text, best over its aliases (= the former without any)",
    "[B,N,S] int64, the label text's word pieces without special tokens, padded with 0",
    "[B,N,5]: own text, best alias (= the former without any), best description (= the better of both without any), "
    "votes of all candidate rows, likeness of words (0 without a lexical index)",
)
_ABOUT_LABELS = ("label_vectors", "screening_scores", "label_tokens", "evidence")
REASONER_INPUTS = dict(zip(GRAPH_INPUTS, _MEANINGS, strict=True))


@dataclass(frozen=True)
class Shapes:
    """The sizes that the two modules, the index and the runtime share.

    `max_tokens`: longest text, special tokens included. `query_dims`: d of the query vector and label vectors.
    `state_dims`: h of the token states. `shortlist`: N. `label_tokens`: S. `vocabulary`: rows of the word table.
    """

    max_tokens: int
    query_dims: int
    state_dims: int
    shortlist: int
    label_tokens: int
    vocabulary: int

    def __post_init__(self) -> None:
        most = LARGEST_SIZES | {"query_dims": LARGEST_SIZES["dims"]}
        for name, value in dataclasses.asdict(self).items():
            try:
                number = operator.index(value)
            except TypeError:
                number = 0
            least = 3 if name == "max_tokens" else 1
            if isinstance(value, bool) or not least <= number <= most[name]:
                limits = f"from {least} to {most[name]}"
                raise BadInput(f"A student's shape '{name}' is {value!r:.40}; it must be a whole number {limits}.")
            object.__setattr__(self, name, number)


def check_tokenizer(tokenizer: Tokenizer, shapes: Shapes) -> Tokenizer:
    """A copy of `tokenizer` without truncation and padding (edgexl does both itself), after checking it.

    Raises `BadInput` where it gives ids beyond the word table, where its id 0, which pads label tokens, is a piece of
    ordinary texts, or where it could not be packed into a bundle.
    """
    refuse_unpackable(tokenizer)
    copy = Tokenizer.from_str(tokenizer.to_str())
    copy.no_truncation()
    copy.no_padding()
    vocabulary = copy.get_vocab(with_added_tokens=True)
    if fault := find_padding_fault(copy):
        raise BadInput(fault)
    if max(vocabulary.values()) >= shapes.vocabulary:
        raise BadInput(
            f"The tokenizer gives ids up to {max(vocabulary.values())}, "
            f"but the word table has {shapes.vocabulary} rows; use the tokenizer that the screener was trained with."
        )
    return copy


def find_padding_fault(tokenizer: Tokenizer) -> str | None:
    """Why a tokenizer's id 0 cannot pad label tokens: it is a piece that texts are made of."""
    first = tokenizer.id_to_token(0)
    unknown = getattr(tokenizer.model, "unk_token", None)
    if first is None or 0 in tokenizer.get_added_tokens_decoder() or first == unknown:
        return None
    if (first[:1], first[-1:]) in (("[", "]"), ("<", ">")) and len(first) > 2:  # [PAD], <pad>
        return None
    return f"The tokenizer's id 0 is the piece {first!r:.40}, but 0 pads label tokens; it must be no piece of texts."


def refuse_unpackable(tokenizer: Tokenizer) -> None:
    """Raise `BadInput` for a tokenizer that no bundle can hold."""
    try:
        check_tokenizer_json(tokenizer.to_str())
    except BadInput as error:
        raise BadInput(f"{str(error)[:1].upper()}{str(error)[1:]}.") from None


def call_reasoner(reasoner: nn.Module, supply: Mapping[str, Tensor]) -> Tensor:
    """The logits [B,N] by a reasoner, given those of the inputs in `supply` that it takes, and the screening scores
    [B,N] as `screening`, which count where it corrects these."""
    logits: Tensor = reasoner(**{name: supply[name] for name in reasoner.input_names})  # type: ignore[union-attr]
    weight = getattr(reasoner, "screening_weight", None)
    return logits if weight is None else logits + weight * supply["screening"]


def screening_weight(reasoner: nn.Module) -> float:
    """How many times the screening score counts in a logit beside what the reasoner's graph gives. Raises `BadInput`
    where that is no number of 0 or more."""
    weight = getattr(reasoner, "screening_weight", 0.0)
    try:
        number = float(weight.detach() if isinstance(weight, Tensor) else weight)
    except (TypeError, ValueError, RuntimeError):
        number = math.nan
    if not 0.0 <= number < math.inf:
        raise BadInput(f"The reasoner's screening_weight is {weight!r:.40}; it must be a number of 0 or more.")
    return number


def input_names(reasoner: nn.Module) -> tuple[str, ...]:
    """The inputs that a reasoner takes. Raises `BadInput` where it does not say so, or takes unknown ones."""
    names = getattr(reasoner, "input_names", None)
    if not isinstance(names, tuple) or not names or not all(isinstance(name, str) for name in names):
        raise BadInput("The reasoner has no tuple 'input_names'; name the inputs that it takes.")
    unknown = [name for name in names if name not in REASONER_INPUTS]
    if unknown:
        raise BadInput(
            f"The reasoner takes '{unknown[0]}', which no runtime supplies; known are {', '.join(REASONER_INPUTS)}."
        )
    return names


def sample_inputs(screener: nn.Module, shapes: Shapes, tokens: int, labels: int) -> dict[str, Tensor]:
    """Random inputs for both graphs, those of the reasoner made with the screener's outputs."""
    draw = torch.Generator().manual_seed(tokens * 10007 + labels)
    ids = torch.randint(0, shapes.vocabulary, (1, tokens), generator=draw)
    mask = torch.ones_like(ids)
    with torch.no_grad():
        vector, states = screener(input_ids=ids, attention_mask=mask)
    vectors = nn.functional.normalize(torch.randn(1, labels, shapes.query_dims, generator=draw), dim=-1)
    scores = (vectors * vector.unsqueeze(1)).sum(-1, keepdim=True)
    pieces = torch.randint(0, shapes.vocabulary, (1, labels, shapes.label_tokens), generator=draw)
    votes, words = scores + 0.03, torch.rand(1, labels, 1, generator=draw)
    return {
        "input_ids": ids, "attention_mask": mask, "token_states": states, "query_vector": vector,
        "label_vectors": vectors, "screening_scores": torch.cat([scores, scores + 0.01], -1), "label_tokens": pieces,
        "evidence": torch.cat([scores, scores + 0.01, scores + 0.02, votes, words], -1),
    }  # fmt: skip


def check_modules(screener: nn.Module, reasoner: nn.Module, shapes: Shapes) -> None:
    """Run both modules once on small random inputs; raises `BadInput` naming the first breach of the contract."""
    names = input_names(reasoner)
    modes = screener.training, reasoner.training
    screener.eval(), reasoner.eval()
    try:
        with torch.no_grad():
            inputs = _check_screener(screener, shapes)
            _check_reasoner(reasoner, {name: inputs[name] for name in names})
            screening_weight(reasoner)
    finally:
        screener.train(modes[0]), reasoner.train(modes[1])


def _check_screener(screener: nn.Module, shapes: Shapes) -> dict[str, Tensor]:
    """Check the screener at two lengths; return inputs for the reasoner, made with its outputs."""
    draw = torch.Generator().manual_seed(0)
    for tokens in (shapes.max_tokens, min(5, shapes.max_tokens)):
        ids = (
            torch.randint(1, shapes.vocabulary, (1, tokens), generator=draw)
            if shapes.vocabulary > 1
            else torch.zeros(1, tokens, dtype=torch.int64)
        )
        mask = torch.ones_like(ids)
        output = _call("screener", screener, {"input_ids": ids, "attention_mask": mask})
        if not isinstance(output, tuple) or len(output) != 2:
            raise BadInput("The screener must return the pair (query_vector, token_states).")
        vector, states = output
        _expect_shape("screener's query_vector", vector, (1, shapes.query_dims))
        _expect_shape("screener's token_states", states, (1, tokens, shapes.state_dims))
        length = float(vector.norm())
        if abs(length - 1.0) > 1e-2:
            raise BadInput(f"The screener's query_vector has length {length:.3f}; it must be normalised to 1.")
    return sample_inputs(screener, shapes, min(5, shapes.max_tokens), min(7, max(2, shapes.shortlist)))


def _check_reasoner(reasoner: nn.Module, inputs: dict[str, Tensor]) -> None:
    """Check the logits' shape, and that permuting the labels permutes the logits and nothing else."""
    per_label = [name for name in inputs if name in _ABOUT_LABELS]
    if not per_label:
        raise BadInput(
            "The reasoner takes nothing about the labels; it needs label_vectors, screening_scores, label_tokens or "
            "evidence."
        )
    count = inputs[per_label[0]].shape[1]
    logits = _call("reasoner", reasoner, inputs)
    _expect_shape("reasoner's logits", logits, (1, count))
    reverse = {name: value.flip(1) if name in per_label else value for name, value in inputs.items()}
    turned = _call("reasoner", reasoner, reverse)
    _expect_shape("reasoner's logits", turned, (1, count))
    again = turned.flip(1)
    if not torch.allclose(logits, again, rtol=1e-3, atol=1e-3):
        raise BadInput(
            "The reasoner's logits depend on the order of the shortlist; it must be permutation equivariant."
        )


def _call(role: str, module: nn.Module, inputs: dict[str, Tensor]) -> Any:
    """Call a user's module; whatever it raises becomes one sentence that keeps the cause."""
    try:
        return module(**inputs)
    except Exception as error:  # it is the user's code: anything can come out of it
        shapes = ", ".join(f"{name} {list(value.shape)}" for name, value in inputs.items())
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise BadInput(f"The {role} failed on {shapes}: {reason}") from error


def _expect_shape(what: str, value: Any, shape: tuple[int, ...]) -> None:
    if not isinstance(value, Tensor):
        raise BadInput(f"The {what} is of the type {type(value).__name__}; it must be a tensor.")
    if value.dtype != torch.float32:
        raise BadInput(f"The {what} is in {value.dtype}; it must be in torch.float32.")
    if tuple(value.shape) != shape:
        raise BadInput(f"The {what} is {list(value.shape)} where the student's shapes make it {list(shape)}.")
    if not bool(torch.isfinite(value).all()):
        raise BadInput(f"The {what} holds numbers that are not finite.")

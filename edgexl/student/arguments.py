"""What `Student.from_modules` is given, made into what a student holds: converted where there is one meaning, otherwise
refused at once with a sentence."""

from __future__ import annotations

import copy
import json
import operator
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import nn

from edgexl.base.arguments import as_items, as_text, as_whole
from edgexl.base.errors import BadInput, kind_of, shorten
from edgexl.data import Query
from edgexl.data.label_set import LabelSet
from edgexl.data.tables.objects import as_named_queries
from edgexl.student.text import encode_pieces
from edgexl.student.weights import find_weight_fault


def as_tokenizer(value: Any) -> Tokenizer:
    """A `tokenizers.Tokenizer`, or the one inside a fast tokenizer of transformers."""
    if isinstance(value, Tokenizer):
        return value
    inner = getattr(value, "backend_tokenizer", None)
    if isinstance(inner, Tokenizer):
        return inner
    raise BadInput(
        f"The tokenizer is {kind_of(value)}; give a tokenizers.Tokenizer, or a fast tokenizer of transformers "
        "(AutoTokenizer.from_pretrained(..., use_fast=True))."
    )


def as_module(role: str, value: Any) -> nn.Module:
    """A module in evaluation mode, on the CPU, its numbers in fp32; a copy where anything but the mode had to change.

    Raises `BadInput` for what is no module, and for weights that are not finite.
    """
    if not isinstance(value, nn.Module):
        raise BadInput(f"The {role} is {kind_of(value)}; give a torch.nn.Module.")
    tensors = [*value.parameters(), *value.buffers()]
    if any(tensor.is_meta for tensor in tensors):
        raise BadInput(f"The {role} has no weights (its tensors are on the device 'meta'); load them first.")
    module = value
    if any(not tensor.is_cpu or (tensor.is_floating_point() and tensor.dtype != torch.float32) for tensor in tensors):
        try:
            module = copy.deepcopy(value).to("cpu", torch.float32)
        except (RuntimeError, TypeError, ValueError) as error:
            raise BadInput(f"The {role} cannot be moved to the CPU in fp32 ({error}); do so before.") from None
    for name, parameter in module.named_parameters():
        if parameter.is_floating_point() and (fault := find_weight_fault(f"{role}.{name}", parameter.detach())):
            raise BadInput(f"The {role} cannot be used: {fault}.")
    return module.eval()


def as_queries(split: str, values: Any, labels: LabelSet) -> tuple[Query, ...]:
    """Queries, tuples of (uid, text, targets) that can be some, or what names its labels (`as_named_queries`).

    Raises `BadInput` for a query without a gold label.
    """
    if isinstance(values, Iterator):
        values = list(values)
    queries = as_named_queries(split, values, labels)
    if queries is None:
        items = as_items(f"The {split} queries", values)
        queries = tuple(_as_query(f"{split} query {place}", value) for place, value in enumerate(items))
    check_targets(split, queries, len(labels))
    return queries


def check_tokens(split: str, queries: Sequence[Query], tokenizer: Tokenizer) -> tuple[Query, ...]:
    """The queries. Raises `BadInput` for one without a token: a device refuses to answer that."""
    for query, ids in zip(queries, encode_pieces(tokenizer, [query.text for query in queries], 1), strict=True):
        if not ids:
            raise BadInput(f"{_name(split, query)} has a text without a token ({query.text!r:.60}); remove the query.")
    return tuple(queries)


def _as_query(what: str, value: Any) -> Query:
    line = 0
    if isinstance(value, Query):
        uid, text, targets, line = value.uid, value.text, value.targets, value.line
    elif isinstance(value, tuple | list) and len(value) == 3:
        uid, text, targets = value
    else:
        raise BadInput(f"The {what} is {kind_of(value)}; give Query(uid, text, targets) or such a tuple.")
    if not isinstance(uid, str) or not isinstance(text, str):
        raise BadInput(f"The {what} has a uid or text that is no string; give Query(uid, text, targets).")
    if isinstance(targets, str | bytes) or not isinstance(targets, Iterable):
        raise BadInput(f"The {what} ({uid!r:.60}) has no list of targets; give the numbers of its labels.")
    try:
        return Query(uid, text, tuple(_as_index(target) for target in targets), line)
    except TypeError:
        raise BadInput(f"The {what} ({uid!r:.60}) has a target that is no whole number.") from None


def _as_index(value: Any) -> int:
    if isinstance(value, bool):
        raise TypeError
    return operator.index(value)


def as_facts(what: str, value: Any) -> dict[str, Any]:
    """A table that student.json and a bundle's manifest can hold."""
    try:
        facts = dict(value or {})
        json.dumps(facts)
    except (TypeError, ValueError, RecursionError) as error:
        raise BadInput(f"The student's {what} cannot be written as JSON ({error}).") from None
    return facts


def as_texts(values: Any) -> list[str]:
    """Texts that are to be answered, as the runtime takes them: strings, or bytes of UTF-8."""
    texts = []
    for place, value in enumerate(as_items("The texts", values)):
        try:
            texts.append(as_text(f"Text {place}", value).decode("utf-8"))
        except UnicodeDecodeError:
            raise BadInput(f"Text {place} ({shorten(repr(value))}) is not valid UTF-8; convert it to UTF-8.") from None
    return texts


def as_count(what: str, value: Any) -> int:
    """How many labels are wanted."""
    return as_whole(what, value, 1, 2**31 - 1)


def check_targets(split: str, queries: Sequence[Query], label_count: int) -> None:
    """Raise `BadInput` for a query without a gold label, or with one that is not among `label_count`."""
    for query in queries:
        if not query.targets or not all(0 <= target < label_count for target in query.targets):
            raise BadInput(f"{_name(split, query)} has no target or one outside the {label_count} labels; correct it.")


def _name(split: str, query: Query) -> str:
    line = f" (line {query.line})" if query.line else ""
    return f"The {split} query {query.uid!r:.60}{line}"

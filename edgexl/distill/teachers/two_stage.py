"""An edgexl student as a teacher: a larger one, whose screener and reasoner are already apart.

It is trained like any student, only wider and deeper, and its phases answer for whatever label set it is opened with:
labels are encoded from their texts.
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from edgexl.base.arrays import Ints
from edgexl.base.errors import BadInput
from edgexl.data.label_set import LabelSet
from edgexl.distill.teachers.encoder_phase import EncoderPhase
from edgexl.distill.teachers.vectors import ScreenerEncoder, require_finite
from edgexl.predict.float_student import Encoded, Screened
from edgexl.student.contract import call_reasoner
from edgexl.student.student import Student
from edgexl.student.text import encode_texts, pad
from edgexl.student.tokens import bf16

# Queries decided at once: 64 x 128 labels x 256 dimensions of a reasoner are 8 MB an activation.
_DECIDE_BATCH = 64
# Queries that a CPU reasons over at once: activations of more are fresh memory each time, which takes longer to get
# than to fill.
_REASONED_ON_CPU = 16


class TwoStageTeacher(EncoderPhase):
    """A `Teacher` (see `protocol`) around an edgexl student, over `labels`, which need not be the student's own."""

    def __init__(
        self, student: Student, labels: LabelSet, device: str | torch.device = "cpu", source: str = "a student"
    ) -> None:
        if student.label_tower is not None:
            raise BadInput(f"{source} has a label tower, but a teacher encodes labels and queries alike; name another.")
        chosen = torch.device(device)
        # copies, so that the caller's student stays where it is
        self.screener = copy.deepcopy(student.screener).to(chosen).eval()
        self.reasoner = copy.deepcopy(student.reasoner).to(chosen).eval()
        self.shapes = student.shapes
        self.tokenizer: Tokenizer = student.tokenizer
        screening = [json.dumps(dataclasses.asdict(student.shapes), sort_keys=True), student.tokenizer.to_str()]
        encoder_identity = _digest(screening, student.screener)
        encoder = ScreenerEncoder(
            encoder_identity, source, self.screener, student.tokenizer, student.shapes.max_tokens, chosen
        )
        super().__init__(encoder, labels, chosen)
        self.identity = _digest([encoder_identity, labels.sha256()], student.reasoner)
        self.provenance: dict[str, Any] = {"source": source, "kind": "two-stage", **student.provenance}
        self.name = source

    @torch.inference_mode()
    def decide(self, texts: Sequence[str], shortlists: Ints) -> Tensor:
        """The reasoner's logits; a row's pads are left out of what the reasoner sees."""
        logits = torch.full(shortlists.shape, -torch.inf)
        for batch, labels, places in _group_by_length(shortlists, [len(text) for text in texts]):
            decided = self._over_rows([texts[index] for index in batch], labels)
            require_finite(decided, self.name, "a logit", [texts[index] for index in batch])
            logits[torch.from_numpy(batch)[:, None], torch.from_numpy(places)] = decided
        return logits

    @torch.inference_mode()
    def read(self, texts: Sequence[str]) -> Encoded:
        """What the screener makes of texts."""
        ids, mask = (
            torch.from_numpy(part).to(self.device)
            for part in pad(encode_texts(self.tokenizer, texts, self.shapes.max_tokens))
        )
        with bf16(self.device):
            vector, states = self.screener(ids, mask)
        return Encoded(ids, mask, vector.float(), states.float())

    @torch.inference_mode()
    def reason(self, encoded: Encoded, labels: Tensor, label_vectors: Tensor, screening_scores: Tensor) -> Tensor:
        """Logits [B,N] on the CPU over `labels` [B,N], int64, given their vectors [B,N,d] and scores [B,N,2]; of other
        evidence there is none."""
        screened = Screened.of(labels.cpu(), screening_scores.cpu())
        supply = {
            "input_ids": encoded.input_ids,
            "attention_mask": encoded.attention_mask,
            "token_states": encoded.token_states,
            "query_vector": encoded.query_vector,
            "label_vectors": label_vectors,
            "screening_scores": screening_scores,
            "evidence": screened.evidence.to(self.device),
            "screening": screened.screening.to(self.device),
            "label_tokens": self._label_tokens[labels.cpu()].to(self.device),
        }
        size = _REASONED_ON_CPU if self.device.type == "cpu" else len(labels)
        logits = []
        for start in range(0, len(labels), size):
            part = {name: value[start : start + size] for name, value in supply.items()}
            with bf16(self.device):
                logits.append(call_reasoner(self.reasoner, part).float().cpu())
        return torch.cat(logits)

    def _over_rows(self, texts: Sequence[str], labels: Ints) -> Tensor:
        """Logits [B,N] over labels without pads, by the teacher's own rows."""
        search, encoded, at = self.search(), self.read(texts), torch.from_numpy(labels).to(self.device)
        scores = search.all_scores(encoded.query_vector, labels).to(self.device)
        return self.reason(encoded, at, search.vectors[at].float(), scores)

    @cached_property
    def _label_tokens(self) -> Tensor:
        return torch.from_numpy(self._rows.label_pieces(self.shapes.label_tokens))


def _group_by_length(shortlists: Ints, lengths: Sequence[int]) -> Iterator[tuple[Ints, Ints, Ints]]:
    """Batches of rows with equally many labels, like text lengths together: (rows [B], labels [B,M], places [B,M])."""
    present = shortlists >= 0
    counts = present.sum(1)
    for count in np.unique(counts[counts > 0]):
        rows = np.flatnonzero(counts == count)
        rows = rows[np.argsort(np.array(lengths)[rows], kind="stable")]
        for start in range(0, len(rows), _DECIDE_BATCH):
            batch = rows[start : start + _DECIDE_BATCH]
            places = np.nonzero(present[batch])[1].reshape(len(batch), count)
            yield batch, np.take_along_axis(shortlists[batch], places, 1), places


def _digest(parts: Sequence[str], module: nn.Module) -> str:
    """sha256 over strings and a module's class, names and weights."""
    digest = hashlib.sha256("\0".join([*parts, type(module).__qualname__, repr(module)]).encode())
    for name, value in module.state_dict().items():
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\0".encode())
        digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()

"""A sentence-transformers bi-encoder as a teacher, with or without a cross-encoder for its second phase.

BERT-like models are read by edgexl's own importer; any other architecture runs inside sentence-transformers. Only
safetensors are read, and no code out of a model's directory is run.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from torch import Tensor

from edgexl.base.arrays import Ints
from edgexl.base.errors import BadInput
from edgexl.base.fetch import sha256_file
from edgexl.base.progress import Progress
from edgexl.data.label_set import LabelSet
from edgexl.distill.teachers.encoder_phase import EncoderPhase
from edgexl.distill.teachers.vectors import Encoder, ScreenerEncoder, require_finite
from edgexl.student.importer import (
    PACKAGED_MODELS,
    ForeignModel,
    import_sentence_transformer,
    locate_model,
    read_tokenizer,
)
from edgexl.student.tokens import bf16

# Cosines become logits by the factor with which sentence-transformers' ranking loss trains such encoders.
COSINE_SCALE = 20.0
# Pairs of like length judged at once by a cross-encoder: padded tokens a batch, as for encoders.
_PAIR_TOKENS = {"cpu": 4096}
_PAIR_TOKENS_ACCELERATED = 65_536
_PAIR_CUT = 256


class BiEncoderTeacher(EncoderPhase):
    """A `Teacher` (see `protocol`) whose first phase is a bi-encoder's cosine, and whose second is a cross-encoder's
    logit, or the same cosine as a logit where there is no cross-encoder.

    `source` and `cross_encoder` are directories or hub ids, `source` also the name of a packaged model. Raises
    `BadInput` where a model cannot be had or used.
    """

    def __init__(
        self, source: str, labels: LabelSet, device: str | torch.device = "cpu", cross_encoder: str | None = None
    ) -> None:
        self.directory = locate_model(source)
        self.encoder, self.tokenizer = _open_encoder(source, self.directory, torch.device(device))
        super().__init__(self.encoder, labels, torch.device(device))
        self.judge = CrossEncoder(cross_encoder, self.device) if cross_encoder else None
        self.provenance: dict[str, Any] = {"source": self.encoder.name, "kind": "bi-encoder"}
        if source in PACKAGED_MODELS:
            self.provenance["licence"] = PACKAGED_MODELS[source].licence
        self.provenance["weights_sha256"] = self.encoder.identity
        if self.judge:
            self.provenance |= {"cross_encoder": self.judge.name, "cross_encoder_sha256": self.judge.identity}
        answers_depend_on = [self.encoder.identity, self.judge.identity if self.judge else "", labels.sha256()]
        self.identity = hashlib.sha256("\0".join(answers_depend_on).encode()).hexdigest()

    def decide(self, texts: Sequence[str], shortlists: Ints) -> Tensor:
        """The cross-encoder's logit of (text, label text); without one, `COSINE_SCALE` times `score`."""
        if self.judge is None:
            return self.score(texts, shortlists) * COSINE_SCALE
        rows, columns = np.nonzero(shortlists >= 0)
        wanted = zip(rows.tolist(), shortlists[rows, columns].tolist(), strict=True)
        pairs = [(texts[row], self.labels.texts[label]) for row, label in wanted]
        logits = torch.full(shortlists.shape, -torch.inf)
        logits[torch.from_numpy(rows), torch.from_numpy(columns)] = self.judge.logits(pairs)
        return logits


class CrossEncoder:
    """A sequence-classification model with one logit a pair of texts. Raises `BadInput` where `source` is none."""

    def __init__(self, source: str, device: torch.device) -> None:
        from transformers import AutoModelForSequenceClassification

        directory = locate_model(source)
        self.name, self.device = _name(source), device
        try:
            model = AutoModelForSequenceClassification.from_pretrained(
                directory, use_safetensors=True, dtype=torch.float32
            )
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            raise BadInput(f"The cross-encoder {source} cannot be opened: {_first_line(error)}.") from None
        if model.config.num_labels != 1:
            raise BadInput(
                f"The cross-encoder {source} gives {model.config.num_labels} numbers a pair; name one that gives one."
            )
        self.identity = _weights_sha256(directory)
        self.model = model.to(device).eval()
        self.tokenizer = read_tokenizer(directory)
        positions = getattr(model.config, "max_position_embeddings", _PAIR_CUT)
        # RoBERTa-like models count positions from 2
        self.tokenizer.enable_truncation(min(_PAIR_CUT, positions - 2))
        self.pad_id = int(model.config.pad_token_id or 0)
        self.typed = getattr(model.config, "type_vocab_size", 1) > 1

    @torch.inference_mode()
    def logits(self, pairs: Sequence[tuple[str, str]]) -> Tensor:
        """[len(pairs)] in fp32 on the CPU. Raises `BadInput` where one is not finite."""
        out = torch.empty(len(pairs))
        budget = _PAIR_TOKENS.get(self.device.type, _PAIR_TOKENS_ACCELERATED)
        # tokenised a slice at a time: millions of pairs are kept as texts that already exist, not as tokens
        for start in range(0, len(pairs), 1 << 16):
            part = pairs[start : start + (1 << 16)]
            encodings = self.tokenizer.encode_batch(list(part))
            lengths = np.array([len(encoding.ids) for encoding in encodings])
            order = np.argsort(lengths, kind="stable")
            ends = _batch_ends(lengths[order], budget)
            for begin, end in itertools.pairwise([0, *ends]):
                batch = order[begin:end]
                out[torch.from_numpy(batch + start)] = self._batch([encodings[index] for index in batch])
        require_finite(out.unsqueeze(1), self.name, "a logit", [text for text, _ in pairs])
        return out

    def _batch(self, encodings: Sequence[Any]) -> Tensor:
        longest = max(len(encoding.ids) for encoding in encodings)
        ids = torch.full((len(encodings), longest), self.pad_id)
        mask, types = torch.zeros_like(ids), torch.zeros_like(ids)
        for row, encoding in enumerate(encodings):
            length = len(encoding.ids)
            ids[row, :length] = torch.tensor(encoding.ids)
            mask[row, :length] = 1
            types[row, :length] = torch.tensor(encoding.type_ids)
        inputs = {"input_ids": ids, "attention_mask": mask} | ({"token_type_ids": types} if self.typed else {})
        with bf16(self.device):
            logits: Tensor = self.model(**{name: value.to(self.device) for name, value in inputs.items()}).logits
        return logits.float().squeeze(-1).cpu()


def _batch_ends(lengths: Ints, budget_tokens: int) -> list[int]:
    """Where batches end, over lengths in rising order, so that each has at most `budget_tokens` padded tokens."""
    ends, start = [], 0
    for index, length in enumerate(lengths.tolist()):
        if index > start and (index + 1 - start) * length > budget_tokens:
            ends.append(index)
            start = index
    return [*ends, len(lengths)] if len(lengths) else []


class _ForeignEncoder:
    """An encoder that edgexl has no modules for, run by sentence-transformers."""

    def __init__(self, name: str, directory: Path, device: torch.device) -> None:
        from sentence_transformers import SentenceTransformer

        self.name, self.device = name, device
        self.tokenizer: Tokenizer | None = None
        self.max_tokens = 0
        self.identity = _weights_sha256(directory)
        options = {"use_safetensors": True, "dtype": torch.float32}  # transformers 5 would take the file's
        try:
            self.model = SentenceTransformer(str(directory), device=str(device), model_kwargs=options)
        except Exception as error:  # its modules come from many hands
            raise BadInput(f"sentence-transformers cannot open {name}: {_first_line(error)}.") from None

    def encode(self, texts: Sequence[str], progress: Progress) -> Tensor:
        parts = []
        for start in range(0, len(texts), 4096):
            with bf16(self.device):
                part = self.model.encode(list(texts[start : start + 4096]), convert_to_tensor=True)
            parts.append(torch.nn.functional.normalize(part.float().cpu(), dim=-1))
            progress(f"encode by {self.name}", min(start + 4096, len(texts)), len(texts))
        return torch.cat(parts) if parts else torch.empty(0, 0)


def _open_encoder(source: str, directory: Path, device: torch.device) -> tuple[Encoder, Tokenizer | None]:
    """The encoder and, where it is WordPiece, its tokenizer. What the importer has no modules for runs in
    sentence-transformers, where it is such a model."""
    try:
        imported = import_sentence_transformer(directory)
    except ForeignModel:
        if not (directory / "modules.json").is_file():
            raise
        tokenizer = read_tokenizer(directory) if (directory / "tokenizer.json").is_file() else None
        students_can_use_it = tokenizer is not None and isinstance(tokenizer.model, WordPiece)
        return _ForeignEncoder(_name(source), directory, device), tokenizer if students_can_use_it else None
    screener = imported.screener.to(device)
    identity = imported.provenance["weights_sha256"]
    encoder = ScreenerEncoder(identity, _name(source), screener, imported.tokenizer, screener.config.max_tokens, device)
    return encoder, imported.tokenizer


def _weights_sha256(directory: Path) -> str:
    """sha256 over every safetensors file of a model and the JSON beside them, which says how to use it."""
    weights = sorted(directory.glob("*.safetensors")) or sorted(directory.glob("*/*.safetensors"))
    if not weights:
        raise BadInput(f"{directory} has no safetensors; convert its weights (pickles are never read).")
    digest = hashlib.sha256()
    for path in [*weights, *sorted(directory.glob("*.json"))]:
        digest.update(bytes.fromhex(sha256_file(path)))
    return digest.hexdigest()


def _name(source: str) -> str:
    """What people and reports call a model: no path of this machine."""
    return Path(source).resolve().name if Path(source).is_dir() else source


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")

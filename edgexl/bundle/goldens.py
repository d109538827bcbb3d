"""The goldens section: inputs with expected answers, so that a device can test itself."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgexl.base.errors import BadInput

_HEAD = struct.Struct("<IIfI")
_GOLDEN = struct.Struct("<II")
_ANSWER = np.dtype([("label", "<u4"), ("probability", "<f4")])


@dataclass(frozen=True)
class Golden:
    """A text, its token ids, and the first k labels with their probabilities, best first."""

    text: str
    tokens: tuple[int, ...]
    labels: tuple[int, ...]
    probabilities: tuple[float, ...]


@dataclass(frozen=True)
class Goldens:
    """All goldens of a bundle; `tolerance` is the largest difference of a probability that still passes."""

    k: int
    tolerance: float
    items: tuple[Golden, ...]

    def pack(self) -> bytes:
        """The section's bytes."""
        parts = [_HEAD.pack(len(self.items), self.k, self.tolerance, 0)]
        for golden in self.items:
            text = golden.text.encode("utf-8")
            answers = np.array(list(zip(golden.labels, golden.probabilities, strict=True)), _ANSWER)
            assert len(answers) == self.k
            parts += [_GOLDEN.pack(len(text), len(golden.tokens)), answers.tobytes()]
            parts += [np.asarray(golden.tokens, "<i4").tobytes(), text, bytes(-len(text) % 4)]
        return b"".join(parts)

    @classmethod
    def unpack(cls, section: bytes) -> Goldens:
        """Read a section. Raises `BadInput` when it is not exactly as the format says."""
        try:
            count, k, tolerance, reserved = _HEAD.unpack_from(section)
            end, items = _HEAD.size, []
            for _ in range(count):
                text_bytes, token_count = _GOLDEN.unpack_from(section, end)
                answers = np.frombuffer(section, _ANSWER, k, end + _GOLDEN.size)
                end += _GOLDEN.size + answers.nbytes
                tokens = np.frombuffer(section, "<i4", token_count, end)
                end += tokens.nbytes
                text = bytes(section[end : end + text_bytes])
                padding = bytes(section[end + text_bytes : end + text_bytes + -text_bytes % 4])
                end += text_bytes + -text_bytes % 4
                if any(padding) or len(text) != text_bytes:
                    raise ValueError
                labels, probabilities = answers["label"].tolist(), answers["probability"].tolist()
                items.append(Golden(text.decode("utf-8"), tuple(tokens.tolist()), tuple(labels), tuple(probabilities)))
            if reserved or end != len(section):
                raise ValueError
        except (ValueError, struct.error):
            raise BadInput("The bundle's goldens are not as the format says.") from None
        return cls(k, tolerance, tuple(items))


def compare(expected: Golden, labels: Sequence[int], probabilities: Sequence[float], tolerance: float) -> bool:
    """Whether answers (best first, at least k) reproduce `expected`: labels that the golden holds within the tolerance
    of each other may change places, and every probability is within the tolerance."""
    places = {label: place for place, label in enumerate(expected.labels)}
    for place, (label, probability) in enumerate(zip(labels[: len(expected.labels)], probabilities, strict=False)):
        if label not in places:
            return False
        wanted = expected.probabilities[places[label]]
        swapped = abs(wanted - expected.probabilities[place]) < tolerance
        if (places[label] != place and not swapped) or abs(wanted - probability) > tolerance:
            return False
    return True

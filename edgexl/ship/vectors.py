"""The table that every package carries and every binding passes: texts with the labels that the runtime gives, whose
probabilities are equal to the bit wherever the native engine runs.

A line a text, tab-separated: the text, 1 where none fits, else 0, and for each label its id and its probability as the
eight hexadecimal digits of a 32-bit float.
"""

from __future__ import annotations

import struct
from pathlib import Path

from edgexl.base.errors import BadInput
from edgexl.runtime.binding import BundleHandle, open_bundle

NAME = "vectors.tsv"
COUNT, LABELS = 50, 3


def make_vectors(bundle: Path) -> bytes:
    """The table of a bundle: its goldens, then texts of its labels from all over the set, by the scalar kernels.

    Of a small label set there are as many as there are texts. Raises `BadInput` where nothing can be answered.
    """
    lines: dict[str, str] = {}
    with open_bundle(bundle, compiled_only=True, scalar=True) as opened:
        k = min(LABELS, opened.info.shortlist)
        count = opened.info.labels
        spread = (opened.label_text(place * count // COUNT) for place in range(COUNT))
        for text in (*opened.golden_texts(), *spread):
            if len(lines) < COUNT and text.isprintable() and text not in lines:
                line = _line(opened, text, k)
                if line:
                    lines[text] = line
    if not lines:
        raise BadInput(f"{bundle} answers no text of its own; compile it with queries.")
    return "".join(f"{line}\n" for line in lines.values()).encode()


def _line(opened: BundleHandle, text: str, k: int) -> str:
    """The text's line; "" where the text cannot be answered, or an id would break the table."""
    try:
        answer = opened.predict(text, k)
    except BadInput:
        return ""
    if not all(label.id.isprintable() for label in answer.labels):
        return ""
    cells = (cell for label in answer.labels for cell in (label.id, struct.pack(">f", label.probability).hex()))
    return "\t".join((text, str(int(answer.none_fits)), *cells))

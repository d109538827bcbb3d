"""`compile --base OLD`: a bundle as much like an older one as the labels allow, so that the patch from it is small.

Labels keep their numbers; new ones take the places of those that are gone, and then come last. Rotation, coarse code
and code book are fitted to what the older bundle was fitted to, its label texts, by the student as it is now. Where
that gives the older bundle's code book, all of it is kept, with the codes of every label whose text is the same; where
it does not (another student, other settings, aliases that have changed, another machine's sums), the index is built
anew.
"""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from edgexl.base.arrays import Bools, Floats
from edgexl.base.errors import BadInput
from edgexl.base.ragged import Ragged
from edgexl.bundle.layout import Kind
from edgexl.bundle.patch import identity
from edgexl.bundle.read import Bundle, read_bundle
from edgexl.bundle.strings import read_symbols, unpack_strings
from edgexl.compiler.artifact import Artifact
from edgexl.compiler.encoding.encode import encode_rows
from edgexl.data.label_set import LabelSet
from edgexl.index import LabelIndex
from edgexl.index.choice import CoarseCode
from edgexl.index.coarse import BLOCK_ROWS
from edgexl.student.student import Student
from edgexl.student.text import encode_texts


@dataclass(frozen=True)
class Base:
    """The older bundle."""

    bundle: Bundle

    @cached_property
    def ids(self) -> list[str]:
        """Its labels' ids, in order."""
        return unpack_strings(self.bundle.section(Kind.LABEL_IDS))

    @cached_property
    def texts(self) -> list[str]:
        """Their texts."""
        return unpack_strings(self.bundle.section(Kind.LABEL_TEXTS))

    def symbols(self, kind: Kind) -> list[bytes]:
        """What the strings of a section are coded by."""
        return read_symbols(self.bundle.section(kind))

    @property
    def code(self) -> CoarseCode:
        """The form of its coarse codes."""
        book, entries = self.bundle.codebook, np.arange(16)
        subspaces, _, width = book.shape
        halves = [book[:, entries >> j & 1 == bit, j] for j in range(min(width, 4)) for bit in (0, 1)]
        is_sign = width <= 4 and all((half == half[:, :1]).all() for half in halves)
        return CoarseCode("sign" if is_sign else "pq", subspaces * width)

    def fits(self, artifact: Artifact) -> bool:
        """Whether its codes are of the form that the recipe asks for."""
        sizes, recipe = self.bundle.parameters, artifact.recipe.index
        dims = artifact.vectors.shape[1]
        wanted = (dims, recipe.fine_dims_of(dims), recipe.fine_bits, 2 * recipe.code_bytes)
        return (sizes.dims, sizes.fine_dims, sizes.fine_bits, sizes.subspaces) == wanted

    def has(self, codebook: Floats, gain: float) -> bool:
        """Whether this is its code book, to the bit, and its gain."""
        same = np.array_equal(self.bundle.codebook, codebook.astype(np.float32))
        return same and np.float32(gain) == np.float32(self.bundle.parameters.fine_gain)

    def vectors(self, artifact: Artifact, threads: int) -> Floats:
        """The vectors [rows, D] that it was fitted to: those of its own texts, where it has no other rows; else those
        of the rows that it has in common with the artifact."""
        sizes, student = self.bundle.parameters, artifact.student
        if sizes.rows > sizes.labels or student.label_tower is not None:
            return artifact.vectors[self._common_rows(artifact)]
        ids = encode_texts(student.tokenizer, self.texts, artifact.shapes.max_tokens, student.prompts.label)
        return encode_rows(artifact.graphs.label_encoder, Ragged.of(ids, np.int32), True, threads)

    def same_labels(self, labels: LabelSet) -> Bools:
        """[labels]: whether a label stands at the same place in the base, with the same text."""
        both = min(len(labels), len(self.ids))
        same = np.zeros(len(labels), bool)
        pairs = zip(labels.ids[:both], labels.texts[:both], self.ids[:both], self.texts[:both], strict=True)
        same[:both] = [uid == old and text == was for uid, text, old, was in pairs]
        return same

    def _common_rows(self, artifact: Artifact) -> Bools:
        """[rows]: whether all labels of a row are of the base."""
        same, others = self.same_labels(artifact.student.labels), artifact.rows.alias_labels
        strange = np.zeros(len(others), bool)
        strange[others.owners[~same[others.values]]] = True
        return np.concatenate([same, ~strange])

    def keep_codes(self, index: LabelIndex, labels: LabelSet) -> LabelIndex:
        """The index with the base's codes of labels whose text is the same: sums over more rows may round another
        way."""
        same = np.flatnonzero(self.same_labels(labels))
        fine = np.frombuffer(index.fine, np.uint8).reshape(index.rows, -1).copy()
        old_fine = np.frombuffer(self.bundle.section(Kind.FINE_CODES), np.uint8).reshape(-1, fine.shape[1])
        fine[same] = old_fine[same]
        if index.cells is not None:
            return dataclasses.replace(index, fine=fine.tobytes())
        wide = len(index.codebook) // 2
        coarse = np.frombuffer(index.coarse, np.uint8).reshape(-1, wide, BLOCK_ROWS).copy()
        old_coarse = np.frombuffer(self.bundle.section(Kind.COARSE_CODES), np.uint8).reshape(-1, wide, BLOCK_ROWS)
        if self.bundle.cells is None:
            block, place = np.divmod(same, BLOCK_ROWS)
            coarse[block, :, place] = old_coarse[block, :, place]
        return dataclasses.replace(index, fine=fine.tobytes(), coarse=coarse.tobytes())

    def as_facts(self, kept: bool) -> dict[str, Any]:
        """What the manifest says of it."""
        return {"base": {"sha256": identity(self.bundle).hex(), "kept": kept}}


def read_base(path: str | os.PathLike[str]) -> Base:
    """The bundle at `path` to compile after. Raises `BadInput` as `read_bundle` does."""
    return Base(read_bundle(path))


def keep_order(student: Student, base: Base) -> Student:
    """The student with its labels in the base's order. Raises `BadInput` where the base has none of them."""
    place_of = {uid: place for place, uid in enumerate(student.labels.ids)}
    kept = [place_of.pop(uid, None) for uid in base.ids]
    if len(place_of) == len(student.labels):
        raise BadInput(f"{base.bundle.path} has none of the student's labels; give the bundle that is to be updated.")
    new = iter(place_of.values())
    order = [next(new, None) if place is None else place for place in kept]
    order += new
    while None in order:  # there are fewer labels: the last ones fill what is left
        last = order.pop()
        if last is not None:
            order[order.index(None)] = last
    places = np.array(order)
    if np.array_equal(places, np.arange(len(places))):
        return student
    moved = np.empty(len(places), np.int64)
    moved[places] = np.arange(len(places))
    labels, numbers = student.labels, places.tolist()
    ordered = LabelSet(
        tuple(labels.ids[place] for place in numbers),
        tuple(labels.texts[place] for place in numbers),
        tuple(labels.aliases[place] for place in numbers),
        tuple(labels.descriptions[place] for place in numbers),
    )
    queries = [
        tuple(dataclasses.replace(query, targets=tuple(int(moved[t]) for t in query.targets)) for query in split)
        for split in (student.calibration, student.evaluation)
    ]
    return student.with_labels(ordered, *queries)

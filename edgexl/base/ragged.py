"""Lists of unequal length in two flat arrays: what hundreds of thousands of rows of token ids or labels are kept in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgexl.base.arrays import Array, Ints


@dataclass(frozen=True, eq=False)
class Ragged:
    """List i is `values[starts[i] : starts[i + 1]]`; `starts` [lists + 1] ascends from 0 to the number of values."""

    values: Array
    starts: Ints

    @classmethod
    def of(cls, lists: Iterable[Sequence[int]], dtype: npt.DTypeLike) -> Ragged:
        """The lists, as numbers of `dtype`."""
        parts = [np.asarray(part, dtype) for part in lists]
        starts = np.cumsum([0, *map(len, parts)], dtype=np.int64)
        return cls(np.concatenate([np.empty(0, dtype), *parts]), starts)

    @classmethod
    def joined(cls, parts: Sequence[Ragged]) -> Ragged:
        """The lists of all parts (at least one), in order."""
        lengths = np.concatenate([part.lengths for part in parts])
        return cls(np.concatenate([part.values for part in parts]), np.concatenate([[0], np.cumsum(lengths)]))

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, place: int) -> Array:
        return self.values[self.starts[place] : self.starts[place + 1]]

    def __iter__(self) -> Iterator[Array]:
        return (self[place] for place in range(len(self)))

    @property
    def lengths(self) -> Ints:
        """How long each list is."""
        return np.diff(self.starts)

    @property
    def owners(self) -> Ints:
        """For each value the list that it is in."""
        return np.repeat(np.arange(len(self)), self.lengths)

    def take(self, places: Ints) -> Ragged:
        """The lists at `places`, in that order."""
        begins, ends = self.starts[:-1][places], self.starts[1:][places]
        starts = np.concatenate([[0], np.cumsum(ends - begins)])
        shift = np.repeat(begins - starts[:-1], ends - begins)
        return Ragged(self.values[np.arange(len(shift)) + shift], starts)

    def pairs(self, places: Ints) -> tuple[Ints, Array]:
        """(place in `places`, value) of every value of the lists at `places`, in order."""
        chosen = self.take(places)
        return chosen.owners, chosen.values

    def tolist(self) -> list[list[Any]]:
        """Plain lists."""
        return [part.tolist() for part in self]

"""Data sets in the Extreme Classification Repository's raw layout, and builders that make some from public packages."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from edgexl.base.errors import BadInput
from edgexl.base.fetch import cache_directory
from edgexl.base.progress import Progress, no_progress
from edgexl.base.sealed import is_sealed_directory, seal_directory
from edgexl.data.dictionary import build_dictionary
from edgexl.data.layout import (
    Dataset,
    Query,
    open_dataset,
    read_queries,
    refuse_foreign_files,
    write_dataset,
    write_queries,
)
from edgexl.data.mesh import build_mesh
from edgexl.data.wordnet import build_wordnet

__all__ = [
    "BUILDERS", "Dataset", "Query", "build", "open_data", "open_dataset", "read_queries", "write_dataset",
    "write_queries",
]  # fmt: skip

BUILDERS: dict[str, Callable[[Path, Progress], Dataset]] = {
    "dictionary": build_dictionary,
    "mesh": build_mesh,
    "wordnet": build_wordnet,
}


def build(
    name: str, directory: str | os.PathLike[str], progress: Progress = no_progress, descriptions: bool = False
) -> Dataset:
    """Fetch the package behind the data set `name` (one of `BUILDERS`), check its hash and write it to `directory`.

    The same name gives the same bytes. `descriptions` makes WordNet's training glosses describe their labels.
    `progress` is told (what, done, total). Raises `BadInput` for an unknown name, a fetch that fails, descriptions of
    another data set, or a directory that holds other files.
    """
    if name not in BUILDERS:
        raise BadInput(f"There is no data set {name!r} to build; there are {', '.join(sorted(BUILDERS))}.")
    if descriptions and name != "wordnet":
        raise BadInput(f"The data set {name} has no texts that describe its labels; leave descriptions out.")
    refuse_foreign_files(Path(directory))  # now, not after a download and minutes of work
    if descriptions:
        return build_wordnet(Path(directory), progress, descriptions)
    return BUILDERS[name](Path(directory), progress)


def open_data(source: str, progress: Progress = no_progress) -> Dataset:
    """The data set `source`: a built-in one, built into the cache where it is not there yet, or a directory."""
    # names come first: a student written to ./wordnet must not be taken for the data on the next run
    if source in BUILDERS:
        directory = cache_directory() / "data" / source
        if is_sealed_directory(directory):
            return open_dataset(directory)
        dataset = build(source, directory, progress)
        seal_directory(directory)
        return dataset
    return open_dataset(source)

"""Label sets that students name instead of carrying them: built on first use from a public package, kept in the cache,
and checked by hash each time. So are the texts of held-out queries, where edgexl carries none of their source."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from edgexl.base import toml
from edgexl.base.errors import BadInput
from edgexl.base.fetch import cache_directory
from edgexl.base.progress import Progress, no_progress
from edgexl.data import Dataset, Query, open_data
from edgexl.data.label_set import LabelSet
from edgexl.data.mesh import mesh_labels
from edgexl.data.wordnet import described_words


@dataclass(frozen=True)
class BuiltSet:
    """`build` makes the label set without the names that are withheld from it; `texts_from` is the data set that the
    texts of a student's held-out queries come from, where the student does not carry them."""

    build: Callable[[Collection[str], Progress], LabelSet]
    texts_from: str | None = None


LABEL_SETS = {
    # its queries are definitions, not names: nothing is withheld
    "dictionary": BuiltSet(lambda _withheld, progress: described_words(progress), texts_from="dictionary"),
    "mesh": BuiltSet(mesh_labels),
}


def build_labels(
    name: str, withheld: Collection[str], sha256: str | None = None, progress: Progress = no_progress
) -> LabelSet:
    """The label set `name` (one of `LABEL_SETS`) without the aliases in `withheld`, the texts of queries that its
    student is measured by.

    With `sha256`, a label set's own hash, it comes from the cache where it is, and goes there where it is not. Raises
    `BadInput` for an unknown name, a package that cannot be fetched, and labels of another hash.
    """
    built = _set_named(name)
    path = cache_directory() / "labels" / f"{name}-{(sha256 or '')[:16]}.json.gz"
    if sha256 is not None and path.is_file():
        try:
            if (kept := LabelSet.load(path)).sha256() == sha256:
                return kept
        except BadInput:  # damaged: it is built again
            pass
    labels = built.build(withheld, progress)
    if sha256 is None:
        return labels
    if labels.sha256() != sha256:
        raise BadInput(
            f"The labels built for '{name}' have the hash {labels.sha256()[:16]}..., not {sha256[:16]}...: the student "
            "is of another edgexl; use both of one version."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    labels.save(path)
    return labels


def hide_texts(name: str, queries: Sequence[Query]) -> Sequence[Query]:
    """The held-out queries as a student's directory holds them: where the label set `name` has their texts elsewhere,
    without these, and their hashes as uids."""
    if _set_named(name).texts_from is None:
        return queries
    return [replace(query, uid=_hash(query.text), text="") for query in queries]


def find_texts(name: str, queries: Sequence[Query], progress: Progress = no_progress) -> Sequence[Query]:
    """What `hide_texts` hid, texts and all: out of the data set, which is built into the cache on first use. Raises
    `BadInput` where it cannot be, and where it lacks one."""
    source = _set_named(name).texts_from
    if source is None or all(query.text for query in queries):
        return queries
    dataset = open_data(source, progress)
    wanted = {query.uid for query in queries}
    known = {uid: text for text in _texts_of(dataset) if (uid := _hash(text)) in wanted}
    if lacking := wanted - known.keys():
        raise BadInput(
            f"The data set '{source}' lacks the text of {len(lacking):,} held-out queries: the student is of another "
            "edgexl; use both of one version."
        )
    return [replace(query, text=known[query.uid]) for query in queries]


def _set_named(name: str) -> BuiltSet:
    if name not in LABEL_SETS:
        raise BadInput(f"There is no label set '{name}' to build{toml.nearest(name, list(LABEL_SETS))}")
    return LABEL_SETS[name]


def _texts_of(dataset: Dataset) -> Iterator[str]:
    return (query.text for query in chain(dataset.queries("trn"), dataset.queries("tst")))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]

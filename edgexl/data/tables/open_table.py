"""Opening a table in whichever format its file is: by its name where that says it, and by what it holds."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection
from pathlib import Path

from edgexl.base.errors import BadInput
from edgexl.data.tables.content import Content, Decoded, decode, read_content
from edgexl.data.tables.delimited import read_delimited
from edgexl.data.tables.parquet import read_parquet
from edgexl.data.tables.records import is_json_lines, read_json, read_json_lines
from edgexl.data.tables.roles import is_column_name
from edgexl.data.tables.table import Table
from edgexl.data.tables.thesaurus import read_thesaurus

_THESAURI = {".ttl": "turtle", ".turtle": "turtle", ".rdf": "xml", ".owl": "xml", ".skos": "xml", ".nt": "nt"}
_TURTLE = re.compile(r"(\s*(#[^\n]*)?\n)*\s*(@prefix|@base|PREFIX\b|BASE\b)", re.IGNORECASE)
_NTRIPLE = re.compile(r"\s*<[^>\s]+>\s+<[^>\s]+>\s")
FORMATS = "CSV, TSV, JSON, JSON lines, Parquet, plain text (a label a line) or an RDF thesaurus, gzipped or not"


def read_table(path: str | os.PathLike[str], language: str | None = None, names: Collection[str] = ()) -> Table:
    """Read a file into a table. `language` is a thesaurus' alone; `names` are columns that it is known to have.

    Raises `BadInput` where the file cannot be read, is damaged, or is no table in a format that is read. Rows that are
    wrong by themselves are the table's `problems`.
    """
    if Path(path).is_dir():
        raise BadInput(f"{os.fspath(path)} is a directory; give a file: {FORMATS}.")
    content = read_content(path)
    if content.raw.startswith(b"PAR1"):
        return read_parquet(content)
    suffix = _suffix(path)
    if suffix in (".parquet", ".pq"):
        raise BadInput(f"{content.path} is no Parquet file (it does not begin with PAR1); fetch or save it again.")
    decoded = decode(content)

    def is_known(name: str) -> bool:
        return name in names or is_column_name(name)

    table = _read_text(content, decoded, suffix, language, is_known)
    details = {"encoding": decoded.encoding, **({"compression": "gzip"} if content.gzipped else {}), **table.details}
    notes = (*((decoded.note,) if decoded.note else ()), *table.notes)
    return Table(**{**vars(table), "details": details, "notes": notes})


def _suffix(path: str | os.PathLike[str]) -> str:
    """The end of a file's name that says its format, in lower case."""
    name = Path(path).name.lower()
    return Path(name.removesuffix(".gz")).suffix


def _read_text(
    content: Content, decoded: Decoded, suffix: str, language: str | None, is_known: Callable[[str], bool]
) -> Table:
    file, text = content.path, decoded.text
    head = text.lstrip()[:1]
    if suffix in _THESAURI:
        return read_thesaurus(file, text, _THESAURI[suffix], language)
    if suffix in (".jsonl", ".ndjson"):
        return read_json_lines(file, text)
    if suffix == ".json":
        return read_json_lines(file, text) if head == "{" and is_json_lines(text) else read_json(file, text)
    if suffix in (".csv", ".tsv", ".tab"):
        return read_delimited(file, text, suffix != ".csv", is_known)
    if suffix == ".txt":
        return read_lines_of_text(file, text)
    if suffix == ".xml" or text.lstrip().startswith(("<?xml", "<rdf:RDF")):
        if "rdf:RDF" not in text[:4096]:
            raise BadInput(f"{file} is XML, but no RDF; give {FORMATS}.")
        return read_thesaurus(file, text, "xml", language)
    if _TURTLE.match(text):
        return read_thesaurus(file, text, "turtle", language)
    if _NTRIPLE.match(text):
        return read_thesaurus(file, text, "nt", language)
    if head == "[":
        return read_json(file, text)
    if head == "{":
        return read_json_lines(file, text) if is_json_lines(text) else read_json(file, text)
    first = text.lstrip("\n\r").partition("\n")[0]
    if any(mark in first for mark in ",;\t|"):
        return read_delimited(file, text, "\t" in first, is_known)
    return read_lines_of_text(file, text)


def read_lines_of_text(file: str, text: str) -> Table:
    """A table of plain text: a row a line that is not blank."""
    lines = re.split(r"\r\n|\n|\r", text)
    kept = [(number, line.strip()) for number, line in enumerate(lines, 1) if line.strip()]
    rows = [[line] for _, line in kept]
    return Table(file, "plain text", ("text",), rows, [number for number, _ in kept], roles={"text": ("text",)})

"""The texts that a profile answers: of a file of lines, of a table, or the held-out queries of a data set."""

from __future__ import annotations

from pathlib import Path

from edgexl.base.errors import BadInput
from edgexl.base.files import read_input
from edgexl.bundle.read import Bundle
from edgexl.data.tables.open_table import read_table
from edgexl.data.tables.queries import is_raw_layout
from edgexl.data.tables.roles import QUERY_TEXTS, holds_words, named

_TABLES = (".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet")


def read_texts(path: Path, bundle: Bundle) -> list[str]:
    """The texts, of one line each. Raises `BadInput` where there are none, or a table does not say which they are."""
    name = path.name.lower().removesuffix(".gz")
    if path.is_dir() or (name.endswith(_TABLES) and path.is_file() and is_raw_layout(path)):
        from edgexl.use.evaluate import read_held_out

        texts = [query.text for query in read_held_out(path, bundle, None).queries]
    elif name.endswith(_TABLES) and path.is_file():
        texts = _column(path)
    else:
        texts = read_input(path).decode("utf-8", errors="replace").removeprefix("\ufeff").splitlines()
    lines = [line for text in texts if (line := " ".join(text.split()))]
    if not lines:
        raise BadInput(f"{path} holds no query; give a file with a text a line.")
    return lines


def _column(path: Path) -> list[str]:
    table = read_table(path)
    wordy = [name for name in table.columns if holds_words(table, name)]
    found = named(wordy, QUERY_TEXTS) or (tuple(wordy) if len(wordy) == 1 else ())
    if not found:
        names = ", ".join(f"'{name}'" for name in table.columns[:8])
        raise BadInput(f"{path}: none of the columns {names} is known to be the queries' text; call it 'query'.")
    place = table.column(found[0])
    return [row[place] for row in table.rows if isinstance(row[place], str)]

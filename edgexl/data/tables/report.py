"""What a file was understood to be, counted and sampled: for people, and for `edgexl data show --json`."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from typing import Any

from edgexl.data.label_set import LabelSet
from edgexl.data.tables.labels import LabelTable, read_labels
from edgexl.data.tables.queries import LabelNames, QueryTable, read_query_table
from edgexl.data.tables.roles import Wanted
from edgexl.data.tables.scripts import count_scripts
from edgexl.data.tables.table import Problem, Table

SAMPLES = 10
# Problems that a report names; more are counted.
_NAMED = 100


def describe_labels(
    path: str | os.PathLike[str], wanted: Wanted | None = None, language: str | None = None
) -> dict[str, Any]:
    """A report on a file of labels. Raises `BadInput` where the file as a whole is wrong."""
    found = read_labels(path, wanted, language)
    columns = {
        "id": found.columns.id,
        "text": found.columns.text,
        "aliases": list(found.columns.aliases),
        "descriptions": list(found.columns.descriptions),
        "passed_over": list(found.columns.unused),
    }
    aliases = [alias for own in found.aliases for alias in own]
    described = [text for own in found.descriptions for text in own]
    report = _head(found.table, found.columns.sentence(), columns, found.notes)
    report |= {
        "labels": len(found.ids),
        "aliases": len(aliases),
        "descriptions": len(described),
        "with_aliases": sum(map(bool, found.aliases)),
        "with_descriptions": sum(map(bool, found.descriptions)),
        "repeated_texts": _repeated(found),
        "longest": _longest(found),
        "scripts_percent": count_scripts([*found.texts, *aliases]),
        "labels_sha256": None if found.problems else _sha256(found),
        "samples": [
            {
                "line": found.lines[at],
                "id": found.ids[at],
                "text": found.texts[at],
                "aliases": list(found.aliases[at]),
                "descriptions": list(found.descriptions[at]),
            }
            for at in _spread(len(found.ids))
        ],
    }
    return report | _refused(found.problems)


def describe_queries(
    path: str | os.PathLike[str],
    labels: LabelSet,
    text: str | None = None,
    gold: Sequence[str] = (),
) -> dict[str, Any]:
    """A report on a file of queries over `labels`. Raises `BadInput` where the file as a whole is wrong."""
    found = read_query_table(path, LabelNames.of(labels.ids, labels.texts), text, gold)
    columns = {
        "text": found.columns.text,
        "labels": list(found.columns.labels),
        "passed_over": list(found.columns.unused),
    }
    targets = [target for query in found.queries for target in query.targets]
    report = _head(found.table, found.columns.sentence(), columns, found.notes)
    report |= {
        "queries": len(found.queries),
        "labels_per_query": round(len(targets) / len(found.queries), 3) if found.queries else 0.0,
        "labels_named": len(set(targets)),
        "labels_of": len(labels),
        "longest": _longest_query(found),
        "scripts_percent": count_scripts(query.text for query in found.queries),
        "samples": [
            {
                "line": found.queries[at].line,
                "text": found.queries[at].text,
                "labels": [labels.texts[target] for target in found.queries[at].targets],
            }
            for at in _spread(len(found.queries))
        ],
    }
    return report | _refused(found.problems)


def _head(table: Table, understood: str, columns: dict[str, Any], notes: Sequence[str]) -> dict[str, Any]:
    return {
        "data": table.file,
        "format": table.format,
        **table.details,
        "unit": table.unit,
        "rows": len(table.rows) + len(table.problems),
        "columns": columns,
        "understood": understood,
        "notes": list(notes),
    }


def _refused(problems: Sequence[Problem]) -> dict[str, Any]:
    ordered = sorted(problems, key=lambda problem: problem.line)
    return {
        "refused": len(ordered),
        "problems": [{"line": problem.line, "problem": problem.what} for problem in ordered[:_NAMED]],
    }


def _repeated(found: LabelTable) -> dict[str, Any]:
    """Texts that several labels have, letter case aside."""
    counts = Counter(text.casefold() for text in found.texts)
    repeated = [text for text, count in counts.most_common() if count > 1]
    return {"texts": len(repeated), "labels": sum(counts[text] for text in repeated), "first": repeated[:3]}


def _longest(found: LabelTable) -> dict[str, Any]:
    """The longest text, alias and description: characters and line."""
    longest = {}
    lists: dict[str, list[tuple[str, ...]]] = {
        "text": [(text,) for text in found.texts],
        "alias": found.aliases,
        "description": found.descriptions,
    }
    for kind, lists_of in lists.items():
        length, line = max(
            ((len(text), -line) for own, line in zip(lists_of, found.lines, strict=True) for text in own),
            default=(0, 0),
        )
        if length:
            longest[kind] = {"characters": length, "line": -line}
    return longest


def _longest_query(found: QueryTable) -> dict[str, Any]:
    if not found.queries:
        return {}
    longest = max(found.queries, key=lambda query: len(query.text))
    return {"query": {"characters": len(longest.text), "line": longest.line}}


def _sha256(found: LabelTable) -> str:
    return found.label_set().sha256()


def _spread(count: int) -> list[int]:
    """Places of samples: the first ones and some from all over."""
    if count <= SAMPLES:
        return list(range(count))
    return sorted({*range(3), *(3 + place * (count - 4) // (SAMPLES - 4) for place in range(SAMPLES - 3))})

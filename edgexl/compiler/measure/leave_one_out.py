"""How well labels are found by a name or a description that they have, when the index does not hold just that one.

It takes no queries: each of a sample of aliases and passages of descriptions is a query for its labels, over all rows
but its own. Exact search of float vectors; neither the reasoner nor the lexical side counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgexl.base.arrays import Floats, Ints
from edgexl.compiler.artifact import Artifact
from edgexl.compiler.encoding.encode import encode_queries
from edgexl.data import Query
from edgexl.index.rows import Rows

# A percentage of so many is known within four points.
SAMPLE = 500
DEPTH = 100
_BATCH = 32


def leave_one_out(
    artifact: Artifact, rows: Rows, vectors: Floats, texts: Sequence[str], threads: int = 1
) -> dict[str, Any]:
    """{"aliases" or "descriptions": {"queries", "P@1", "R@100"}}, percentages, for the kinds of rows that there are.

    vectors: [rows, D]; texts: each row's, before it is joined with any; R@100 counts queries of which a gold label is
    among the first 100.
    """
    first, end = rows.labels, len(rows) - rows.descriptions
    kinds = {"aliases": np.arange(first, end), "descriptions": np.arange(end, len(rows))}
    found = {}
    for kind, members in kinds.items():
        if len(members) > SAMPLE:
            members = np.sort(np.random.default_rng(0).choice(members, SAMPLE, replace=False))
        if len(members):
            queries = [Query("", texts[row], ()) for row in members.tolist()]
            ranks = _ranks(rows, vectors, members, encode_queries(artifact, queries, threads))
            shares = {"P@1": ranks < 1, f"R@{DEPTH}": ranks < DEPTH}
            percentages = {name: round(100 * float(hits.mean()), 2) for name, hits in shares.items()}
            found[kind] = {"queries": len(members), **percentages}
    return found


def _ranks(rows: Rows, vectors: Floats, members: Ints, queries: Floats) -> Ints:
    """How many labels come before the best of a row's own, when that row is not there; of each of `members`."""
    owners, labels = rows.alias_labels.owners, rows.alias_labels.values.astype(np.int64)
    ranks = np.empty(len(members), np.int64)
    for begin in range(0, len(members), _BATCH):
        scores = queries[begin : begin + _BATCH] @ vectors.T
        for place, row in enumerate(members[begin : begin + _BATCH].tolist()):
            own = scores[place]
            own[row] = -np.inf
            best = own[: rows.labels].copy()
            np.maximum.at(best, labels, own[rows.labels + owners])
            gold = rows.alias_labels[row - rows.labels].astype(np.int64)
            ranks[begin + place] = (best > best[gold].max()).sum()
    return ranks

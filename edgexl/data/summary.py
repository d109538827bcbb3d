"""What a data set holds, counted: for people, and for the command line's `data show`."""

from __future__ import annotations

from typing import Any

from edgexl.base.progress import Progress, no_progress, track
from edgexl.data.layout import Dataset, Split

_SAMPLES = 5


def summarize(dataset: Dataset, progress: Progress = no_progress) -> dict[str, Any]:
    """Counts of a data set and of each split, with the first few test queries. Reads every line, and so checks it."""
    labels = dataset.labels
    summary: dict[str, Any] = {
        "data": str(dataset.directory),
        "labels": len(labels),
        "aliases": sum(map(len, labels.aliases)),
        "descriptions": sum(map(len, labels.descriptions)),
        "labels_sha256": labels.sha256(),
    }
    splits: tuple[Split, ...] = ("trn", "tst")
    for split in track(splits, "count", progress, every=1):
        queries = targets = without = 0
        for query in dataset.queries(split):
            queries += 1
            targets += len(query.targets)
            without += not query.targets
            if split == "tst" and queries <= _SAMPLES:
                texts = [labels.texts[target] for target in query.targets]
                summary.setdefault("samples", []).append({"text": query.text, "labels": texts})
        summary[split] = {
            "queries": queries,
            "labels_per_query": round(targets / queries, 3) if queries else 0.0,
            "without_labels": without,
        }
    return summary

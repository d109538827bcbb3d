"""The lexical index against TF-IDF over character n-grams (scikit-learn): what is found, in how many bytes, how fast.

    python -m benchmarks.lexical [DATA] [--queries 1000] [--rounds 5] [--budgets 16 12] [--added 15000]
                              [--without-tfidf]

DATA is a data set's name or directory. "Nothing left out" is the same index without a budget: all features of all
words, and all rows of every word. Rows are its labels' texts and aliases, a label as good as its best row. Both
sides answer each test query in turn, on one core; a query's time is the least of its rounds. `--budgets` adds indexes
of so many bytes a row at most, `--added` ones to which so many rows are added, as a device adds labels: the first ones
again, every third spelled backwards, so that its words are new.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from edgexl.base.arrays import Ints
from edgexl.compiler.recipe import IndexRecipe
from edgexl.data import open_data
from edgexl.data.metrics import precisions, recalls
from edgexl.index.lexical import build_lexical
from edgexl.runtime.lexical import LexicalIndex

DEPTH = 100
ROWS = 3 * DEPTH  # so many of the best rows nearly always have 100 labels
NGRAMS = (2, 4)


@dataclass(eq=False)
class Side:
    """One way to search: the best rows of a query, bytes a row, and what came of it."""

    name: str
    search: Callable[[str], Ints]
    bytes_a_row: float
    ranked: list[Ints] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", default="mesh")
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--budgets", type=float, nargs="*", default=[])
    parser.add_argument("--added", type=int, nargs="*", default=[])
    parser.add_argument("--without-tfidf", action="store_true")
    options = parser.parse_args()
    data = open_data(options.data)
    labels, every = data.labels, list(data.queries("tst"))
    draw = np.random.default_rng(0).permutation(len(every))[: options.queries]
    queries = [every[i].text for i in sorted(draw.tolist())]
    gold = [every[i].targets for i in sorted(draw.tolist())]
    rows = [*labels.texts, *(alias for aliases in labels.aliases for alias in aliases)]
    label_of = np.repeat(np.arange(len(labels)), [len(aliases) for aliases in labels.aliases])
    label_of = np.concatenate([np.arange(len(labels)), label_of])
    sides = [lexical_side("lexical", rows, bytes_a_row=IndexRecipe.lexical_bytes)]
    sides += [lexical_side(f"lexical, {budget:g} bytes", rows, bytes_a_row=budget) for budget in options.budgets]
    sides += [lexical_side(f"lexical, {count:,} added", rows, added=count) for count in options.added]
    label_of = np.concatenate([label_of, label_of[: max(options.added, default=0)]])
    sides.append(lexical_side("nothing left out", rows, most_feature_share=1.0, dense_share=1.0))
    if not options.without_tfidf:
        sides.append(tfidf_side(rows))
    measure(sides, queries, label_of, options.rounds)
    print(f"{len(rows):,} rows of {len(labels):,} labels, {len(queries):,} queries, one core of {cpu()}")
    for side in sides:
        print(describe(side, gold))


def lexical_side(name: str, rows: Sequence[str], added: int = 0, **options: float) -> Side:
    """The section, in C, and so many of the rows added once more."""
    started = time.process_time()
    section = build_lexical(rows, **options).pack()
    print(f"{name}: built in {time.process_time() - started:.1f} s of processor time")
    index = LexicalIndex(section, len(rows), ROWS)
    if added:
        started = time.process_time()
        index.add([text if place % 3 else text[::-1] for place, text in enumerate(rows[:added])], len(rows))
        print(f"{name}: added in {time.process_time() - started:.3f} s of processor time")

    def search(text: str) -> Ints:
        return index.query(text)[0].astype(np.int64)

    return Side(name, search, len(section) / len(rows))


def tfidf_side(rows: Sequence[str]) -> Side:
    """Sparse vectors of n-grams, every row compared; the bytes are those of the matrix."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=NGRAMS, sublinear_tf=True, dtype=np.float32)
    columns = vectorizer.fit_transform(rows).T.tocsr()

    def search(text: str) -> Ints:
        scores = (vectorizer.transform([text]) @ columns).toarray()[0]
        best = np.argpartition(-scores, min(ROWS, len(scores) - 1))[:ROWS]
        ranked: Ints = best[np.lexsort((best, -scores[best]))]
        return ranked

    size = columns.data.nbytes + columns.indices.nbytes
    return Side("scikit-learn TF-IDF, char_wb 2 to 4", search, size / len(rows))


def measure(sides: Sequence[Side], queries: Sequence[str], label_of: Ints, rounds: int) -> None:
    """Fills in what each side finds, and in how long."""
    for text in queries:
        least = [np.inf] * len(sides)
        for _ in range(rounds):
            for i, side in enumerate(sides):
                started = time.perf_counter()
                found = side.search(text)
                least[i] = min(least[i], time.perf_counter() - started)
                if len(side.ranked) == len(side.seconds):
                    side.ranked.append(first_labels(label_of[found]))
        for side, seconds in zip(sides, least, strict=True):
            side.seconds.append(seconds)


def first_labels(labels: Ints) -> Ints:
    """Each label once, where it stands first; filled up with -1."""
    _, first = np.unique(labels, return_index=True)
    found = labels[np.sort(first)][:DEPTH]
    return np.pad(found, (0, DEPTH - len(found)), constant_values=-1)


def describe(side: Side, gold: Sequence[Sequence[int]]) -> str:
    """A line of figures."""
    ranked = np.stack(side.ranked)
    values = [100 * float(np.mean(precisions(ranked, gold, 1)))]
    values += [100 * float(np.mean(recalls(ranked, gold, k))) for k in (10, DEPTH)]
    milliseconds = 1000 * np.array(side.seconds)
    quality = f"P@1 {values[0]:.1f}  R@10 {values[1]:.1f}  R@100 {values[2]:.1f}"
    half, most = np.percentile(milliseconds, [50, 95])
    speed = f"{half:.3f} ms a query (median; mean {milliseconds.mean():.3f}, 95 of 100 within {most:.3f})"
    return f"{side.name}: {quality}; {side.bytes_a_row:.1f} bytes a row; {speed}"


def cpu() -> str:
    """The processor's name, where the system tells it."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "an unknown CPU")


if __name__ == "__main__":
    main()

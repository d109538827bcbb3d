"""The frame of a rival's program: it meets the rest of the benchmark through files and three commands alone.

    PROGRAM train WORK MODEL SETTINGS   learn from WORK, write to the directory MODEL all that answering needs
    PROGRAM rank  WORK MODEL SETTINGS   answer every test query, one call each, into WORK's rankings (see below)
    PROGRAM time  WORK MODEL SETTINGS   answer the first `queries` of SETTINGS and print how long each took

WORK holds trn.jsonl and tst.jsonl ({"text", "labels"} a line) and lbl.jsonl ({"text"} a line). Each command prints one
JSON object as its last line. `rank` writes MODEL.rankings.json: for each query its labels from best to worst.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

RANKS = 100
Answer = Callable[[str], list[int]]


@dataclass(frozen=True)
class Work:
    """The files of a data set, read when they are asked for."""

    directory: Path

    def training(self, label_texts: bool) -> tuple[list[str], list[list[int]]]:
        """(texts, labels of each) of the training split; `label_texts` adds each label's own text as one more query."""
        queries = self._lines("trn")
        texts, targets = [query["text"] for query in queries], [query["labels"] for query in queries]
        if label_texts:
            own = self.labels()
            texts, targets = texts + own, targets + [[number] for number in range(len(own))]
        return texts, targets

    def test(self) -> list[str]:
        return [query["text"] for query in self._lines("tst")]

    def labels(self) -> list[str]:
        return [label["text"] for label in self._lines("lbl")]

    def _lines(self, name: str) -> list[dict[str, Any]]:
        with open(self.directory / f"{name}.jsonl", encoding="utf-8") as lines:
            return [json.loads(line) for line in lines]


def run(
    train: Callable[[Work, Path, dict[str, Any]], None],
    load: Callable[[Path, dict[str, Any]], Answer],
    packages: tuple[str, ...],
) -> None:
    """Carry out the command line. `load` returns what answers a text with its best `RANKS` labels, best first."""
    command, work, model, settings = sys.argv[1], Work(Path(sys.argv[2])), Path(sys.argv[3]), json.loads(sys.argv[4])
    if command == "train":
        report = _train(train, work, model, settings)
        report["versions"] = {"python": platform.python_version()} | {name: version(name) for name in packages}
    elif command == "rank":
        rankings, report = _answer(load(model, settings), work.test())
        model.with_name(model.name + ".rankings.json").write_text(json.dumps(rankings), encoding="utf-8")
    else:
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        answer, texts = load(model, settings), work.test()[: settings["queries"]]
        for text in texts[:5]:  # whatever is set up at the first call is no query's time
            answer(text)
        report = _answer(answer, texts)[1]
    print(json.dumps(report))


def _train(
    train: Callable[[Work, Path, dict[str, Any]], None], work: Work, model: Path, settings: dict[str, Any]
) -> dict[str, Any]:
    model.mkdir(parents=True)
    began = time.perf_counter()
    train(work, model, settings)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "wall_minutes": (time.perf_counter() - began) / 60,
        "processor_minutes": (usage.ru_utime + usage.ru_stime) / 60,
        "peak_resident_mb": usage.ru_maxrss * 1024 / 1e6,
    }


def _answer(answer: Answer, texts: list[str]) -> tuple[list[list[int]], dict[str, float]]:
    rankings, wall_ms, processor_ms = [], [], []
    for text in texts:
        wall, processor = time.perf_counter(), time.process_time()
        rankings.append(answer(text))
        processor_ms.append(1e3 * (time.process_time() - processor))
        wall_ms.append(1e3 * (time.perf_counter() - wall))
    return rankings, {"p50_ms": statistics.median(wall_ms), "processor_p50_ms": statistics.median(processor_ms)}

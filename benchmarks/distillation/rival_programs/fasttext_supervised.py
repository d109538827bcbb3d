"""fastText's supervised classifier, plain or quantized."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

import fasttext
from program import RANKS, Answer, Work, run

PREFIX = "__label__"


def train(work: Work, model: Path, settings: dict[str, Any]) -> None:
    """Learn a classifier; with `source`, quantize the one in that directory instead (both of its matrices)."""
    if settings["source"]:
        classifier = fasttext.load_model(str(Path(settings["source"]) / "model.bin"))
        classifier.quantize(qnorm=True, qout=True, thread=settings["threads"])
        classifier.save_model(str(model / "model.ftz"))
        return
    texts, targets = work.training(settings["label_texts"])
    with tempfile.TemporaryDirectory(dir=model.parent) as scratch:
        path = Path(scratch) / "data.txt"
        with open(path, "w", encoding="utf-8") as data:
            for text, labels in zip(texts, targets, strict=True):
                data.write(" ".join([*(f"{PREFIX}{label}" for label in labels), words(text)]) + "\n")
        del texts, targets
        runs = {"minn": 3, "maxn": 5} if settings["features"] == "words+chars" else {}
        classifier = fasttext.train_supervised(
            str(path), thread=settings["threads"], verbose=0, seed=0, **settings["hyper"], **runs
        )
    classifier.save_model(str(model / "model.bin"))


def load(model: Path, settings: dict[str, Any]) -> Answer:
    classifier = fasttext.load_model(str(next(model.glob("model.*"))))

    def answer(text: str) -> list[int]:
        names, _ = classifier.predict(words(text), k=RANKS)
        return [int(name.removeprefix(PREFIX)) for name in names]

    return answer


def words(text: str) -> str:
    """The text as fastText wants it: lower-cased words between blanks, on one line."""
    return " ".join(re.findall(r"\w+", text.lower()))


if __name__ == "__main__":
    run(train, load, ("fasttext-wheel", "numpy"))

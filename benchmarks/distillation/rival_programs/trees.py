"""Parabel and Bonsai, in omikuji's implementation of both, over TF-IDF features."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import omikuji
from features import fit_features, label_matrix, load_features
from program import RANKS, Answer, Work, run
from sklearn.datasets import dump_svmlight_file


def train(work: Work, model: Path, settings: dict[str, Any]) -> None:
    """Learn `trees` trees: balanced binary ones (Parabel) or, with `bonsai`, wide and shallow unbalanced ones."""
    texts, targets = work.training(settings["label_texts"])
    right = label_matrix(targets, len(work.labels()))
    features = fit_features(texts, settings["features"], model)
    hyper = omikuji.Model.default_hyper_param()
    hyper.n_trees = settings["trees"]
    if settings["bonsai"]:  # as omikuji's README has it for Bonsai
        hyper.cluster_k, hyper.cluster_balanced, hyper.max_depth = 100, False, 3
    with tempfile.TemporaryDirectory(dir=model.parent) as scratch:
        body, path = Path(scratch) / "body.txt", Path(scratch) / "data.txt"
        dump_svmlight_file(features, right, str(body), multilabel=True)
        with open(path, "w") as data, open(body) as lines:
            data.write(f"{features.shape[0]} {features.shape[1]} {right.shape[1]}\n")
            data.writelines(lines)
        body.unlink()
        del features, right, texts, targets
        trained = omikuji.Model.train_on_data(str(path), hyper, settings["threads"])
    trained.save(str(model / "trees"))


def load(model: Path, settings: dict[str, Any]) -> Answer:
    features, trees = load_features(model), omikuji.Model.load(str(model / "trees"))
    trees.init_prediction_thread_pool(1)

    def answer(text: str) -> list[int]:
        row = features.transform([text])
        pairs = list(zip(row.indices.tolist(), row.data.tolist(), strict=True))
        return [label for label, _ in trees.predict(pairs, beam_size=settings["beam"], top_k=RANKS)]

    return answer


if __name__ == "__main__":
    run(train, load, ("omikuji", "scikit-learn", "numpy"))

"""XR-Linear of PECOS over TF-IDF features: a hierarchical label tree of linear rankers, answered by beam search."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from features import fit_features, label_matrix, load_features
from pecos.xmc import Indexer, LabelEmbeddingFactory
from pecos.xmc.xlinear.model import XLinearModel
from program import RANKS, Answer, Work, run
from scipy.sparse import csr_matrix


def train(work: Work, model: Path, settings: dict[str, Any]) -> None:
    """Cluster labels by the features of their queries (PIFA), then learn a ranker a tree level, as PECOS has it."""
    texts, targets = work.training(settings["label_texts"])
    features = fit_features(texts, settings["features"], model)
    right = label_matrix(targets, len(work.labels()))
    del texts, targets
    embedding = LabelEmbeddingFactory.create(right, features, method="pifa")
    clusters = Indexer.gen(embedding, indexer_type="hierarchicalkmeans", seed=0, threads=settings["threads"])
    del embedding
    trained = XLinearModel.train(
        features, right, C=clusters, threshold=settings["weight_threshold"], threads=settings["threads"]
    )
    trained.save(str(model / "xlinear"))


def load(model: Path, settings: dict[str, Any]) -> Answer:
    features = load_features(model)
    # PECOS's fast path for inference alone: weights stay in their C++ form, only sparse input is taken
    ranker = XLinearModel.load(str(model / "xlinear"), is_predict_only=True)

    def answer(text: str) -> list[int]:
        row = csr_matrix(features.transform([text]), dtype=np.float32)
        scored = ranker.predict(row, beam_size=settings["beam"], only_topk=RANKS, threads=1)
        return [int(label) for label in scored.indices[np.argsort(-scored.data, kind="stable")]]

    return answer


if __name__ == "__main__":
    run(train, load, ("libpecos", "scikit-learn", "scipy", "numpy"))

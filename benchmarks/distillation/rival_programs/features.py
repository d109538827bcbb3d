"""TF-IDF features of texts and the matrix of their gold labels, for rivals that learn linear models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import joblib
import numpy as np
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import FeatureUnion

FILE = "features.joblib"


def fit_features(texts: list[str], kind: str, model: Path) -> csr_matrix:
    """Features [texts, n] fp32 of the training texts; what makes the same of other texts goes to `model`.

    `kind`: "words" (every word, digits and single letters included), or "words+chars" (also the runs of 3 to 5
    characters inside words that occur at least twice).
    """
    words = TfidfVectorizer(token_pattern=r"(?u)\b\w+\b", sublinear_tf=True, dtype="float32")
    if kind == "words":
        maker: Any = words
    else:
        runs = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), min_df=2, sublinear_tf=True, dtype="float32")
        maker = FeatureUnion([("words", words), ("chars", runs)])
    made = csr_matrix(maker.fit_transform(texts))
    for vectorizer in [words] if kind == "words" else [words, runs]:
        # only the words' numbers are needed from here on
        vectorizer.__dict__.pop("stop_words_", None)
    joblib.dump(maker, model / FILE, compress=0)
    return made


def load_features(model: Path) -> Any:
    """What `fit_features` left: its `transform` makes features [texts, n] of texts."""
    return joblib.load(model / FILE)


def label_matrix(targets: list[list[int]], labels: int) -> csr_matrix:
    """[texts, labels] fp32: 1 where a label is a text's gold one."""
    starts = np.concatenate([[0], np.cumsum([len(each) for each in targets])])
    columns = np.array([label for each in targets for label in each], dtype=np.int32)
    made = csr_matrix((np.ones(len(columns), dtype=np.float32), columns, starts), shape=(len(targets), labels))
    made.sort_indices()
    return made

"""Whether the tokens of a label's best description would tell a reasoner more than its vector does.

    python -m benchmarks.description_tokens words WORDS.tsv [--student wordnet]
    python -m benchmarks.description_tokens icd [--encoder all-MiniLM-L6-v2] [--queries 1500]

`words`: people's descriptions of words, asked of WordNet's labels with its glosses as descriptions (WORDS.tsv as in
`benchmarks/descriptions.py`). `icd`: an inclusion term asks for its ICD-10-CM code, of which the other inclusion terms
are descriptions. An exact search makes shortlists of 128. A ranker, a softmax over each shortlist of a weighted sum, is
fitted on four fifths of the queries and judged on the last, in turn: by the evidence that a reasoner has today (own
text, alias, best description, votes, the reasoner's logit where there is one), and with what tokens would add: how near
each of the query's token states comes to one of the best description's, averaged (late interaction, by the screener's
own states, which no device could encode for 128 labels a query: the most that such an input could tell), and the share
of the query's words, by rarity, that stand in it.
"""

from __future__ import annotations

import argparse
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.descriptions import described
from benchmarks.label_sets import build_icd
from benchmarks.lexical import cpu
from edgexl.base.arrays import Doubles
from edgexl.compiler.measure.blending import standard_error
from edgexl.data.label_set import LabelSet
from edgexl.predict.float_student import StudentPredictor
from edgexl.student.student import Student, load_student

SHORTLIST, FOLDS, STEPS = 128, 5, 300
EVIDENCE, TOKENS, WORDS = 6, 7, 8  # where the features of each kind end


@dataclass(frozen=True)
class Shortlists:
    """`features` [queries, N, 8] and which label is `right` [queries, N]."""

    features: Tensor
    right: Tensor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("words", "icd"))
    parser.add_argument("words", type=Path, nargs="?")
    parser.add_argument("--student", default="wordnet")
    parser.add_argument("--encoder", default="all-MiniLM-L6-v2")
    parser.add_argument("--queries", type=int, default=1500)
    options = parser.parse_args()
    if options.what == "words":
        student, asked = ask_words(options.words, options.student)
    else:
        student, asked = ask_icd(options.encoder, options.queries)
    found = make_shortlists(student, asked)
    print(f"{len(asked)} queries, {len(found.right)} of them with a right label on the shortlist; {cpu()}")
    base = judge(found, list(range(EVIDENCE)))
    for name, columns in (
        ("evidence", list(range(EVIDENCE))),
        ("and token states", list(range(TOKENS))),
        ("and words", [*range(EVIDENCE), TOKENS]),
        ("and both", list(range(WORDS))),
    ):
        hits = judge(found, columns)
        gain = hits - base
        print(
            f"{name:20} P@1 {100 * hits[:, 0].mean():6.2f}  R@10 {100 * hits[:, 1].mean():6.2f}   gain "
            f"{100 * gain[:, 0].mean():+.2f} (error {100 * standard_error(gain[:, 0]):.2f}), "
            f"{100 * gain[:, 1].mean():+.2f} ({100 * standard_error(gain[:, 1]):.2f})"
        )


def ask_words(path: Path, name: str) -> tuple[Student, list[tuple[str, int]]]:
    student = described(load_student(name), ("trn", "tst"))
    place = {text.casefold(): label for label, text in enumerate(student.labels.texts)}
    lines = [line.split("\t", 1) for line in path.read_text().splitlines() if line != "word\tdescription"]
    return student, [(text, place[word.casefold()]) for word, text in lines if word.casefold() in place]


def ask_icd(encoder: str, count: int) -> tuple[Student, list[tuple[str, int]]]:
    """Codes with two inclusion terms or more: the first, as the table of a seed has them, asks."""
    labels, queries = build_icd()
    terms: dict[int, list[str]] = {}
    for query in queries:
        terms.setdefault(query.targets[0], []).append(query.text)
    asked = [(known[0], label) for label, known in terms.items() if len(known) > 1][:count]
    hidden = {label for _, label in asked}
    descriptions = tuple(
        tuple(dict.fromkeys(terms.get(label, [])[1 if label in hidden else 0 :])) for label in range(len(labels))
    )
    return Student.from_encoder(encoder, LabelSet(labels.ids, labels.texts, descriptions=descriptions)), asked


@torch.inference_mode()
def make_shortlists(student: Student, asked: Sequence[tuple[str, int]]) -> Shortlists:
    student = replace(student, shapes=replace(student.shapes, shortlist=SHORTLIST))
    predictor = StudentPredictor(student)
    described_by = student.labels.descriptions
    texts = [text for of_label in described_by for text in of_label]
    seen = Counter(word for text in texts for word in set(split(text)))
    rarity = {word: math.log(1 + len(texts) / times) for word, times in seen.items()}
    features, right = [], []
    for text, label in asked:
        encoded = predictor.encode([text])
        screened = predictor.screen(encoded.query_vector, SHORTLIST)
        labels = screened.labels[0].tolist()
        if label not in labels:
            continue
        logits = predictor.reason(encoded, screened)
        states = torch.nn.functional.normalize(encoded.token_states[0, 1:-1], dim=-1)
        more = torch.zeros(1, len(labels), 2)
        for column, one in enumerate(labels):
            if described_by[one]:
                more[0, column] = torch.tensor(
                    meet(predictor, states, encoded.query_vector[0], text, described_by[one], rarity)
                )
        features.append(torch.cat([screened.evidence, logits[..., None], more], -1)[..., [0, 1, 2, 3, 4, 5, 6, 7]])
        right.append(torch.tensor([[float(one == label) for one in labels]]))
    everything = torch.cat(features)
    scale = everything.flatten(0, 1).std(0).clamp_min(1e-6)
    return Shortlists((everything - everything.mean((0, 1))) / scale, torch.cat(right))


def meet(
    predictor: StudentPredictor,
    states: Tensor,
    vector: Tensor,
    text: str,
    texts: Sequence[str],
    rarity: dict[str, float],
) -> tuple[float, float]:
    """(how near each token of the query comes to the best description's, the rarity of the words that they share)."""
    read = predictor.encode(list(texts))
    best = int((read.query_vector @ vector).argmax())
    length = int(read.attention_mask[best].sum())
    theirs = torch.nn.functional.normalize(read.token_states[best, 1 : length - 1], dim=-1)
    near = float((states @ theirs.T).amax(1).mean()) if len(theirs) and len(states) else 0.0
    words, there = set(split(text)), set(split(texts[best]))
    total = sum(rarity.get(word, 0.0) for word in words)
    return near, sum(rarity.get(word, 0.0) for word in words & there) / total if total else 0.0


def split(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def judge(found: Shortlists, columns: list[int]) -> Doubles:
    """[queries, 2]: whether the right label is the first, and among ten, by a ranker that was fitted on the others."""
    features, count = found.features[..., columns], len(found.right)
    fold, hits = torch.arange(count) % FOLDS, np.zeros((count, 2))
    for held in range(FOLDS):
        weights = torch.zeros(len(columns), requires_grad=True)
        optimiser = torch.optim.Adam([weights], lr=0.05)
        given = fold != held
        for _ in range(STEPS):
            optimiser.zero_grad()
            chances = (features[given] @ weights).log_softmax(-1)
            loss = -(chances * found.right[given]).sum(-1).mean() + 1e-3 * weights.square().sum()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        with torch.no_grad():
            scores = features[~given] @ weights
            of_right = (scores * found.right[~given]).sum(-1, keepdim=True)
            rank = (scores > of_right).sum(-1).numpy()
        hits[(~given).numpy()] = np.stack([rank == 0, rank < 10], -1)
    return hits


if __name__ == "__main__":
    main()

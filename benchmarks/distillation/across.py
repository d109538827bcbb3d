"""Students of one data set queried for the other's labels, none of which they have seen: what was learned, not stored.

Beside them stands MiniLM cut to the same size with nothing trained: the recipe's layers (none for micro) over its own
word pieces, and a projection fitted by ridge regression to the whole model's vectors.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Set
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from benchmarks.distillation.runs import DATA_SETS, METHODS, SEEDS, SIZES, Run
from edgexl.base.fetch import sha256_file
from edgexl.data import Query, open_data
from edgexl.data.label_set import LabelSet
from edgexl.distill.stages.compute import choose_device
from edgexl.distill.stages.start import open_start, prune, start_screener
from edgexl.distill.teachers import open_teacher
from edgexl.distill.teachers.vectors import leading_directions
from edgexl.predict.evaluate import evaluate_student
from edgexl.predict.float_student import StudentPredictor
from edgexl.student.contract import Shapes
from edgexl.student.reasoner import ScreeningReasoner
from edgexl.student.screeners.transformer import TRANSFORMER, TransformerScreener, TransformerShape
from edgexl.student.student import Student, load_student
from edgexl.student.text import encode_texts
from edgexl.student.tokens import TokenTable

MODEL, QUERIES = "all-MiniLM-L6-v2", 2000
UNTRAINED = "none"


def across(students: Path, known: Set[tuple[str, str]], device: str = "auto") -> Iterator[dict[str, Any]]:
    """One result a trained student, and one a size for the untrained rival, but for those `known` by name and weights
    already."""
    where = choose_device(device)
    for source, target in (DATA_SETS, DATA_SETS[::-1]):
        dataset = open_data(target)
        labels = LabelSet(dataset.labels.ids, dataset.labels.texts)  # aliases would be training queries: none here
        queries: list[Query] = list(islice((query for query in dataset.queries("tst") if query.targets), QUERIES))
        runs = [
            Run(source, size, method, seed)
            for size, method in itertools.product(reversed(SIZES), METHODS)  # the quick ones first
            for seed in SEEDS[size]
        ]
        trained = [(run.size, run.method, run.seed, students / run.name) for run in runs]
        untrained = [(size, "zero-shot", 0, None) for size in SIZES]
        for size, method, seed, directory in (*untrained, *trained):
            if directory and not (directory / "training.html").is_file():
                continue
            name = f"{source}-to-{target}-{size}-{method}-{seed}"
            weights = sha256_file(directory / "model.safetensors") if directory else UNTRAINED
            if (name, weights) in known:
                continue
            if directory:
                student = load_student(directory).with_labels(labels)
            else:
                student = zero_shot(source, size, labels, where)
            yield {
                "run": name, "data": f"{source} to {target}", "size": size, "method": method, "seed": seed,
                "weights": weights, "float": evaluate_student(StudentPredictor(student, device=where), queries),
            }  # fmt: skip


def zero_shot(source: str, size: str, labels: LabelSet, device: torch.device) -> Student:
    """MiniLM cut to the shape of a size's recipe, over `labels`; its projection fitted on the source's own labels."""
    shape = Run(source, size, "mechanistic", 0).recipe().student
    has_layers = isinstance(shape, TransformerShape)
    if not has_layers:
        sizes = {key: getattr(shape, key) for key in ("max_tokens", "query_dims", "word_dims", "vocabulary")}
        shape = TransformerShape(teacher_layers=(0,), **sizes)
    start = open_start(MODEL)
    texts = list(open_data(source).labels.texts[::7])
    tokenizer, old_ids, counts = prune(start, texts, shape.vocabulary)
    screener = start_screener(start, shape, tokenizer, old_ids, counts)
    assert isinstance(screener, TransformerScreener)
    if not has_layers:
        screener.layers = torch.nn.ModuleList()
        screener.config = dataclasses.replace(screener.config, layers=0)
    screener.to(device)
    vectors = open_teacher(MODEL, labels, device).vectors(texts)
    assert vectors is not None
    directions = leading_directions(vectors, shape.query_dims)
    wanted = torch.nn.functional.normalize(vectors.float() @ directions.T, dim=1)
    tokens = TokenTable.of(encode_texts(tokenizer, texts, screener.config.max_tokens), device)
    TRANSFORMER.aim(screener, tokens, wanted)
    shapes = Shapes(shape.max_tokens, shape.query_dims, screener.config.state_dims, 128, 8, len(old_ids))
    return Student.from_modules(
        screener=screener.cpu(), reasoner=ScreeningReasoner(), tokenizer=tokenizer, labels=labels, shapes=shapes
    )

"""The whole distillation on one page.

    recipe -> data, divided by hash -> teacher's vectors -> screener (stage one) -> rotate -> shortlists of compressed
    label vectors -> reasoner (stage two) -> the student, saved, reloaded and judged on queries that nothing has seen

Each stage has its own loss against the data and against the teacher. A killed run continues from the checkpoints in
`OUT.work`, which a finished run removes.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from edgexl.data import BUILDERS, Dataset, build, open_dataset
from edgexl.distill.compression import compress
from edgexl.distill.corpus import Corpus, Targets, names_its_label, read_corpus
from edgexl.distill.reasoning import (
    LabelTables,
    MappedTokens,
    Shortlists,
    screen_queries,
    teacher_scores,
    train_reasoner,
)
from edgexl.distill.recipe import DistillRecipe, read_recipe
from edgexl.distill.screening import ScreeningData, rotate_output, train_screener, unit
from edgexl.distill.start import TOKENS, start_screener, start_token_map
from edgexl.distill.teacher import Teacher, leading_directions, open_teacher, teacher_vectors
from edgexl.distill.training import Checkpoint
from edgexl.fetch import cache_directory
from edgexl.progress import Progress, no_progress
from edgexl.student.contract import SPECIAL_TOKENS, Shapes
from edgexl.student.encode import encode_vectors
from edgexl.student.evaluate import evaluate_student
from edgexl.student.importer import PACKAGED_MODELS
from edgexl.student.predict import StudentPredictor
from edgexl.student.reasoner import ListwiseReasoner, ReasonerConfig
from edgexl.student.screener import TransformerScreener
from edgexl.student.student import Student, load_student, refuse_foreign_directory
from edgexl.student.text import encode_texts, label_tokens
from edgexl.student.weights import round_trip


def distill(
    recipe_path: str | os.PathLike[str],
    out_dir: str | os.PathLike[str],
    progress: Progress = no_progress,
    log: Callable[[str], None] = print,
) -> Student:
    """Train the student that a recipe describes and write it to `out_dir`, with its held-out metrics by stage.

    `progress` is told (what, done, total), `log` one line now and then (losses, metrics). The same recipe on the same
    machine gives the same student. Returns the student as reloaded. Raises `BadInput` for a recipe, a data set or a
    teacher that cannot be used.
    """
    started, cpu_started = time.monotonic(), time.process_time()
    out = Path(out_dir)
    refuse_foreign_directory(out)  # now, not after twenty minutes of training
    bench = prepare(read_recipe(Path(recipe_path)), out.with_name(out.name + ".work"), progress, log)
    screener = distil_screener(bench)
    reasoner, token_map = distil_reasoner(bench, screener)
    student = assemble(bench, screener, reasoner, token_map)
    student.save(out)
    # judged as anyone will meet it: after the rounding that storage brings
    metrics = judge(bench, load_student(out))
    replace(student, metrics=metrics).save(out)
    shutil.rmtree(bench.work, ignore_errors=True)
    clock, processor = time.monotonic() - started, time.process_time() - cpu_started
    log(f"{out} is written; {clock:.0f} s by the clock, {processor:.0f} s of processor time")
    return load_student(out)


@dataclass(frozen=True)
class Workbench:
    """What every step of a distillation needs: the recipe, the data, the teacher, and where to tell and keep things."""

    recipe: DistillRecipe
    corpus: Corpus
    teacher: Teacher
    work: Path
    progress: Progress
    log: Callable[[str], None]

    def checkpoint(self, stage: str) -> Checkpoint:
        """The checkpoint of a stage, bound to all of the recipe that shapes this stage or one before it."""
        tables = asdict(self.recipe)
        if stage == "screening":
            tables.pop("reasoning")
            tables["student"] = {
                key: value
                for key, value in tables["student"].items()
                if not key.startswith(("reasoner", "shortlist", "label_tokens", "token_dims"))
            }
        text = json.dumps([stage, tables, self.teacher.weights_sha256, self.corpus.labels.sha256()], sort_keys=True)
        return Checkpoint(self.work / f"{stage}.safetensors", hashlib.sha256(text.encode()).hexdigest())


def prepare(
    recipe: DistillRecipe, work: Path, progress: Progress = no_progress, log: Callable[[str], None] = print
) -> Workbench:
    """Open the data set and the teacher that the recipe names."""
    corpus = read_corpus(open_data(recipe.data, progress), recipe.split)
    log(
        f"{len(corpus.labels)} labels; queries: {len(corpus.screening)} for screening, {len(corpus.reasoning)} for "
        f"reasoning, {len(corpus.calibration)} held out for calibration, {len(corpus.development)} for development"
    )
    return Workbench(recipe, corpus, open_teacher(recipe.teacher), work, progress, log)


def open_data(source: str, progress: Progress) -> Dataset:
    """The data set `source`: a built-in one, built into the cache where it is not there yet, or a directory."""
    # names come first: a student written to ./wordnet must not be taken for the data on the next run
    if source in BUILDERS:
        directory = cache_directory() / "data" / source
        return open_dataset(directory) if directory.is_dir() else build(source, directory, progress)
    return open_dataset(source)


def distil_screener(bench: Workbench) -> TransformerScreener:
    """Stage one, and the rotation after it; returns the screener with weights as they will be stored."""
    shape, corpus, teacher = bench.recipe.student, bench.corpus, bench.teacher
    label_vectors = teacher_vectors(teacher, corpus.labels.texts, "encode labels by the teacher", bench.progress)
    texts = [query.text for query in corpus.screening]
    query_vectors = teacher_vectors(teacher, texts, "encode queries by the teacher", bench.progress)
    directions = leading_directions(label_vectors, shape.query_dims)
    data = ScreeningData(
        query_ids=encode_texts(teacher.tokenizer, texts, shape.max_tokens),
        label_ids=encode_texts(teacher.tokenizer, corpus.labels.texts, shape.max_tokens),
        targets=Targets.of(corpus.screening),
        query_teacher=unit(query_vectors.to(torch.float32) @ directions.T),
        label_teacher=unit(label_vectors.to(torch.float32) @ directions.T),
    )
    torch.manual_seed(bench.recipe.seed)
    screener = start_screener(
        teacher.directory,
        layers=shape.teacher_layers,
        word_dims=shape.word_dims,
        query_dims=shape.query_dims,
        max_tokens=shape.max_tokens,
        pooling_targets=directions,
    )
    checkpoint = bench.checkpoint("screening")
    train_screener(screener, data, bench.recipe.screening, bench.recipe.seed, checkpoint, bench.progress, bench.log)
    # every eighth label settles a 256-wide covariance
    rotate_output(screener, encode_vectors(screener, teacher.tokenizer, corpus.labels.texts[::8], bfloat16=True))
    screener.load_state_dict(round_trip(screener.state_dict()))
    return screener.eval()


def distil_reasoner(bench: Workbench, screener: TransformerScreener) -> tuple[ListwiseReasoner, torch.Tensor]:
    """Stage two: (the reasoner, the map that makes its word pieces of the screener's word table)."""
    shape, table, teacher = bench.recipe.student, bench.recipe.reasoning, bench.teacher
    progress, labels = bench.progress, bench.corpus.labels
    exact = encode_vectors(
        screener, teacher.tokenizer, labels.texts, shape.max_tokens, bfloat16=True,
        progress=lambda done, total: progress("encode labels by the screener", done, total),
    )  # fmt: skip
    tables = LabelTables(
        vectors=tuple(compress(exact, table.bits, dims) for dims in (shape.query_dims, table.leading_dims)),
        tokens=torch.from_numpy(label_tokens(teacher.tokenizer, labels.texts, shape.label_tokens)),
    )
    shortlists = make_shortlists(bench, screener, tables)
    torch.manual_seed(bench.recipe.seed)
    config = ReasonerConfig(
        vocabulary=screener.config.vocabulary,
        query_dims=shape.query_dims,
        state_dims=screener.config.state_dims,
        dims=shape.reasoner_dims,
        ffn_dims=shape.reasoner_ffn_dims,
        heads=shape.reasoner_heads,
        layers=shape.reasoner_layers,
        token_dims=shape.token_dims,
        first_word_id=1 + max(teacher.tokenizer.token_to_id(token) for token in SPECIAL_TOKENS),
    )
    reasoner = ListwiseReasoner(config)
    tokens = MappedTokens(screener.word.weight.detach(), start_token_map(screener, reasoner))
    reasoner.text.add_module("tokens", tokens)
    for layer in reasoner.layers:
        layer.dropout.p = table.dropout  # type: ignore[union-attr]
    checkpoint = bench.checkpoint("reasoning")
    train_reasoner(reasoner, shortlists, tables, table, bench.recipe.seed, checkpoint, progress, bench.log)
    reasoner.text.add_module("tokens", tokens.as_embedding())
    return reasoner.eval(), tokens.map.detach()


def make_shortlists(bench: Workbench, screener: TransformerScreener, tables: LabelTables) -> Shortlists:
    """The shortlists that the reasoner learns from, with the teacher's opinion of them.

    They are of the reasoner's own queries and of `familiar_queries` that trained the screener. Queries that name one of
    their labels are left out, as they are from everything held out: there a shared word speaks for a label more than
    it does where the text describes what it does not name.
    """
    teacher, shape, corpus = bench.teacher, bench.recipe.student, bench.corpus
    queries = corpus.reasoning + corpus.screening[: bench.recipe.reasoning.familiar_queries]
    opinions = [
        teacher_vectors(teacher, [query.text for query in part], "encode queries by the teacher", bench.progress)
        for part in (corpus.reasoning, corpus.screening)
    ]
    kept = [place for place, query in enumerate(queries) if not names_its_label(query, corpus.labels)]
    ids = encode_texts(teacher.tokenizer, [queries[place].text for place in kept], shape.max_tokens)
    targets = Targets.of([queries[place] for place in kept])
    made = screen_queries(screener, ids, targets, tables.vectors[0], shape.shortlist, bench.progress)
    label_vectors = teacher_vectors(teacher, corpus.labels.texts, "encode labels by the teacher", bench.progress)
    return replace(made, teacher_scores=teacher_scores(torch.cat(opinions)[kept], label_vectors, made.labels))


def assemble(
    bench: Workbench, screener: TransformerScreener, reasoner: ListwiseReasoner, token_map: torch.Tensor
) -> Student:
    """The finished student, not yet judged."""
    recipe, corpus = bench.recipe, bench.corpus
    shapes = Shapes(
        max_tokens=screener.config.max_tokens,
        query_dims=recipe.student.query_dims,
        state_dims=screener.config.state_dims,
        shortlist=recipe.student.shortlist,
        label_tokens=recipe.student.label_tokens,
        vocabulary=screener.config.vocabulary,
    )
    provenance = {
        "recipe": asdict(recipe),
        "teacher_sha256": bench.teacher.weights_sha256,
        "teacher_licence": PACKAGED_MODELS[recipe.teacher].licence if recipe.teacher in PACKAGED_MODELS else "unknown",
        "data": corpus.about,
        "training_queries": {"screening": len(corpus.screening), "reasoning": len(corpus.reasoning)},
        "torch": torch.__version__,
    }
    return Student.from_modules(
        screener=screener,
        reasoner=reasoner,
        tokenizer=bench.teacher.tokenizer,
        labels=corpus.labels,
        shapes=shapes,
        calibration=corpus.calibration,
        evaluation=corpus.evaluation,
        provenance=provenance,
        maps={TOKENS: token_map},
    )


def judge(bench: Workbench, student: Student) -> dict[str, Any]:
    """Held-out metrics by stage, on the development and the evaluation queries."""
    progress = bench.progress
    predictor = StudentPredictor(student, progress=lambda done, total: progress("encode labels to judge", done, total))
    report: dict[str, Any] = {}
    for split, queries in (("development", bench.corpus.development), ("evaluation", bench.corpus.evaluation)):
        report[split] = evaluate_student(predictor, queries, lambda done, total: progress("judge", done, total))
        for stage in ("screening", "reasoned"):
            bench.log(f"{split}, {stage}: " + ", ".join(f"{k} {v}" for k, v in report[split][stage].items()))
    return report

"""The whole distillation on one page.

    recipe -> data, divided by hash -> teacher -> screener (stage one) -> rotate -> shortlists of compressed label
    vectors -> reasoner (stage two) -> the student, saved, reloaded and judged on queries that nothing has seen

Mechanistic distillation gives each stage its own objective against the data and the teacher's phase of the same name,
and trains the second on what the first really hands on. Standard distillation, the rival, trains the same modules for
the same steps on the teacher's final distribution alone. A killed run continues from the checkpoints in `OUT.work`,
which a finished run removes.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from edgexl.data import BUILDERS, Dataset, build, open_dataset
from edgexl.data.layout import Query
from edgexl.distill import reasoning, screening
from edgexl.distill.bags import bag_table
from edgexl.distill.characterize.recommendation import read_recommendation
from edgexl.distill.compression import compress
from edgexl.distill.compute import Ints, TokenTable, choose_device
from edgexl.distill.corpus import Corpus, Targets, names_its_label, read_corpus
from edgexl.distill.judging import Judge
from edgexl.distill.naming import naming_queries
from edgexl.distill.recipe import DistillRecipe, read_recipe
from edgexl.distill.report import write_report
from edgexl.distill.rows import RowTable, with_query_aliases
from edgexl.distill.search import SEARCH_BATCH, RowSearch, encode_table
from edgexl.distill.start import (
    Start,
    aim_projection,
    open_start,
    prune,
    start_screener,
    start_token_map,
    token_product,
    word_table,
)
from edgexl.distill.teachers import Teacher, open_teacher
from edgexl.distill.teaching import Lessons
from edgexl.distill.training import Checkpoint, Curves, Observer, Schedule, load_tensors, save_tensors, train_stage
from edgexl.fetch import cache_directory
from edgexl.metrics import evaluate
from edgexl.progress import Progress, no_progress
from edgexl.recipe import shipped
from edgexl.student.contract import SPECIAL_TOKENS, Shapes
from edgexl.student.importer import PACKAGED_MODELS
from edgexl.student.labels import LabelSet
from edgexl.student.ngrams import NgramScreener
from edgexl.student.reasoner import ListwiseReasoner, ReasonerConfig
from edgexl.student.screener import TransformerScreener
from edgexl.student.shipped import available_students
from edgexl.student.student import Student, load_student, refuse_foreign_directory
from edgexl.student.text import encode_texts, label_tokens
from edgexl.student.weights import round_trip

Screener = TransformerScreener | NgramScreener
# Development queries, and rows to find their answers among, that a stage is judged by on its way.
GLANCE_QUERIES, GLANCE_ROWS = 500, 20_000


def distill(
    recipe: DistillRecipe | str | os.PathLike[str],
    out_dir: str | os.PathLike[str],
    progress: Progress = no_progress,
    log: Callable[[str], None] = print,
    device: str = "auto",
) -> Student:
    """Train the student that a recipe (or the file of one) describes and write it to `out_dir`, with its held-out
    metrics by stage.

    `progress` is told (what, done, total), `log` one line now and then (losses, metrics). `device` is auto (the GPU
    where there is one), cpu or cuda. The same recipe on the same machine gives the same student (a GPU's sums come in
    any order, and its students differ by chance). Beside the student lies training.html with the curves. Returns the
    student as reloaded. Raises `BadInput` for a recipe, a data set or a teacher that cannot be used.
    """
    started, cpu_started = time.monotonic(), time.process_time()
    out = Path(out_dir)
    refuse_foreign_directory(out)  # now, not after twenty minutes of training
    recipe = recipe if isinstance(recipe, DistillRecipe) else read_recipe(Path(recipe))
    bench = prepare(recipe, out.with_name(out.name + ".work"), progress, log, device)
    screener = distil_screener(bench)
    reasoner, token_map = distil_reasoner(bench, screener)
    student = assemble(bench, screener, reasoner, token_map)
    student.save(out)
    # judged as anyone will meet it: after the rounding that storage brings
    metrics = judge_splits(bench, load_student(out))
    clock, processor = time.monotonic() - started, time.process_time() - cpu_started
    replace(student, metrics=metrics).save(out)
    write_report(out / "training.html", out.name, recipe, bench.curves.points, metrics, clock)
    shutil.rmtree(bench.work, ignore_errors=True)
    log(f"{out} is written; {clock:.0f} s by the clock, {processor:.0f} s of processor time")
    return load_student(out)


@dataclass(frozen=True)
class Workbench:
    """What every step of a distillation needs: the recipe, the data, the teacher, and where to tell and keep things.

    `tokenizer` is the student's own, after pruning; `old_ids` and `counts` [V] are its pieces' ids in the model that
    the student starts from, and how often each stands in the texts.
    """

    recipe: DistillRecipe
    corpus: Corpus
    teacher: Teacher | None
    start: Start
    tokenizer: Tokenizer
    old_ids: Ints
    counts: Tensor
    device: torch.device
    work: Path
    curves: Curves
    progress: Progress
    log: Callable[[str], None]

    @cached_property
    def rows(self) -> RowTable:
        """The rows of the student's index."""
        return RowTable.make(self.corpus.labels, self.tokenizer, self.recipe.student.max_tokens, self.device)

    @cached_property
    def learned(self) -> tuple[Query, ...]:
        """The queries that train the screener."""
        own = self.corpus.screening[: self.recipe.split.screening_queries or None]
        return own + self.naming(self.recipe.screening.naming_queries, 0)

    def naming(self, count: int, seed: int) -> tuple[Query, ...]:
        """Queries made from `count` label texts. Standard distillation, which knows the teacher's answers and no right
        labels, goes without."""
        return () if self.recipe.method == "standard" else naming_queries(self.corpus.labels, count, seed)

    @cached_property
    def lessons(self) -> Lessons:
        """The teacher, asked about this corpus."""
        assert self.teacher is not None
        return Lessons(self.teacher, self.rows, self.device, self.progress)

    def tokens(self, queries: tuple[Query, ...]) -> TokenTable:
        """The student's token ids of queries."""
        texts = [query.text for query in queries]
        return TokenTable.of(encode_texts(self.tokenizer, texts, self.recipe.student.max_tokens), self.device)

    def identity(self, stage: str) -> str:
        """A hash of all that shapes a stage: its part of the recipe, what came before it, the data, the teacher."""
        tables = asdict(self.recipe)
        if stage == "screening":
            tables.pop("reasoning")
            tables["student"] = {
                key: value
                for key, value in tables["student"].items()
                if not key.startswith(("reasoner", "shortlist", "label_tokens", "token_dims", "cross"))
            }
        taught = self.teacher.identity if self.teacher else None
        text = json.dumps([stage, tables, taught, self.corpus.labels.sha256()], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def checkpoint(self, stage: str) -> Checkpoint:
        """The checkpoint of a stage."""
        return Checkpoint(self.work / f"{stage}.safetensors", self.identity(stage))

    def observer(self, held_out: Callable[[], dict[str, float]]) -> Observer:
        """Whom a stage's training tells."""
        return Observer(self.progress, self.log, self.curves, held_out)


def prepare(
    recipe: DistillRecipe,
    work: Path,
    progress: Progress = no_progress,
    log: Callable[[str], None] = print,
    device: str = "auto",
) -> Workbench:
    """Open the data set, the teacher and the model to start from, as the recipe names them."""
    chosen = choose_device(device)
    dataset = open_data(recipe.data, progress)
    if recipe.profile:
        read_recommendation(recipe.profile, dataset.labels)
    corpus = with_aliases(read_corpus(dataset, recipe.split), recipe)
    log(
        f"{len(corpus.labels)} labels; queries: {len(corpus.screening)} for screening, {len(corpus.reasoning)} for "
        f"reasoning, {len(corpus.calibration)} held out for calibration, {len(corpus.development)} for development; "
        f"on {chosen}"
    )
    source = made_teacher(recipe.teacher, progress, log, device) if recipe.teacher else None
    teacher = open_teacher(source, corpus.labels, chosen, recipe.cross_encoder) if source else None
    start = open_start(recipe.start or source or "")
    texts = [*corpus.labels.texts, *(query.text for query in (*corpus.screening, *corpus.reasoning))]
    if not recipe.student.vocabulary:
        texts = texts[:: max(1, len(texts) // 50_000)]  # the counts only weigh rows then
    tokenizer, old_ids, counts = prune(start, texts, recipe.student.vocabulary)
    curves = Curves(work / "curves.jsonl")
    return Workbench(recipe, corpus, teacher, start, tokenizer, old_ids, counts, chosen, work, curves, progress, log)


def made_teacher(name: str, progress: Progress, log: Callable[[str], None], device: str) -> str:
    """What `open_teacher` takes for a recipe's teacher. One that edgexl ships the recipe of, not the weights, is
    trained first, once, into the user's cache."""
    recipes = shipped("recipes")
    if Path(name).exists() or name in available_students() or name not in recipes:
        return name
    recipe = read_recipe(recipes[name])
    identity = hashlib.sha256(json.dumps(asdict(recipe), sort_keys=True).encode()).hexdigest()
    directory = cache_directory() / "students" / f"{name}-{identity[:16]}"
    if not (directory / "student.json").is_file():
        log(f"the teacher {name} is trained first, into {directory}")
        directory.parent.mkdir(parents=True, exist_ok=True)
        distill(recipe, directory, progress, log, device)
    return str(directory)


def open_data(source: str, progress: Progress = no_progress) -> Dataset:
    """The data set `source`: a built-in one, built into the cache where it is not there yet, or a directory."""
    # names come first: a student written to ./wordnet must not be taken for the data on the next run
    if source in BUILDERS:
        directory = cache_directory() / "data" / source
        return open_dataset(directory) if directory.is_dir() else build(source, directory, progress)
    return open_dataset(source)


def with_aliases(corpus: Corpus, recipe: DistillRecipe) -> Corpus:
    """The corpus with the aliases that the recipe wants; held-out queries never become any."""
    labels = corpus.labels
    if recipe.aliases == "none":
        labels = LabelSet(labels.ids, labels.texts)
    elif recipe.aliases == "queries":
        labels = with_query_aliases(labels, (*corpus.screening, *corpus.reasoning))
    return replace(corpus, labels=labels)


def distil_screener(bench: Workbench) -> Screener:
    """Stage one, and the rotation after it; returns the screener with weights as they will be stored."""
    recipe, rows = bench.recipe, bench.rows
    table = recipe.screening
    torch.manual_seed(recipe.seed)
    screener = start_screener(bench.start, recipe.student, bench.tokenizer, bench.old_ids, bench.counts)
    screener.to(bench.device)
    asked = recipe.teacher is not None and (table.teacher_weight > 0 or table.ranking_weight > 0)
    vectors = bench.lessons.shortened(bench.learned, recipe.student.query_dims) if asked else None
    if vectors is not None and isinstance(screener, TransformerScreener):
        sample = np.arange(0, rows.labels, max(1, rows.labels // 20_000))
        texts = [rows.texts[row] for row in sample]
        wanted = vectors.rows[torch.from_numpy(sample).to(bench.device)]
        aim_projection(screener, bench.tokenizer, texts, wanted, bench.device)
    if len(bench.learned) != len(bench.corpus.screening):
        bench.log(f"{len(bench.learned)} queries train the screener, as the recipe has it")
    data = screening.ScreeningData(
        queries=bench.tokens(bench.learned),
        targets=Targets.make(bench.learned),
        rows=rows,
        own_rows=rows.rows_of_queries(bench.learned),
        query_teacher=vectors.queries if vectors else None,
        row_teacher=vectors.rows if vectors else None,
    )
    if isinstance(screener, NgramScreener):
        bags = bag_table(screener, data.queries), bag_table(screener, rows.tokens)
        data = replace(data, query_bags=bags[0], row_bags=bags[1])
    if recipe.method == "standard":
        data = replace(data, query_teacher=None, row_teacher=None, lists=bench.lessons.final_lists(bench.learned))
        losses = screening.standard_losses(screener, data, table, recipe.seed)
    else:
        if asked and vectors is None:
            data = replace(data, lists=bench.lessons.screening_lists(bench.learned))
        hard = screening.HardRows()
        losses = screening.mechanistic_losses(screener, data, table, hard, recipe.seed)
        if table.hard_labels:
            losses = with_mining(bench, screener, data, hard, losses)
    screening.freeze(screener, table.frozen_layers)
    train_stage(
        "screener", screener, losses, Schedule(table.steps, table.learning_rate, table.warmup, table.weight_decay),
        recipe.seed, bench.checkpoint("screening"), bench.observer(partial(glance_at_screener, bench, screener)),
    )  # fmt: skip
    # every eighth label settles a 256-wide covariance
    eighth = TokenTable.of(encode_texts(bench.tokenizer, rows.texts[: rows.labels : 8], 128), bench.device)
    screening.rotate_output(screener, encode_table(screener, eighth, "rotate", no_progress))
    weights = round_trip(screener.state_dict())
    screener.load_state_dict(weights)
    return screener.to(bench.device).requires_grad_(True).eval()


def with_mining(
    bench: Workbench,
    screener: nn.Module,
    data: screening.ScreeningData,
    hard: screening.HardRows,
    losses: Callable[[int], dict[str, Tensor]],
) -> Callable[[int], dict[str, Tensor]]:
    """The losses, with near misses mined from the student's own index whenever it is time."""
    table = bench.recipe.screening
    moments = sorted({max(1, int(share * table.steps)) for share in table.mine_at})

    def mined(step: int) -> dict[str, Tensor]:
        due = [moment for moment in moments if moment <= step]
        if due and (step == due[-1] or hard.rows is None):
            hard.rows = _mine(bench, screener, data, due[-1])
        return losses(step)

    return mined


def _mine(bench: Workbench, screener: nn.Module, data: screening.ScreeningData, moment: int) -> Ints:
    """[n,M] rows that the student ranks high though they are wrong; remembered, so that a resumed run has the same."""
    table, count = bench.recipe.screening, len(data.queries)
    path, about = bench.work / f"mined_{moment}.safetensors", {"identity": bench.identity("screening")}
    kept = load_tensors(path, about)
    if kept is None:
        screener.eval()
        rng = np.random.default_rng((bench.recipe.seed, moment))
        sample = np.sort(rng.permutation(len(data.rows))[:MINED_ROWS])
        tokens = TokenTable.of(
            encode_texts(bench.tokenizer, [data.rows.texts[row] for row in sample], bench.recipe.student.max_tokens),
            bench.device,
        )
        # a rough order does, and bf16 is several times as fast on CPUs that know it
        vectors = encode_table(screener, tokens, "encode labels to mine near misses", bench.progress).to(torch.bfloat16)
        asked = np.sort(rng.permutation(count)[: table.mine_queries])
        tokens = bench.tokens(tuple(bench.learned[index] for index in asked))
        queries = encode_table(screener, tokens, "encode queries to mine near misses", bench.progress)
        found = np.full((count, MINED), -1, np.int64)
        for start in range(0, len(asked), 128):
            part = asked[start : start + 128]
            scores = queries[start : start + 128].to(vectors.dtype) @ vectors.T
            nearest = scores.topk(min(4 * MINED, len(sample)), dim=1).indices
            wrong = screening.wrong_rows(data, part, sample[nearest.cpu().numpy()])[:, :MINED]
            found[part, : wrong.shape[1]] = wrong
            bench.progress("mine near misses", start + len(part), len(asked))
        screener.train()
        kept = {"rows": torch.from_numpy(found).to(torch.int32)}
        save_tensors(path, kept, about)
    return kept["rows"].numpy().astype(np.int64)


# Near misses kept a query, and rows that they are looked for in: a sample is as instructive, and bounds the time.
MINED, MINED_ROWS = 16, 200_000


def glance_at_screener(bench: Workbench, screener: nn.Module) -> dict[str, float]:
    """How often development queries find a right label first, and among ten, in a sample of the rows."""
    rows = bench.rows
    queries = bench.corpus.development[:GLANCE_QUERIES]
    wanted = np.unique([target for query in queries for target in query.targets])
    rng = np.random.default_rng(0)
    sample = np.union1d(wanted, rng.permutation(rows.labels)[:GLANCE_ROWS])
    longest = bench.recipe.student.max_tokens
    tokens = TokenTable.of(encode_texts(bench.tokenizer, [rows.texts[row] for row in sample], longest), bench.device)
    vectors = encode_table(screener, tokens, "judge the screener", no_progress)
    asked = encode_table(screener, bench.tokens(queries), "judge the screener", no_progress)
    best = sample[(asked @ vectors.T).topk(min(10, len(sample)), dim=1).indices.cpu().numpy()]
    found = evaluate(best, [query.targets for query in queries], (1, min(10, len(sample))))
    return {f"held-out {name} of {len(sample)}": found[name] for name in ("P@1", f"R@{min(10, len(sample))}")}


def distil_reasoner(bench: Workbench, screener: Screener) -> tuple[ListwiseReasoner, Tensor]:
    """Stage two: (the reasoner, the map that makes its word pieces of the screener's word table)."""
    recipe, corpus = bench.recipe, bench.corpus
    shape, table = recipe.student, recipe.reasoning
    vectors = row_vectors(bench, screener)
    exact = vectors[: bench.rows.labels].cpu()
    pieces = torch.from_numpy(label_tokens(bench.tokenizer, corpus.labels.texts, shape.label_tokens))
    coded = (
        compress_in_parts(exact, table.bits, dims).to(bench.device) for dims in (shape.query_dims, table.leading_dims)
    )
    tables = reasoning.LabelTables(vectors=tuple(coded), tokens=pieces.to(bench.device))
    lists = training_shortlists(bench, screener, vectors)
    held_out = development_shortlists(bench, screener, vectors)
    torch.manual_seed(recipe.seed)
    reasoner, tokens = start_reasoner(bench, screener)
    if recipe.method == "standard":
        tables_seen = replace(tables, vectors=(exact.to(bench.device), tables.vectors[-1]))
        losses = reasoning.standard_losses(screener, reasoner, lists, tables_seen, table, shape.shortlist, recipe.seed)
    else:
        losses = reasoning.mechanistic_losses(screener, reasoner, lists, tables, table, shape.shortlist, recipe.seed)
        useful = int(lists.right[:, : shape.shortlist].any(-1).sum())
        bench.log(f"{useful} of {len(lists)} shortlists hold a right label")

    def glance() -> dict[str, float]:
        logits = reasoning.decide(screener, reasoner, held_out, tables, shape.shortlist)
        order = logits.argsort(dim=1, descending=True, stable=True).cpu()
        ranked = held_out.labels.cpu()[:, : order.shape[1]].gather(1, order).numpy().astype(np.int64)
        found = evaluate(ranked, [query.targets for query in corpus.development[: len(ranked)]], (1, 5))
        return {f"held-out {name}": found[name] for name in ("P@1", "nDCG@5")}

    train_stage(
        "reasoner", reasoner, losses, Schedule(table.steps, table.learning_rate, table.warmup, table.weight_decay),
        recipe.seed, bench.checkpoint("reasoning"), bench.observer(glance),
    )  # fmt: skip
    reasoner.text.add_module("tokens", tokens.as_embedding())
    return reasoner.eval(), tokens.map.detach()


def start_reasoner(bench: Workbench, screener: Screener) -> tuple[ListwiseReasoner, reasoning.MappedTokens]:
    """The untrained reasoner, and the table of word pieces that it trains with."""
    shape = bench.recipe.student
    states = screener.config.dims if isinstance(screener, NgramScreener) else screener.config.state_dims
    _, words = word_table(screener)
    config = ReasonerConfig(
        vocabulary=len(words),
        query_dims=shape.query_dims,
        state_dims=states,
        dims=shape.reasoner_dims,
        ffn_dims=shape.reasoner_ffn_dims,
        heads=shape.reasoner_heads,
        layers=shape.reasoner_layers,
        cross_layers=shape.cross_layers,
        token_dims=shape.token_dims,
        first_word_id=1 + max(bench.tokenizer.token_to_id(token) for token in SPECIAL_TOKENS),
        coverage=True,
        absence=True,
    )
    reasoner = ListwiseReasoner(config)
    tokens = reasoning.MappedTokens(words, start_token_map(words, reasoner))
    reasoner.text.add_module("tokens", tokens)
    for layer in reasoner.layers:
        layer.dropout.p = bench.recipe.reasoning.dropout  # type: ignore[union-attr]
    reasoner.to(bench.device)
    return reasoner, tokens


def row_vectors(bench: Workbench, screener: nn.Module) -> Tensor:
    """Vectors [rows,d] of the finished screener; remembered, so that a resumed run does not encode again."""
    path, about = bench.work / "rows.safetensors", {"identity": bench.identity("screening")}
    kept = load_tensors(path, about)
    if kept is None:
        vectors = encode_table(screener, bench.rows.tokens, "encode labels by the screener", bench.progress)
        kept = {"vectors": vectors.to(torch.float16)}
        save_tensors(path, kept, about)
    return kept["vectors"].to(bench.device, torch.float32)


def training_shortlists(bench: Workbench, screener: nn.Module, vectors: Tensor) -> reasoning.Shortlists:
    """The shortlists that the reasoner learns from, with the teacher's decision on them.

    They are of the reasoner's own queries and of `familiar_queries` that trained the screener. Queries that name one of
    their labels are left out where there are no aliases, as they are from everything held out: there a shared word
    speaks for a label more than it does where the text describes what it does not name.
    """
    corpus, recipe, shape = bench.corpus, bench.recipe, bench.recipe.student
    own = corpus.reasoning[: recipe.reasoning.own_queries or None]
    queries = own + bench.learned[: recipe.reasoning.familiar_queries]
    if len(bench.rows) == bench.rows.labels:
        queries = tuple(query for query in queries if not names_its_label(query, corpus.labels))
    taught, queries = len(queries), queries + bench.naming(recipe.reasoning.naming_queries, 1)
    path, about = bench.work / "shortlists.safetensors", {"identity": bench.identity("reasoning")}
    kept = load_tensors(path, about)
    if kept is None:
        if recipe.method == "standard":
            labels, decided = bench.lessons.answers(queries, shape.shortlist)
            made = score_shortlists(bench, screener, vectors, queries, labels)
        else:
            made = make_shortlists(bench, screener, vectors, queries, shape.shortlist + reasoning.RESERVE)
            if recipe.reasoning.asks_teacher and recipe.teacher:
                asked = queries[:taught], made.labels[:taught].cpu().numpy().astype(np.int64)
                decided = nn.functional.pad(
                    bench.lessons.decide(*asked).float(), (0, 0, 0, len(queries) - taught), value=-torch.inf
                )
            else:
                decided = None
        kept = {"vectors": made.vectors, "labels": made.labels}
        if decided is not None:
            kept["teacher"] = decided.to(torch.float16)
        if made.aliases is not None:
            kept["aliases"] = made.aliases
        save_tensors(path, kept, about)
    return reasoning.Shortlists(
        bench.tokens(queries), kept["vectors"], kept["labels"], kept.get("aliases"),
        reasoning.mark_right(kept["labels"], Targets.make(queries), len(corpus.labels)), kept.get("teacher"),
    ).to(bench.device)  # fmt: skip


def development_shortlists(bench: Workbench, screener: nn.Module, vectors: Tensor) -> reasoning.Shortlists:
    """Shortlists of development queries, to judge the reasoner by on its way."""
    return make_shortlists(
        bench, screener, vectors, bench.corpus.development[:GLANCE_QUERIES], bench.recipe.student.shortlist
    ).to(bench.device)


def make_shortlists(
    bench: Workbench, screener: nn.Module, vectors: Tensor, queries: tuple[Query, ...], length: int
) -> reasoning.Shortlists:
    """Screen queries by the student's own index of compressed vectors, as the device will."""
    tokens = bench.tokens(queries)
    asked = encode_table(screener, tokens, "encode queries by the screener", bench.progress)
    coded = compress_in_parts(vectors, bench.recipe.reasoning.bits, vectors.shape[1])
    search = RowSearch(bench.rows, coded, rough=True)
    found = search.shortlists(asked, length, bench.rows.rows_of_queries(queries), bench.progress)
    right = reasoning.mark_right(found.labels, Targets.make(queries), len(bench.corpus.labels))
    return reasoning.Shortlists(tokens, asked, found.labels, found.aliases, right)


def score_shortlists(
    bench: Workbench, screener: nn.Module, vectors: Tensor, queries: tuple[Query, ...], labels: Tensor
) -> reasoning.Shortlists:
    """Given labels [n,N] with the scores that the student's screening gives to aliases of theirs."""
    tokens = bench.tokens(queries)
    asked = encode_table(screener, tokens, "encode queries by the screener", bench.progress)
    right = reasoning.mark_right(labels, Targets.make(queries), len(bench.corpus.labels))
    if len(bench.rows) == bench.rows.labels:
        return reasoning.Shortlists(tokens, asked, labels, None, right)
    search = RowSearch(
        bench.rows, compress_in_parts(vectors, bench.recipe.reasoning.bits, vectors.shape[1]), rough=True
    )
    banned = bench.rows.rows_of_queries(queries)
    aliases = []
    for start in range(0, len(queries), SEARCH_BATCH):
        part = slice(start, start + SEARCH_BATCH)
        given = labels[part].to(bench.device, torch.int64)
        aliases.append(search.scores(asked[part], given, banned[part])[1].to(torch.float16).cpu())
        bench.progress("score the teacher's lists", start + len(given), len(queries))
    return reasoning.Shortlists(tokens, asked, labels, torch.cat(aliases), right)


def compress_in_parts(vectors: Tensor, bits: int, dims: int) -> Tensor:
    """`compress`, 65,536 rows at a time: its scratch is six times its input."""
    parts = (vectors[start : start + 65_536] for start in range(0, len(vectors), 65_536))
    return torch.cat([compress(part, bits, dims) for part in parts])


def assemble(bench: Workbench, screener: Screener, reasoner: ListwiseReasoner, token_map: Tensor) -> Student:
    """The finished student, not yet judged."""
    recipe, corpus = bench.recipe, bench.corpus
    origin = recipe.start or recipe.teacher or ""
    shapes = Shapes(
        max_tokens=screener.config.max_tokens,
        query_dims=recipe.student.query_dims,
        state_dims=reasoner.config.state_dims,
        shortlist=recipe.student.shortlist,
        label_tokens=recipe.student.label_tokens,
        vocabulary=len(bench.old_ids),
    )
    provenance = {
        "recipe": asdict(recipe),
        "teacher": bench.teacher.provenance if bench.teacher else None,
        "teacher_identity": bench.teacher.identity if bench.teacher else None,
        "start_licence": PACKAGED_MODELS[origin].licence if origin in PACKAGED_MODELS else "unknown",
        "data": corpus.about,
        "training_queries": {"screening": len(corpus.screening), "reasoning": len(corpus.reasoning)},
        "torch": torch.__version__,
        "device": bench.device.type,
    }
    return Student.from_modules(
        screener=screener.cpu(),
        reasoner=reasoner.cpu(),
        tokenizer=bench.tokenizer,
        labels=corpus.labels,
        shapes=shapes,
        calibration=corpus.calibration,
        evaluation=corpus.evaluation,
        provenance=provenance,
        maps={token_product(screener): token_map.cpu()},
    )


def judge_splits(bench: Workbench, student: Student) -> dict[str, Any]:
    """Held-out metrics by stage, on the development and the evaluation queries."""
    corpus = bench.corpus
    trained = (*corpus.screening, *corpus.reasoning, *corpus.calibration, *corpus.development)
    judge = Judge(student, bench.device, bench.progress, {target for query in trained for target in query.targets})
    report = {"development": judge(corpus.development), "evaluation": judge(corpus.evaluation)}
    for split, found in report.items():
        for stage in ("screening", "reasoned"):
            bench.log(f"{split}, {stage}: " + ", ".join(f"{k} {v}" for k, v in found[stage].items()))
    return report

"""The shortlists that the reasoner learns from and is judged by: the finished screener's, by compressed vectors."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from edgexl.data import Query
from edgexl.distill.corpus.divide import gold_labels, names_its_label
from edgexl.distill.stages import reasoning
from edgexl.distill.stages.search import SEARCH_BATCH, RowSearch, encode_table
from edgexl.distill.stages.training import load_tensors, save_tensors
from edgexl.distill.workbench import Workbench
from edgexl.index.fine import decode_fine, encode_fine
from edgexl.index.rotation import train_rotation
from edgexl.index.rows import CHUNK
from edgexl.student.label_tower import LabelTower

# Development queries that a stage is judged by on its way.
GLANCE_QUERIES = 500


def row_vectors(bench: Workbench, screener: nn.Module, tower: LabelTower | None, name: str = "rows") -> Tensor:
    """Vectors [rows,d] of the label tower, or of the finished screener where there is none; remembered by a
    `name`, so that a resumed run does not encode again."""
    if tower is not None:
        return bench.tower_lessons.rows_by(tower).to(torch.float32)
    path, about = bench.work / f"{name}.safetensors", {"identity": bench.identity("screening")}
    kept = load_tensors(path, about)
    if kept is None:
        vectors = encode_table(screener, bench.rows.tokens, "encode labels by the screener", bench.progress)
        kept = {"vectors": vectors.to(torch.float16)}
        save_tensors(path, kept, about)
    return kept["vectors"].to(bench.device, torch.float32)


def code_rows(vectors: Tensor, bits: int, fine_dims: int) -> Tensor:
    """Row vectors [n,d] as devices read them: in the space of a pca rotation, which every shipped recipe takes, through
    fine codes of `bits` for its leading `fine_dims` dimensions (as many as fill bytes), and back."""
    fine_dims -= fine_dims % (8 // min(bits, 4))
    rows = vectors.cpu().numpy()
    rotation = train_rotation(rows, "pca", 0, fine_dims)
    read = np.empty_like(rows)
    for start in range(0, len(rows), CHUNK):
        turned = rows[start : start + CHUNK] @ rotation
        codes = encode_fine(turned, fine_dims, bits)
        read[start : start + CHUNK] = decode_fine(codes, len(turned), fine_dims, bits, rows.shape[1]) @ rotation.T
    return torch.from_numpy(read).to(vectors.device)


def make_training_shortlists(bench: Workbench, screener: nn.Module, search: RowSearch) -> reasoning.Shortlists:
    """The shortlists that the reasoner learns from, with the teacher's decision on them; `search` is over the finished
    screener's rows as devices read them.

    The recipe's `naming_queries` stand for those that name a label, as many as it wants; the teacher, which has learned
    from descriptions too, does not decide about them.
    """
    corpus, recipe, shape = bench.corpus, bench.recipe, bench.recipe.student
    queries = choose_queries(bench)
    taught, queries = len(queries), queries + bench.naming(recipe.reasoning.naming_queries, 1)
    path, about = bench.work / "shortlists.safetensors", {"identity": bench.identity("reasoning")}
    kept = load_tensors(path, about)
    if kept is None:
        if bench.method.teachers_shortlists:
            labels, decided = bench.lessons.answers(queries, shape.shortlist)
            made = score_shortlists(bench, screener, search, queries, labels)
        else:
            made = make_shortlists(bench, screener, search, queries, shape.shortlist + reasoning.RESERVE)
            if recipe.reasoning.needs_decisions and recipe.teacher:
                to_decide = queries[:taught], made.labels[:taught].cpu().numpy().astype(np.int64)
                decided = nn.functional.pad(
                    bench.lessons.decide(*to_decide).float(), (0, 0, 0, len(queries) - taught), value=-torch.inf
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
        reasoning.mark_gold(kept["labels"], gold_labels(queries), len(corpus.labels)), kept.get("teacher"),
    ).to(bench.device)  # fmt: skip


def choose_queries(bench: Workbench) -> tuple[Query, ...]:
    """The data set's queries that the reasoner learns from: its own, and `familiar_queries` that trained the screener.

    Queries that name one of their labels are left out where there are no aliases, as they are from everything held out:
    there a shared word speaks for a label more than it does where the text describes what it does not name.
    """
    table, labels = bench.recipe.reasoning, bench.corpus.labels
    queries = bench.corpus.reasoning[: table.own_queries or None] + bench.familiar[: table.familiar_queries]
    if len(bench.rows) > bench.rows.labels:
        return queries
    return tuple(query for query in queries if not names_its_label(query, labels))


def make_development_shortlists(bench: Workbench, screener: nn.Module, search: RowSearch) -> reasoning.Shortlists:
    """Shortlists of development queries, to judge the reasoner by on its way."""
    return make_shortlists(
        bench, screener, search, bench.corpus.development[:GLANCE_QUERIES], bench.recipe.student.shortlist
    ).to(bench.device)


def make_shortlists(
    bench: Workbench, screener: nn.Module, search: RowSearch, queries: tuple[Query, ...], length: int
) -> reasoning.Shortlists:
    """Screen queries by the student's own index of compressed vectors, as the device will."""
    tokens = bench.tokens(queries)
    vectors = encode_table(screener, tokens, "encode queries by the screener", bench.progress)
    found = search.shortlists(vectors, length, bench.rows.rows_of_queries(queries), bench.progress)
    gold = reasoning.mark_gold(found.labels, gold_labels(queries), len(bench.corpus.labels))
    return reasoning.Shortlists(tokens, vectors, found.labels, found.aliases, gold)


def score_shortlists(
    bench: Workbench, screener: nn.Module, search: RowSearch, queries: tuple[Query, ...], labels: Tensor
) -> reasoning.Shortlists:
    """Given labels [n,N] with the scores that the student's screening gives to aliases of theirs."""
    tokens = bench.tokens(queries)
    vectors = encode_table(screener, tokens, "encode queries by the screener", bench.progress)
    gold = reasoning.mark_gold(labels, gold_labels(queries), len(bench.corpus.labels))
    if len(bench.rows) == bench.rows.labels:
        return reasoning.Shortlists(tokens, vectors, labels, None, gold)
    banned = bench.rows.rows_of_queries(queries)
    aliases = []
    for start in range(0, len(queries), SEARCH_BATCH):
        part = slice(start, start + SEARCH_BATCH)
        given = labels[part].to(bench.device, torch.int64)
        aliases.append(search.near_scores(vectors[part], given, banned[part])[1].to(torch.float16).cpu())
        bench.progress("score the teacher's lists", start + len(given), len(queries))
    return reasoning.Shortlists(tokens, vectors, labels, torch.cat(aliases), gold)

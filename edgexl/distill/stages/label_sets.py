"""What a reasoner that sees all evidence learns from: shortlists of the data's own labels, over all of them or as a
smaller set would make them, and of other label sets, among the own ones or alone.

Labels have one number each among those of all sets: the data's own come first.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from edgexl.base.arrays import Floats, Ints
from edgexl.base.errors import BadInput
from edgexl.base.ragged import Ragged
from edgexl.data import Query, open_data
from edgexl.data.label_set import LabelSet
from edgexl.data.naming import naming_queries
from edgexl.distill.corpus.divide import gold_labels
from edgexl.distill.stages.evidence import Evidence, EvidenceSearch, Hiding
from edgexl.distill.stages.reasoning import RESERVE, LabelTables, Shortlists, mark_gold
from edgexl.distill.stages.search import encode_table
from edgexl.distill.stages.shortlists import GLANCE_QUERIES, choose_queries, code_rows, row_vectors
from edgexl.distill.stages.training import load_tensors, save_tensors
from edgexl.distill.stages.weigh_screening import fit_screening
from edgexl.distill.workbench import Workbench
from edgexl.index.rows import Rows
from edgexl.index.tower_vectors import encode_by_tower
from edgexl.student.label_tower import LabelTower
from edgexl.student.tokens import TokenTable

# Shares of the labels that smaller sets have: a query of them meets each as often.
CUT_SHARES = (0.5, 0.15, 0.05, 0.015)


@dataclass(frozen=True)
class Domain:
    """A label set as the student screens it: its label vectors in the forms that the reasoner meets ([labels,d] each),
    its label tokens [labels,S], and the number of its first label."""

    labels: LabelSet
    search: EvidenceSearch
    vectors: tuple[Tensor, Tensor]
    pieces: Ints
    first: int


@dataclass(frozen=True)
class Made:
    """What stage two works with: shortlists to learn from, those of development queries, the labels' tables, and the
    search over the data's own labels, as held-out queries meet it, where it sees all evidence."""

    lists: Shortlists
    held_out: Shortlists
    tables: LabelTables
    search: EvidenceSearch | None = None


def make_evidence_lists(bench: Workbench, screener: nn.Module, tower: LabelTower | None, rows: str = "rows") -> Made:
    """All that the recipe's [reasoning] wants to be learned from, with the teacher's decision where all labels are the
    data's own and the query is; remembered, so that a resumed run does not search again. `rows`: by
    which name the rows' vectors are."""
    taught = choose_queries(bench)
    queries = taught + bench.naming(bench.recipe.reasoning.naming_queries, 1)
    own = open_domain(bench, screener, tower, bench.corpus.labels, 0, rows, bench.rows.rows_of_queries(queries))
    if bench.recipe.keep_better or bench.recipe.reasoning.fitted_screening:
        fitted = bench.corpus.calibration
        vectors = encode_table(screener, bench.tokens(fitted), "encode queries by the screener", bench.progress)
        search = fit_screening(own.search, fitted, vectors, bench.rows.rows_of_queries(fitted), bench.progress)
        own = replace(own, search=search)
    domains, first = [], len(own.labels)
    for name in bench.recipe.reasoning.label_sets.domains:
        domains.append(open_domain(bench, screener, tower, open_data(name, bench.progress).labels, first))
        first += len(domains[-1].labels)
    swapped = [
        naming_queries(domain.labels, bench.recipe.reasoning.label_sets.swapped_queries, 2) for domain in domains
    ]
    path, about = bench.work / "shortlists.safetensors", {"identity": bench.identity("reasoning")}
    kept = load_tensors(path, about)
    if kept is None:
        lists = _make(bench, screener, own, domains, queries, len(taught))
        lists = join([lists, *(_screen(bench, screener, *pair) for pair in zip(domains, swapped, strict=True))])
        kept = pack_shortlists(lists)
        save_tensors(path, kept, about)
    held_out = replace(own, search=own.search.showing_all())
    return Made(
        unpack_shortlists(kept, bench.tokens(sum(swapped, queries))).to(bench.device),
        _screen(bench, screener, held_out, bench.corpus.development[:GLANCE_QUERIES]).to(bench.device),
        _tables(bench, [own, *domains]),
        held_out.search,
    )


def open_domain(
    bench: Workbench, screener: nn.Module, tower: LabelTower | None, labels: LabelSet, first: int, name: str = "rows",
    asked: Ints | None = None,
) -> Domain:  # fmt: skip
    """A label set's rows by the finished screener, or the label tower, as devices read them; the rows `asked` are
    queries (-1: none). Raises `BadInput` where it has fewer labels than a shortlist of the data's own."""
    table, shape = bench.recipe.reasoning, bench.recipe.student
    if len(labels) < min(_length(bench), len(bench.corpus.labels)):
        raise BadInput(f"A domain of [reasoning.label_sets] has {len(labels)} labels, fewer than a shortlist.")
    hides_all = table.hide_descriptions == "all"
    rows = Rows.of(labels, bench.tokenizer, shape.max_tokens, True, "none" if hides_all else "joined")
    if first == 0 and not rows.descriptions:
        exact = row_vectors(bench, screener, tower, name)
    else:
        exact = torch.from_numpy(rows.vectors(_encode(bench, screener, tower, rows, labels, name))).to(bench.device)
    read = code_rows(exact, table.bits, exact.shape[1])
    leading = code_rows(exact, table.bits, table.leading_dims)[: rows.labels]
    hiding = None
    if rows.descriptions:
        places = rows.description_places(labels, bench.tokenizer, shape.max_tokens)
        hiding = Hiding.of(labels, rows, places, bench.recipe.seed)
    texts = rows.row_texts(labels, bench.tokenizer, shape.max_tokens)
    search = EvidenceSearch(rows, read, texts, hiding, asked=asked)
    vectors = (read[: rows.labels].clone(), leading.clone())
    return Domain(labels, search, vectors, rows.label_pieces(shape.label_tokens), first)


def _encode(
    bench: Workbench, screener: nn.Module, tower: LabelTower | None, rows: Rows, labels: LabelSet, name: str
) -> Floats:
    """[texts,d] of the rows' texts; remembered."""
    if tower is not None:
        return encode_by_tower(tower, rows.texts(labels, bench.tokenizer, bench.recipe.student.max_tokens))
    key = hashlib.sha256(f"{labels.sha256()} {rows.descriptions}".encode()).hexdigest()
    path = bench.work / f"{name}-{key[:16]}.safetensors"
    about = {"identity": bench.identity("screening"), "labels": key}
    kept = load_tensors(path, about)
    if kept is None:
        tokens = TokenTable.of(rows.tokens, bench.device)
        vectors = encode_table(screener, tokens, "encode labels by the screener", bench.progress)
        kept = {"vectors": vectors.to(torch.float16)}
        save_tensors(path, kept, about)
    return kept["vectors"].float().numpy()


def _length(bench: Workbench) -> int:
    return bench.recipe.student.shortlist + RESERVE


def _screen(
    bench: Workbench, screener: nn.Module, domain: Domain, queries: tuple[Query, ...], part: Ints | None = None
) -> Shortlists:
    """The domain's shortlists of queries whose gold labels it has, or those of a `part` of its labels."""
    length = min(_length(bench), len(bench.corpus.labels))
    tokens, banned = bench.tokens(queries), np.full(len(queries), -1, np.int64)
    vectors = encode_table(screener, tokens, "encode queries by the screener", bench.progress)
    if domain.first == 0:
        banned = bench.rows.rows_of_queries(queries)
    search, names = domain.search, np.arange(len(domain.labels))
    if part is not None:
        search, names = search.part(part), part
        place = np.full(len(domain.search.rows), -1, np.int64)
        place[search.places] = np.arange(len(search.places))
        banned = np.where(banned < 0, -1, place[banned])
    found = search.shortlists(vectors, [query.text for query in queries], length, banned, bench.progress)
    labels = torch.from_numpy(names[found.labels.numpy()].astype(np.int32))
    gold = mark_gold(labels, gold_labels(queries), len(domain.labels))
    return Shortlists(tokens, vectors, labels + domain.first, None, gold, evidence=found.evidence)


def _make(
    bench: Workbench, screener: nn.Module, own: Domain, domains: list[Domain], queries: tuple[Query, ...], taught: int
) -> Shortlists:
    """Shortlists of the data's own queries: a share of them cut, another mixed."""
    table = bench.recipe.reasoning
    rng = np.random.default_rng((bench.recipe.seed, 7))
    draw = rng.random(len(queries))
    is_cut, is_mixed = draw < table.label_sets.cut, draw >= 1.0 - table.label_sets.mixed
    groups: list[tuple[Ints, Ints | None]] = [(np.flatnonzero(~is_cut), None)]
    for turn, share in enumerate(CUT_SHARES):
        some = np.flatnonzero(is_cut)[turn :: len(CUT_SHARES)]
        groups.append((some, _cut(own, gold_labels([queries[place] for place in some]), share, _length(bench), rng)))
    groups = [(some, part) for some, part in groups if len(some)]
    parts = [_screen(bench, screener, own, tuple(queries[at] for at in some), part) for some, part in groups]
    order = torch.from_numpy(np.argsort(np.concatenate([some for some, _ in groups])))
    lists = replace(take(join(parts), order), tokens=bench.tokens(queries))
    if table.needs_decisions and bench.recipe.teacher:
        decided = bench.lessons.decide(queries[:taught], lists.labels[:taught].numpy().astype(np.int64)).float()
        pad = (0, 0, 0, len(queries) - taught)
        lists = replace(lists, teacher=nn.functional.pad(decided, pad, value=-torch.inf).to(torch.float16))
    for turn, domain in enumerate(domains):
        lists = _mix(bench, lists, domain, queries, np.flatnonzero(is_mixed)[turn :: len(domains)], rng)
    return lists


def _cut(own: Domain, gold: Ragged, share: float, least: int, rng: np.random.Generator) -> Ints:
    """A random part of the labels, the gold ones among them."""
    count = max(round(share * len(own.labels)), least)
    chosen = rng.permutation(len(own.labels))[:count]
    return np.union1d(chosen, gold.values)


def _mix(
    bench: Workbench, lists: Shortlists, domain: Domain, queries: tuple[Query, ...], some: Ints,
    rng: np.random.Generator,
) -> Shortlists:  # fmt: skip
    """The lists, those of some queries with up to half of their places given to a domain's best labels."""
    if not len(some):
        return lists
    assert lists.evidence is not None
    place, length = torch.from_numpy(some), lists.labels.shape[1]
    texts, none = [queries[at].text for at in some], np.full(len(some), -1, np.int64)
    found = domain.search.shortlists(lists.vectors[place], texts, length, none, bench.progress)
    given = rng.integers(1, length // 2 + 1, len(some))
    # each list: so many of the domain's, then the best of its own
    column = np.arange(length)[None]
    theirs = torch.from_numpy(column < given[:, None])
    source = torch.from_numpy(np.where(column < given[:, None], column, column - given[:, None]))

    def merge(own: Tensor, other: Tensor) -> Tensor:
        merged = own.clone()
        merged[place] = torch.where(theirs, other.to(own.dtype), own[place].gather(1, source))
        return merged

    nothing = torch.full((len(some), length), -torch.inf)
    mine, other = lists.evidence.tensors(), found.evidence.tensors()
    kinds = {name: merge(value, other[name]) for name, value in mine.items() if name != "weights"}
    return replace(
        lists,
        labels=merge(lists.labels, found.labels + domain.first),
        gold=merge(lists.gold, torch.zeros_like(theirs)),
        teacher=None if lists.teacher is None else merge(lists.teacher, nothing),
        evidence=Evidence(**kinds, weights=lists.evidence.weights),
    )


def _tables(bench: Workbench, domains: list[Domain]) -> LabelTables:
    whole, leading = (torch.cat(parts) for parts in zip(*(domain.vectors for domain in domains), strict=True))
    pieces = torch.from_numpy(np.concatenate([domain.pieces for domain in domains]))
    return LabelTables((whole, leading), pieces.to(bench.device))


def join(parts: list[Shortlists]) -> Shortlists:
    """The queries of all parts, in order; without a teacher's word only where no part has one. Their tokens are the
    first part's: replace them."""
    if any(part.teacher is not None for part in parts):
        nothing = [torch.full(part.labels.shape, -torch.inf, dtype=torch.float16) for part in parts]
        parts = [
            part if part.teacher is not None else replace(part, teacher=none)
            for part, none in zip(parts, nothing, strict=True)
        ]
    packed = [pack_shortlists(part) for part in parts]
    return unpack_shortlists({name: torch.cat([one[name] for one in packed]) for name in packed[0]}, parts[0].tokens)


def take(lists: Shortlists, order: Tensor) -> Shortlists:
    """The lists at some places. Their tokens are the old ones: replace them."""
    return unpack_shortlists({name: value[order] for name, value in pack_shortlists(lists).items()}, lists.tokens)


def pack_shortlists(lists: Shortlists) -> dict[str, Tensor]:
    """All but the tokens, by name."""
    assert lists.evidence is not None
    kept = {"vectors": lists.vectors, "labels": lists.labels, "gold": lists.gold.to(torch.uint8)}
    if lists.teacher is not None:
        kept["teacher"] = lists.teacher
    return kept | {f"evidence.{name}": value for name, value in lists.evidence.tensors().items()}


def unpack_shortlists(kept: dict[str, Tensor], tokens: TokenTable) -> Shortlists:
    """What `pack_shortlists` made, with its tokens."""
    evidence = {name.removeprefix("evidence."): value for name, value in kept.items() if name.startswith("evidence.")}
    gold, teacher = kept["gold"].to(torch.bool), kept.get("teacher")
    return Shortlists(tokens, kept["vectors"], kept["labels"], None, gold, teacher, Evidence(**evidence))

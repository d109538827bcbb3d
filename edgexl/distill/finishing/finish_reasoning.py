"""Stage two of finishing: the rounded reasoner over shortlists that the rounded screener makes of coded rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edgexl.base.arrays import Ints
from edgexl.data import Query
from edgexl.distill.corpus.divide import gold_labels
from edgexl.distill.finishing.setup import Setup, choose_code, cross_entropy, encode_rows, float_rows
from edgexl.distill.stages.evidence import Evidence, EvidenceSearch, Hiding
from edgexl.distill.stages.reasoning import mark_gold
from edgexl.distill.stages.screening import Batches
from edgexl.distill.stages.search import SEARCH_BATCH, Found, RowSearch, encode_table
from edgexl.distill.stages.simulate import IndexCodes, simulate
from edgexl.distill.stages.training import Losses, divergence
from edgexl.index.rows import Descriptions, Rows
from edgexl.student.contract import call_reasoner, input_names
from edgexl.student.student import Student
from edgexl.student.tokens import TokenTable
from edgexl.student.weights import round_trip


@dataclass(frozen=True)
class Lessons:
    """What the reasoner learns from, query by query: tokens, turned query vectors through the rounded graph, shortlists
    with their scores, which labels are gold ones, and the screening scores that the float self would have. For a
    reasoner that sees all evidence, that of both stands in the place of the scores."""

    tokens: TokenTable
    found: Found
    gold: Tensor
    float_scores: Tensor | None = None
    evidence: Evidence | None = None
    float_evidence: Evidence | None = None


def finish_reasoner(setup: Setup, screener: nn.Module, reasoner: nn.Module, queries: tuple[Query, ...]) -> None:
    """Stage two, in place, behind the finished `screener`."""
    table, index = setup.table, setup.recipe.index
    screener.to(setup.device).eval().requires_grad_(False)
    codes = IndexCodes(index, setup.original.shapes.query_dims, choose_code(setup)).to(setup.device)
    vectors = encode_rows(setup, screener)
    codes.learn(vectors)
    coded = torch.cat([codes.fine(codes.turn(part)) for part in torch.split(vectors, 65_536)])
    exact = float_rows(setup)
    steps = min(len(queries), table.reasoning_steps * table.reasoning_batch)
    chosen = tuple(queries[place] for place in np.random.default_rng((setup.seed, 5)).permutation(len(queries))[:steps])
    make = _shortlists_with_evidence if "evidence" in input_names(reasoner) else _shortlists
    lessons = make(setup, screener, codes, coded, exact, chosen)
    tokens = torch.from_numpy(setup.rows.rows.label_pieces(setup.original.shapes.label_tokens)).to(torch.int32)
    batches = Batches(lessons.tokens.lengths, table.reasoning_batch, setup.seed)

    def losses(step: int) -> Losses:
        batch = batches.at(step)
        ids, mask = lessons.tokens.batch(batch)
        labels = lessons.found.labels[batch].to(torch.int64)
        supply = {
            "input_ids": ids, "attention_mask": mask, "label_tokens": tokens[labels].to(setup.device, torch.int64)
        }  # fmt: skip
        labels = labels.to(setup.device)
        with torch.no_grad():
            vector, states = setup.original.screener(ids, mask)
            exactly = supply | {
                "query_vector": vector, "token_states": states, "label_vectors": exact[labels].float(),
            }  # fmt: skip
            if lessons.float_scores is not None:
                exactly["screening_scores"] = lessons.float_scores[batch].to(setup.device).float()
            else:
                own = (exactly["label_vectors"] @ vector.unsqueeze(-1)).squeeze(-1)
                exactly |= _weigh(lessons.float_evidence, batch, own)
            wanted = call_reasoner(setup.original.reasoner, exactly)
            with simulate(screener, setup.recipe.screener, setup.int8):
                vector, states = screener(ids, mask)
            decoded = coded[labels]
            own = (decoded @ codes.turn(vector).unsqueeze(-1)).squeeze(-1)
            rounded = supply | {
                "query_vector": vector, "token_states": states,
                "label_vectors": codes.unturn(decoded, setup.recipe.reasoner.scheme, setup.int8),
            }  # fmt: skip
            if lessons.evidence is None:
                aliases = lessons.found.aliases
                alias = own if aliases is None else aliases[batch].to(setup.device).float()
                rounded["screening_scores"] = torch.stack([own, alias], -1)
            else:
                rounded |= _weigh(lessons.evidence, batch, own)
        with simulate(reasoner, setup.recipe.reasoner, setup.int8):
            logits = call_reasoner(reasoner, rounded)
        # a further logit of 0 keeps the level, which says whether any of the labels is a gold one
        shares = nn.functional.pad(wanted, (0, 1)).softmax(-1)
        found: Losses = {"decision": divergence(shares, nn.functional.pad(logits, (0, 1)).log_softmax(-1))}
        total = found["decision"]
        if table.reasoning_data_weight:
            found["data"] = cross_entropy(logits.log_softmax(-1), lessons.gold[batch].to(setup.device))
            total = total + table.reasoning_data_weight * found["data"]
        return {"loss": total, **found}

    setup.train("reasoner", reasoner, losses, queries)
    reasoner.load_state_dict(_round_weights(setup, reasoner))


def _weigh(evidence: Evidence | None, batch: Ints, own: Tensor) -> dict[str, Tensor]:
    """A batch's evidence and screening scores, as `call_reasoner` takes them, with the own texts' scores [B,N]."""
    assert evidence is not None
    known = evidence.take(torch.from_numpy(batch)).to(own.device)
    return dict(zip(("evidence", "screening"), known.weigh(own), strict=True))


def _round_weights(setup: Setup, reasoner: nn.Module) -> dict[str, Tensor]:
    """The reasoner's weights as they will be read back; tables that are products of others are not rounded again."""
    derived = {product.name.removeprefix("reasoner.") for product in setup.original.maps}
    weights = reasoner.state_dict()
    return {**round_trip(weights), **{name: value for name, value in weights.items() if name in derived}}


def _shortlists(
    setup: Setup, screener: nn.Module, codes: IndexCodes, coded: Tensor, exact: Tensor, queries: tuple[Query, ...]
) -> Lessons:
    """Screen queries as the device will, but for the coarse codes, whose losses `overfetch` is there to make good."""
    tokens, banned = setup.tokens(queries), setup.rows.rows_of_queries(queries)
    wanted = setup.recipe.shortlist.n or setup.original.shapes.shortlist
    with simulate(screener, setup.recipe.screener, setup.int8):
        vectors = encode_table(screener, tokens, "encode queries by the finished screener", setup.progress, half=False)
    found = RowSearch(setup.rows.rows, coded).shortlists(codes.turn(vectors), wanted, banned, setup.progress)
    floats = encode_table(setup.original.screener, tokens, "encode queries by the float self", setup.progress)
    search = RowSearch(setup.rows.rows, exact.float())
    scores = []
    for start in range(0, len(queries), SEARCH_BATCH):
        part = slice(start, start + SEARCH_BATCH)
        labels = found.labels[part].to(setup.device, torch.int64)
        scores.append(torch.stack(search.near_scores(floats[part], labels, banned[part]), -1))
    gold = mark_gold(found.labels, gold_labels(queries), len(setup.original.labels))
    return Lessons(tokens, found, gold, torch.cat(scores).to("cpu", torch.float16))


def _shortlists_with_evidence(
    setup: Setup, screener: nn.Module, codes: IndexCodes, coded: Tensor, exact: Tensor, queries: tuple[Query, ...]
) -> Lessons:
    """The same with all evidence, for which descriptions are encoded, too; a query hides some, as it did when the
    student was trained."""
    student, index = setup.original, setup.recipe.index
    hides_all = index.descriptions == "none" or hidden_descriptions(student) == "all"
    form: Descriptions = "none" if hides_all else "joined"
    prompt = student.prompts.label
    rows = Rows.of(student.labels, student.tokenizer, student.shapes.max_tokens, index.aliases, form, prompt)
    about = (student.labels, student.tokenizer, student.shapes.max_tokens)
    hiding = None
    if rows.descriptions:
        hiding = Hiding.of(student.labels, rows, rows.description_places(*about), setup.seed)
        tokens = TokenTable.of(rows.tokens, setup.device)
        described = replace(setup.rows, rows=rows, texts=rows.texts(*about), tokens=tokens)
        more = replace(setup, rows=described, work=setup.work / "described")
        exact = _join_descriptions(rows, float_rows(more).float())
        vectors = _join_descriptions(rows, encode_rows(more, screener))
        coded = torch.cat([codes.fine(codes.turn(part)) for part in torch.split(vectors, 65_536)])
    texts, row_texts = [query.text for query in queries], rows.row_texts(*about)
    tokens, banned = setup.tokens(queries), setup.rows.rows_of_queries(queries)
    wanted = setup.recipe.shortlist.n or student.shapes.shortlist
    words = None if index.lexical == "none" else index.lexical_bytes
    with simulate(screener, setup.recipe.screener, setup.int8):
        vectors = encode_table(screener, tokens, "encode queries by the finished screener", setup.progress, half=False)
    search = EvidenceSearch(rows, coded, row_texts, hiding, lexical_bytes=words, asked=banned)
    found = search.shortlists(codes.turn(vectors), texts, wanted, banned, setup.progress)
    floats = encode_table(student.screener, tokens, "encode queries by the float self", setup.progress)
    search = EvidenceSearch(rows, exact.float(), row_texts, hiding, lexical_bytes=words, asked=banned)
    float_evidence = search.evidence_of(floats, texts, found.labels, banned, setup.progress)
    gold = mark_gold(found.labels, gold_labels(queries), len(student.labels))
    return Lessons(tokens, Found(found.labels, None), gold, evidence=found.evidence, float_evidence=float_evidence)


def _join_descriptions(rows: Rows, encoded: Tensor) -> Tensor:
    """The rows' vectors [rows,d], given those of their texts."""
    return torch.from_numpy(rows.vectors(encoded.cpu().numpy())).to(encoded.device)


def hidden_descriptions(student: Student) -> str:
    """What the student's recipe hid of descriptions, as its provenance says; one of each label where it does not."""
    told: Any = student.provenance
    for key in ("recipe", "reasoning", "hide_descriptions"):
        told = told.get(key) if isinstance(told, dict) else None
    return told if told == "all" else "one"

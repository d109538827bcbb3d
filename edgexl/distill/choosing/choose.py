"""A recipe chosen from the data: how many labels and queries there are, how long they are, how people write of them,
what model the student starts as, and how many seconds there are. Each choice comes with its reason.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from edgexl.base.errors import BadInput
from edgexl.data.damage import Learned, learn_damage
from edgexl.data.tables.scripts import count_scripts
from edgexl.distill.corpus.open import Material
from edgexl.distill.recipe import DistillRecipe, FilesTable, ReasoningTable, ScreeningTable, SplitTable
from edgexl.distill.stages.start import Start, goes_on
from edgexl.student.letters import COLUMNS
from edgexl.student.reasoner import ListwiseReasoner, ReasonerConfig
from edgexl.student.screeners import kind_of
from edgexl.student.screeners.shape import ShapeTable
from edgexl.student.screeners.transformer import TransformerShape
from edgexl.student.text import encode_pieces, unknown_id

# So many texts settle lengths and scripts.
_SAMPLE = 4000
# Held out of each kind: a tenth, within what settles a point and what training can spare.
_LEAST_HELD, _MOST_HELD = 30, 1000
# Of queries that name their labels: from this share on, more of the kind are made.
_NAMING = 0.5
_LONGEST_LABEL = 24
# Steps that a stage gains from: rounds over its queries. More learn them by heart: of 20,000 products the reasoner put
# 90.2% of the right labels first after 3 rounds, 89.2% after 5.
_ROUNDS_SCREENING, _ROUNDS_REASONING, _ROUNDS_MADE = 8, 6, 2
_FEWEST_STEPS = 40
# Of queries that were asked before in the same words: from this share on, they are names of their labels.
_REPEATED = 0.2
# The reasoner's sizes, where there is none to go on with.
_USUAL = ReasonerConfig(
    vocabulary=1, query_dims=1, state_dims=1, dims=128, ffn_dims=256, heads=2, layers=2, token_dims=32, evidence=True,
    coverage=True, residual=True, letters=COLUMNS,
)  # fmt: skip
# Of the time there is, what is left to encode, search and measure in.
_SPARE = 0.12


@dataclass(frozen=True)
class Facts:
    """What a recipe is chosen by. `pieces` are the 50th and 99th percentile of word pieces of labels, `query_pieces` of
    queries; `unknown` is the share of them, in percent, that the encoder's tokenizer does not know, `repeated` that of
    the queries that were asked before in the same words."""

    labels: int
    queries: int
    asked: int
    aliases: int
    described: int
    pieces: tuple[int, int]
    query_pieces: tuple[int, int]
    scripts: dict[str, float]
    unknown: float
    learned: Learned
    repeated: float = 0.0

    @classmethod
    def of(cls, material: Material, tokenizer: Tokenizer) -> Facts:
        """Of labels and queries, as a tokenizer cuts them."""
        labels, queries = material.labels, [query for query in material.queries if query.targets and query.has_text]
        texts, asked = _sample(labels.texts), _sample([query.text for query in queries])
        own, theirs = (encode_pieces(tokenizer, some, 510) for some in (texts, asked))
        pieces = np.concatenate([np.asarray(ids) for ids in (*own, *theirs)])
        return cls(
            labels=len(labels),
            queries=len(queries),
            asked=len({target for query in queries for target in query.targets}),
            aliases=sum(map(len, labels.aliases)),
            described=sum(map(bool, labels.descriptions)),
            pieces=_percentiles(own),
            query_pieces=_percentiles(theirs),
            scripts=count_scripts([*texts, *asked]),
            unknown=round(100 * float((pieces == unknown_id(tokenizer)).mean()), 1) if len(pieces) else 0.0,
            learned=learn_damage(labels, queries),
            repeated=1.0 - len({query.text for query in queries}) / max(1, len(queries) + material.repeat),
        )

    def sentences(self) -> list[str]:
        """What was found, for people."""
        scripts = ", ".join(f"{name} {share:g}%" for name, share in list(self.scripts.items())[:3])
        said = [
            f"{self.queries:,} queries for {self.asked:,} of {self.labels:,} labels; labels have {self.pieces[0]} word "
            f"pieces (99%: {self.pieces[1]}), queries {self.query_pieces[0]} ({self.query_pieces[1]}); {scripts}"
        ]
        if self.learned.named >= _NAMING:
            damage = self.learned.damage
            said.append(
                f"{self.learned.named:.0%} of the queries name their label: {damage.dropped:.0%} of its words are left "
                f"out, and {1 - damage.misspelt[0]:.0%} of these queries misspell a word"
            )
        else:
            said.append(f"{self.learned.named:.0%} of the queries name their label; the others describe it")
        if self.unknown >= 5:
            said.append(
                f"{self.unknown:g}% of the word pieces are unknown to this encoder: one of these languages would serve "
                "better"
            )
        return said


def _sample(texts: Sequence[str]) -> list[str]:
    return list(texts[:: max(1, len(texts) // _SAMPLE)])


def _percentiles(tokens: Sequence[Any]) -> tuple[int, int]:
    if not tokens:
        return 0, 0
    low, high = np.quantile([len(ids) for ids in tokens], (0.5, 0.99))
    return int(low), int(np.ceil(high))


@dataclass(frozen=True)
class Chosen:
    """A recipe, and why its values are what they are, by the key's path ("screening.steps")."""

    recipe: DistillRecipe
    reasons: dict[str, str] = field(default_factory=dict)


def choose_recipe(
    data: str | FilesTable, facts: Facts, start: Start, source: str, teacher: str | None = None
) -> Chosen:
    """A recipe but for its steps, which depend on the time (`choose_steps`). `source` is the model that the student
    starts as; with a `teacher`, that one's."""
    config = start.encoder.config
    dims = config.query_dims or config.state_dims
    shape, inherited = _shape_of(start), _inherited(start)
    held = int(np.clip(facts.queries // 10, _LEAST_HELD, _MOST_HELD))
    files = isinstance(data, FilesTable)
    names = facts.learned.named >= _NAMING
    label_tokens = int(np.clip(facts.pieces[1], 4, _LONGEST_LABEL))
    made = min(16_000, max(2_000, 4 * facts.queries)) if names else min(4_000, facts.queries // 2)
    rest = facts.queries - (3 if files else 2) * held
    leading = max(2, dims // 2 * 2 if dims <= 192 else 192)
    recipe = DistillRecipe(
        data=data,
        teacher=teacher,
        start=source,
        keep_better=True,
        naming=facts.learned.damage if names else None,
        aliases="queries" if facts.repeated >= _REPEATED else "own",
        student=shape(
            shortlist=min(128, facts.labels), label_tokens=label_tokens, cross_layers=inherited.cross_layers,
            reasoner_dims=inherited.dims, reasoner_ffn_dims=inherited.ffn_dims, reasoner_heads=inherited.heads,
            reasoner_layers=inherited.layers, token_dims=inherited.token_dims,
        ),
        split=SplitTable(
            reasoning_share=0.5, calibration=held, development=held, evaluation=held if files else 2000,
            judge_named=files,
        ),
        screening=ScreeningTable(
            steps=0, batch=int(np.clip(rest // 8, 8, 128)), random_labels=min(256, facts.labels), learning_rate=1e-4,
            teacher_weight=2.0 if teacher else 0.0, naming_queries=made if names else 0, token_dropout=0.05,
        ),
        reasoning=ReasoningTable(
            steps=1, batch=int(np.clip(rest // 8, 8, 64)), learning_rate=1e-3 if names else 7e-4,
            teacher_weight=0.3 if teacher else 0.0, dropout=0.0 if names else 0.1, token_dropout=0.0 if names else 0.1,
            naming_queries=made, familiar_queries=rest, leading_dims=min(leading, dims),
            evidence=True, residual=inherited.residual, letters=bool(inherited.letters),
        ),
    )  # fmt: skip
    return Chosen(recipe, _reasons(recipe, facts, names, held, start))


def _shape_of(start: Start) -> Callable[..., ShapeTable]:
    """What makes [student] of the other sizes: that of the start as it is, or all layers of a model."""
    if start.student is not None and (sizes := kind_of(start.encoder).sizes(start.encoder)):
        return partial(kind_of(start.encoder).shape, **sizes)
    config = start.encoder.config
    if not config.layers:
        raise BadInput(
            "The encoder is a table of words without layers, from which nothing is distilled; `edgexl compile` takes "
            "it as it is, and a recipe's start does with screener = 'ngrams'."
        )
    return partial(
        TransformerShape, teacher_layers=tuple(range(config.layers)), max_tokens=min(128, config.max_tokens),
        query_dims=config.query_dims or config.state_dims, word_dims=config.word_dims,
    )  # fmt: skip


def _inherited(start: Start) -> ReasonerConfig:
    """The sizes of the start's reasoner, where it sees all evidence and so can be gone on with; else the usual ones."""
    if start.student is not None and isinstance(start.student.reasoner, ListwiseReasoner):
        config = start.student.reasoner.config
        if config.evidence and kind_of(start.encoder).sizes(start.encoder):
            return config
    return _USUAL


def _reasons(recipe: DistillRecipe, facts: Facts, names: bool, held: int, start: Start) -> dict[str, str]:
    reasons = {
        "keep_better": "what training loses is left out, so the student is never worse than what it starts as",
        "student.teacher_layers": "all layers of the start: fewer are faster on the device, and lose some accuracy",
        "student.query_dims": "as the start's",
        "student.word_dims": "as the start's; half of it makes the student smaller",
        "student.shortlist": "labels that screening hands to the reasoner",
        "student.label_tokens": f"99% of the labels have no more than {facts.pieces[1]} word pieces",
        "split.reasoning_share": "of the queries left, this share is kept from the screener for the reasoner",
        "split.calibration": f"a tenth of {facts.queries:,} queries, to fit probabilities and weights on",
        "split.development": "to judge training by",
        "split.evaluation": "to report on: nothing is fitted or chosen by these",
        "split.judge_named": "queries may hold their label's own text: past queries do",
        "screening.batch": "queries a step; each also brings its label's text",
        "screening.learning_rate": "small, because all of the start's weights are trained",
        "reasoning.evidence": "the reasoner sees words, aliases and descriptions as well as vectors",
        "reasoning.letters": "a misspelt word shares letters with the right one, and no word pieces",
        "reasoning.residual": "untrained, it leaves screening's order as it is",
        "reasoning.familiar_queries": "of the screener's own queries, so that none goes to waste",
    }
    if recipe.aliases == "queries":
        reasons["aliases"] = f"{facts.repeated:.0%} of the queries were asked before in the same words: they are names"
    if goes_on(start, recipe.student):
        for key in ("teacher_layers", "word_dims", "query_dims"):
            reasons.pop(f"student.{key}", None)
        reasons["student.screener"] = "the start's own, with its sizes: it is gone on with as it is"
    if _inherited(start) is not _USUAL:
        reasons["student.reasoner_dims"] = "the start's reasoner is gone on with, too"
    if not isinstance(recipe.data, FilesTable):
        reasons |= {"split.evaluation": "of the test split", "split.judge_named": ""}
    if names:
        reasons["naming.dropped"] = "of a label's words, people leave out this share"
        reasons["naming.misspelt"] = "shares of queries with 0, 1, ... words misspelt"
        reasons["naming.faults"] = "a letter left out, put in, taken for another, exchanged with the next"
        reasons["naming.turned"] = "of queries whose words stand in another order"
        reasons["reasoning.naming_queries"] = "made of label texts, as damaged as the past queries are"
        reasons["screening.naming_queries"] = "the same for the screener"
    else:
        reasons["reasoning.naming_queries"] = "made of label texts: a name, too, must find its label"
    return reasons


@dataclass(frozen=True)
class Timing:
    """Seconds of a step of each stage, and of all that is no training, timed on this machine."""

    screening: float
    reasoning: float
    rest: float


def choose_steps(chosen: Chosen, timing: Timing, minutes: float, queries: int) -> Chosen:
    """The recipe with as many steps as there is time for, and no more than the queries are good for."""
    recipe, left = chosen.recipe, 60 * minutes * (1 - _SPARE) - timing.rest
    names = recipe.naming is not None
    # Where queries name their labels, words find them, and the reasoner weighs what is spelt wrong. A screener that was
    # trained left it less to gain: of 20,000 products 89.1% of the right labels were first, 90.0% without.
    for_screening = 0.0 if names else 0.55 * max(0.0, left)
    rounds = {
        stage: (
            (_ROUNDS_MADE if names else often) * queries + _ROUNDS_MADE * getattr(recipe, stage).naming_queries
        ) // getattr(recipe, stage).batch
        for stage, often in (("screening", _ROUNDS_SCREENING), ("reasoning", _ROUNDS_REASONING))
    }  # fmt: skip
    most = {"screening": for_screening / timing.screening}
    steps = {"screening": int(min(rounds["screening"], most["screening"]))}
    if steps["screening"] < _FEWEST_STEPS:
        steps["screening"] = 0
    most["reasoning"] = (max(0.0, left) - steps["screening"] * timing.screening) / timing.reasoning
    steps["reasoning"] = max(_FEWEST_STEPS, int(min(rounds["reasoning"], most["reasoning"])))
    reasons = {}
    for stage in ("screening", "reasoning"):
        by_time = most[stage] < rounds[stage]
        why = f"all that {minutes:g} minutes allow" if by_time else "more would learn the queries by heart"
        reasons[f"{stage}.steps"] = f"{why}, at {getattr(timing, stage):.2f} s a step here"
    if not steps["screening"]:
        because = "words find names, and the reasoner weighs them" if names else f"{minutes:g} minutes are too few"
        reasons["screening.steps"] = f"the screener stays as it is: {because}"
    trained = dataclasses.replace(
        recipe,
        screening=dataclasses.replace(recipe.screening, steps=steps["screening"]),
        reasoning=dataclasses.replace(recipe.reasoning, steps=steps["reasoning"]),
    )
    return Chosen(trained, chosen.reasons | reasons)

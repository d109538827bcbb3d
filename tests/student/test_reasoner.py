"""The built-in reasoner: equivariance, padding, what it looks at, and what it corrects."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from edgexl.base.errors import BadInput
from edgexl.bundle.parameters import EVIDENCE
from edgexl.compiler.pipeline import compile
from edgexl.compiler.recipe import IndexRecipe, ReasonerRecipe, Recipe
from edgexl.data import Query
from edgexl.data.naming import disturb
from edgexl.index.rows import Rows
from edgexl.predict.float_student import Encoded, Screened, StudentPredictor
from edgexl.runtime.binding import open_bundle
from edgexl.student.letters import COLUMNS, count_letters
from edgexl.student.prior import weigh_pieces
from edgexl.student.reasoner import ListwiseReasoner, ReasonerConfig
from edgexl.student.student import Student, load_student
from edgexl.use.inspect import inspect
from tests.tiny import assembled, tiny_described, tiny_labels, tiny_queries, tiny_reasoner, tiny_student


@pytest.fixture(scope="module")
def predictor() -> StudentPredictor:
    return StudentPredictor(tiny_student())


def shortlist(predictor: StudentPredictor, text: str) -> tuple[Encoded, Screened]:
    encoded = predictor.encode([text])
    return encoded, predictor.screen(encoded.query_vector, 16)


def test_permuting_the_shortlist_permutes_the_logits_and_nothing_else(predictor: StudentPredictor) -> None:
    encoded, screened = shortlist(predictor, "ba de fi")
    logits = predictor.reason(encoded, screened)
    draw = torch.Generator().manual_seed(1)
    for _ in range(5):
        order = torch.randperm(16, generator=draw)
        shuffled = screened.take(order)
        torch.testing.assert_close(predictor.reason(encoded, shuffled), logits[:, order], rtol=1e-5, atol=1e-5)


def test_a_label_is_judged_within_its_list(predictor: StudentPredictor) -> None:
    encoded, screened = shortlist(predictor, "ba de fi")
    whole = predictor.reason(encoded, screened)
    half = predictor.reason(encoded, screened.take(slice(8)))
    assert not torch.allclose(whole[:, :8], half, atol=1e-3)


def test_padding_of_a_batch_changes_no_logit(predictor: StudentPredictor) -> None:
    texts = ["ba", "ba de fi go ku la me"]
    encoded = predictor.encode(texts)
    together = predictor.reason(encoded, predictor.screen(encoded.query_vector, 16))
    for row, text in enumerate(texts):
        alone = predictor.reason(*shortlist(predictor, text))
        torch.testing.assert_close(together[row : row + 1], alone, rtol=1e-4, atol=1e-4)


def inputs_of(reasoner: ListwiseReasoner, label_tokens: Tensor, input_ids: Tensor) -> dict[str, Tensor]:
    config = reasoner.config
    count, length = label_tokens.shape[1], input_ids.shape[1]
    return {
        "input_ids": input_ids,
        "attention_mask": torch.ones_like(input_ids),
        "token_states": torch.zeros(1, length, config.state_dims),
        "query_vector": torch.zeros(1, config.query_dims),
        "label_vectors": torch.zeros(1, count, config.query_dims),
        "screening_scores": torch.zeros(1, count, 2),
        "label_tokens": label_tokens,
    }


def test_a_word_piece_shared_with_the_query_counts_unless_it_is_special() -> None:
    torch.manual_seed(0)
    config = ReasonerConfig(
        vocabulary=50, query_dims=4, state_dims=4, dims=8, ffn_dims=8, heads=2, layers=1, token_dims=4, first_word_id=10
    )
    reasoner = ListwiseReasoner(config).eval()
    with torch.no_grad():
        reasoner.verdict.normal_()
        reasoner.text.tokens.weight.zero_()  # pieces differ in nothing but their ids
    with torch.no_grad():
        logits = reasoner(**inputs_of(reasoner, torch.tensor([[[20, 0], [30, 0]]]), torch.tensor([[5, 20, 6]])))
        assert (logits[0, 0] - logits[0, 1]).abs() > 1e-3
        logits = reasoner(**inputs_of(reasoner, torch.tensor([[[5, 0], [6, 0], [9, 0]]]), torch.tensor([[5, 20, 6]])))
        assert torch.allclose(logits, logits[:, :1].expand_as(logits), atol=1e-6)


def test_no_parameter_belongs_to_a_label() -> None:
    student = tiny_student()
    for module in (student.screener, student.reasoner):
        for name, value in module.state_dict().items():
            assert len(student.labels) not in value.shape, name


def residual_student(untrained: bool = True, letters: int = 0) -> Student:
    """The tiny one over described labels with aliases; its reasoner sees all evidence and corrects screening. With
    `letters` it compares spelling, too."""
    student = tiny_student(tiny_described(tiny_labels(aliases=True)))
    torch.manual_seed(1)
    config = replace(tiny_reasoner().config, absence=True, evidence=True, residual=True, coverage=True, letters=letters)
    reasoner = ListwiseReasoner(config)
    if letters:
        with torch.no_grad():
            reasoner.letters.weight.copy_(count_letters(student.tokenizer, config.vocabulary))
    if not untrained:
        with torch.no_grad():
            reasoner.verdict.normal_(std=0.1)
            reasoner.screening_weight.fill_(7.5)
    return assembled(student.labels, student.screener, reasoner)


@pytest.mark.parametrize("letters", [0, COLUMNS])
def test_an_untrained_residual_reasoner_is_screening(letters: int) -> None:
    student = residual_student(letters=letters)
    predictor = StudentPredictor(student)
    texts = [query.text for query in tiny_queries(student.labels, 40, 1)]
    screened, reasoned = predictor.rank_by_stage(texts, 16)
    assert np.array_equal(screened, reasoned)
    encoded = predictor.encode(texts[:1])
    found = predictor.screen(encoded.query_vector, 16)
    wanted = 20.0 * (found.screening - found.screening.amax(1, keepdim=True))
    torch.testing.assert_close(predictor.reason(encoded, found), wanted, atol=1e-4, rtol=0)


@pytest.mark.parametrize("untrained", [True, False])
def test_a_bundle_adds_the_screening_score_with_its_lexical_part(tmp_path: Path, untrained: bool) -> None:
    student = residual_student(untrained)
    recipe = Recipe("residual", index=IndexRecipe(code_bytes=8, overfetch=64), reasoner=ReasonerRecipe(blend="none"))
    compile(student, replace(recipe, gates=replace(recipe.gates, reasoner_gain=-100)), "host", tmp_path / "b.exl")
    told = inspect(tmp_path / "b.exl", self_test=True)["blend"]
    assert (told["kind"], told["reasoner_weight"]) == ("as it is", 1.0)
    assert told["P@1"]["reasoner"] == told["P@1"]["chosen"]
    factor = 20.0 if untrained else 7.5
    with open_bundle(tmp_path / "b.exl") as handle:
        assert handle.manifest["lexical"]["kept"]
        found = [handle.predict(query.text, k=5) for query in student.evaluation[:40]]
    same = [answer.ranked.tolist() == answer.shortlist_labels.tolist() for answer in found]
    assert all(same) if untrained else not all(same)
    assert told["screening_weight"] == pytest.approx(factor, rel=1e-6)


def test_a_reasoner_with_letters_finds_the_label_that_lacks_fewest() -> None:
    student = residual_student(letters=COLUMNS)
    with torch.no_grad():
        student.reasoner.lacked.fill_(-1.0)  # type: ignore[operator,union-attr]
        student.reasoner.left.fill_(-0.1)  # type: ignore[operator,union-attr]
    predictor = StudentPredictor(student)
    right = 0
    for label in range(0, 200, 10):
        text = student.labels.texts[label]
        encoded = predictor.encode([text[:-1]])  # one letter is left out
        vectors = predictor.row_vectors[label : label + 1]
        screened = predictor.screen(vectors, 16)  # the right one is first here
        order = torch.randperm(16, generator=torch.Generator().manual_seed(label))
        logits = predictor.reason(encoded, screened.take(order.numpy()))
        right += int(screened.labels[0, order[logits[0].argmax()]]) == label
    assert right >= 19


def test_letters_are_counted_by_piece() -> None:
    tokenizer = tiny_student().tokenizer
    table = count_letters(tokenizer, tokenizer.get_vocab_size() + 2)
    assert table.shape == (tokenizer.get_vocab_size() + 2, COLUMNS)
    assert not table[tokenizer.token_to_id("[PAD]")].any()
    assert not table[-1].any()
    ids = tokenizer.encode("ba de", add_special_tokens=False).ids
    assert table[ids].sum(0)[:5].tolist() == [1.0, 1.0, 0.0, 1.0, 1.0]
    assert float(table[ids].sum()) == 8.0  # four letters, and the pairs ^b, ba, ^d, de


def test_a_bundle_spells_without_an_engine_library(tmp_path: Path) -> None:
    student = residual_student(untrained=False, letters=COLUMNS)
    with torch.no_grad():
        for part in (student.reasoner.lacked, student.reasoner.left, student.reasoner.direct):  # type: ignore[union-attr]
            part.normal_(std=0.05)  # type: ignore[operator]
    recipe = Recipe("spelling", index=IndexRecipe(code_bytes=8, overfetch=64), reasoner=ReasonerRecipe(blend="none"))
    recipe = replace(recipe, gates=replace(recipe.gates, reasoner_gain=-100))
    report = compile(student, recipe, "host", tmp_path / "b.exl")
    gates = {gate.name: gate.passed for gate in report.gates}
    assert gates["export_difference"]  # PyTorch against the graph
    assert gates["goldens_reproduced"]  # the graph against the C runtime
    queries = [query.text for query in student.evaluation[:40]]
    with open_bundle(tmp_path / "b.exl") as handle:
        assert handle.manifest["engine"] == "native"
        found = [handle.predict(text, k=1).ranked[0] for text in queries]
    with torch.no_grad():
        student.reasoner.lacked.fill_(-2.0)  # type: ignore[operator,union-attr]
    compile(student, recipe, "host", tmp_path / "c.exl")
    with open_bundle(tmp_path / "c.exl") as handle:
        assert [handle.predict(text, k=1).ranked[0] for text in queries] != found
    student.save(tmp_path / "student")
    assert load_student(tmp_path / "student").reasoner.config.letters == COLUMNS  # type: ignore[union-attr]


def test_pieces_that_training_asks_for_often_weigh_most() -> None:
    pieces = np.array([[5, 6, 0], [6, 0, 0], [7, 7, 0]])
    table = weigh_pieces(pieces, np.array([3, 1, 0]), 9, 0.5)
    assert table.shape == (9, 1)
    shares = np.array([3, 4, 0]) + 1  # of pieces 5, 6 and 7, of 7 met and 9 more
    assert table[5:8, 0].tolist() == pytest.approx((0.5 * np.log(shares / 16)).tolist())
    assert float(table[0]) == 0.0
    assert float(table[8]) == float(table[7])


def test_a_prior_adds_how_far_a_label_is_above_the_shortlists_mean() -> None:
    student = residual_student(untrained=False)
    assert isinstance(student.reasoner, ListwiseReasoner)
    predictor = StudentPredictor(student)
    encoded = predictor.encode([student.evaluation[0].text])
    screened = predictor.screen(encoded.query_vector, 16)
    before = predictor.reason(encoded, screened)
    table = torch.randn(student.reasoner.config.vocabulary, 1)
    table[0] = 0
    student.reasoner.set_prior(table)
    pieces = [
        student.tokenizer.encode(student.labels.texts[label], add_special_tokens=False).ids[
            : student.shapes.label_tokens
        ]
        for label in screened.labels[0].tolist()
    ]
    likely = torch.stack([table[ids].sum() for ids in pieces])
    torch.testing.assert_close(predictor.reason(encoded, screened)[0], before[0] + likely - likely.mean())


def test_a_bundle_has_its_students_prior(tmp_path: Path) -> None:
    student = residual_student(untrained=False)
    assert isinstance(student.reasoner, ListwiseReasoner)
    asked = np.arange(len(student.labels))
    rows = Rows.of(student.labels, student.tokenizer, student.shapes.max_tokens, aliases=False)
    pieces = rows.label_pieces(student.shapes.label_tokens)
    student.reasoner.set_prior(weigh_pieces(pieces, asked, student.reasoner.config.vocabulary, 3.0))
    student.save(tmp_path / "student")
    student = load_student(tmp_path / "student")
    assert student.reasoner.config.prior  # type: ignore[union-attr]
    recipe = Recipe("prior", index=IndexRecipe(code_bytes=8, overfetch=64))
    recipe = replace(recipe, gates=replace(recipe.gates, reasoner_gain=-100))
    found, blends = {}, {}
    for weight in (3.0, 0.0):
        student.reasoner.set_prior(  # type: ignore[operator,union-attr]
            weigh_pieces(pieces, asked, student.reasoner.config.vocabulary, weight)  # type: ignore[union-attr]
        )
        report = compile(student, recipe, "host", tmp_path / "b.exl")
        gates = {gate.name: gate.passed for gate in report.gates}
        assert gates["export_difference"]  # PyTorch against the graph
        assert gates["goldens_reproduced"]  # the graph against the C runtime
        with open_bundle(tmp_path / "b.exl") as handle:
            assert handle.manifest["engine"] == "native"
            found[weight] = [handle.predict(query.text, k=1).ranked[0] for query in student.evaluation[:40]]
            blends[weight] = handle.manifest["blend"]
    assert np.mean(found[3.0]) > np.mean(found[0.0])  # the later a label, the more it was asked for
    # of how much screening counts beside the reasoner, queries without that preference tell
    assert blends[3.0]["P@1"]["reasoner"] == pytest.approx(blends[0.0]["P@1"]["reasoner"], abs=1.0)
    assert blends[3.0]["kind"] == blends[0.0]["kind"]


def test_a_blend_adds_to_what_the_reasoner_brings(tmp_path: Path) -> None:
    """Of queries that either screening or the reasoner alone puts right, a blend of both puts more right."""
    student, rng = residual_student(untrained=False), np.random.default_rng(0)
    made = []
    for place in range(4000):
        label = int(rng.integers(len(student.labels)))
        text = disturb(disturb(disturb(student.labels.texts[label], rng), rng), rng)
        made.append(Query(f"q{place}", text, (label,)))
    queries = [query for query in made if query.text.strip()]
    ranked = StudentPredictor(student).rank_by_stage([query.text for query in queries], 1)
    screened, reasoned = (
        np.array([first[0] in query.targets for first, query in zip(of_stage, queries, strict=True)])
        for of_stage in ranked
    )
    apart = [np.flatnonzero(one & ~other) for one, other in ((screened, reasoned), (reasoned, screened))]
    count = min(map(len, apart))
    mixed = tuple(queries[place] for pair in zip(apart[0][:count], apart[1][:count], strict=True) for place in pair)
    assert len(mixed) >= 100
    recipe = Recipe("residual", index=IndexRecipe(code_bytes=8, overfetch=64, lexical="none"))
    compile(replace(student, calibration=mixed), recipe, "host", tmp_path / "b.exl")
    told = inspect(tmp_path / "b.exl", self_test=True)["blend"]
    assert told["kind"] == "blend"
    assert told["screening_weight"] > 7.5


@pytest.mark.parametrize("kind", EVIDENCE)
def test_each_kind_of_evidence_counts(kind: str) -> None:
    predictor = StudentPredictor(residual_student(untrained=False))
    encoded, screened = shortlist(predictor, "ba de fi")
    logits = predictor.reason(encoded, screened)
    evidence = screened.evidence.clone()
    evidence[0, 3, EVIDENCE.index(kind)] += 0.2
    changed = predictor.reason(encoded, Screened(screened.labels, evidence, screened.screening))
    assert not torch.allclose(changed, logits, atol=1e-4)


def test_missing_evidence_says_nothing() -> None:
    """Of a label without aliases, descriptions and words in common all that its evidence says is its own score."""
    reasoner = ListwiseReasoner(replace(tiny_reasoner().config, evidence=True))
    own = torch.rand(1, 6, 1)
    missing = torch.cat([own.expand(-1, -1, 4), torch.zeros(1, 6, 1)], -1)
    told = reasoner._tell_kinds(missing, own * 20.0, own * 20.0)
    assert all(torch.equal(scalar, torch.zeros(1, 6, 1)) for scalar in told)


def test_students_keep_their_reasoner_and_old_ones_know_of_no_evidence(tmp_path: Path) -> None:
    new, old = residual_student(untrained=False), tiny_student()
    for name, student in (("new", new), ("old", old)):
        student.save(tmp_path / name)
        again = load_student(tmp_path / name)
        encoded, screened = shortlist(StudentPredictor(student), "ba de fi")
        wanted = StudentPredictor(student).reason(encoded, screened)
        torch.testing.assert_close(StudentPredictor(again).reason(encoded, screened), wanted, atol=0.05, rtol=0)
    config = json.loads((tmp_path / "old" / "student.json").read_text())["reasoner"]["config"]
    assert not {"evidence", "residual", "letters"} & set(config)


@pytest.mark.parametrize("weight", [-1.0, float("nan"), "much"])
def test_a_weight_that_is_none_is_refused(weight: Any) -> None:
    reasoner = tiny_reasoner()
    reasoner.screening_weight = weight
    with pytest.raises(BadInput, match=r"screening_weight is .*; it must be a number of 0 or more\."):
        assembled(tiny_labels(), tiny_student().screener, reasoner)

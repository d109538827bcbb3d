"""Students with a cut vocabulary give what they gave, for texts whose pieces are all kept."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

import edgexl
from edgexl.base.errors import BadInput
from edgexl.compiler import compile
from edgexl.compiler.recipe import Recipe, VocabularyRecipe, load_recipe
from edgexl.student import cut
from edgexl.student.contract import sample_inputs
from edgexl.student.cut import cut_vocabulary
from edgexl.student.encode import encode_vectors
from edgexl.student.student import Student, load_student
from edgexl.use.inspect import inspect
from tests.tiny import tiny_labels, tiny_ngram_student, tiny_student

FEW = tiny_labels(40)


def few_labels() -> Student:
    """A student of few labels, whose word pieces are a part of its vocabulary."""
    whole = tiny_student()
    return whole.with_labels(FEW)


def test_kept_texts_have_the_vectors_and_logits_that_they_had() -> None:
    whole = few_labels()
    small, about = cut_vocabulary(whole, "labels")
    found = about["vocabulary"]
    assert found["of"] == whole.shapes.vocabulary
    assert found["pieces"] == small.shapes.vocabulary == small.tokenizer.get_vocab_size() < found["of"]
    vectors = [encode_vectors(each.screener, each.tokenizer, FEW.texts) for each in (whole, small)]
    assert torch.equal(*vectors)
    inputs = sample_inputs(small.screener, small.shapes, 5, 7)
    # the same tokens by their old ids
    old = {small.tokenizer.token_to_id(piece): place for piece, place in whole.tokenizer.get_vocab().items()}
    back = torch.tensor([old[new] for new in range(small.shapes.vocabulary)])
    ids = {name: back[inputs[name]] if inputs[name].dtype == torch.int64 and name != "attention_mask" else inputs[name]
           for name in small.reasoner.input_names}  # type: ignore[union-attr]  # fmt: skip
    with torch.no_grad():
        logits = [each.reasoner(**given) for each, given in ((whole, ids), (small, {k: inputs[k] for k in ids}))]
    assert torch.equal(*logits)


def test_what_held_out_texts_lose_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = few_labels()
    strange = next(
        piece for piece in whole.tokenizer.get_vocab(with_added_tokens=False)
        if piece.isalpha() and len(piece) > 2 and not any(piece in text for text in FEW.texts)
    )  # fmt: skip
    asked = whole.with_labels(FEW, evaluation=[(FEW.texts[0], FEW.texts[0]), (strange, FEW.texts[1])])
    _, about = cut_vocabulary(asked, "labels")
    found = about["vocabulary"]
    assert (found["tokens_lost"], found["texts_changed"], found["held_out_texts"]) == (1, 1, 2)
    kept, about = cut_vocabulary(asked, "labels", [strange])
    assert about["vocabulary"]["tokens_lost"] == 0
    assert kept.tokenizer.token_to_id(strange) is not None
    # a calibration query's pieces stay, too
    _, about = cut_vocabulary(dataclasses.replace(asked, calibration=asked.evaluation), "labels")
    assert about["vocabulary"]["tokens_lost"] == 0


def test_a_number_keeps_so_many_and_auto_leaves_small_vocabularies_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = few_labels()
    needed = cut_vocabulary(whole, "labels")[0].shapes.vocabulary
    more = cut_vocabulary(whole, needed + 100)[0].shapes.vocabulary
    assert needed < more <= needed + 100
    for keep in ("all", "auto", 10_000):
        assert cut_vocabulary(whole, keep) == (whole, {})  # type: ignore[arg-type]
    monkeypatch.setattr(cut, "AUTO_ABOVE", 100)
    monkeypatch.setattr(cut, "AUTO_PIECES", 10)
    assert cut_vocabulary(whole, "auto")[0].shapes.vocabulary == needed


def test_a_cut_student_is_saved_and_loaded(tmp_path: Path) -> None:
    small = cut_vocabulary(few_labels(), "labels")[0]
    small.save(tmp_path / "small")
    again = load_student(tmp_path / "small")
    assert again.shapes == small.shapes
    for name in ("screener", "reasoner"):
        ours, theirs = (getattr(each, name).state_dict() for each in (small, again))
        for key, value in ours.items():  # files hold codes of 8 bits
            torch.testing.assert_close(value, theirs[key], atol=0.05, rtol=0.02)


def test_hashed_n_grams_cannot_be_cut() -> None:
    student = tiny_ngram_student()
    with pytest.raises(BadInput, match="cannot be cut under the screener NgramScreener"):
        cut_vocabulary(student, "labels")
    assert cut_vocabulary(student, "auto") == (student, {})


def test_the_bundle_answers_as_the_whole_one_does(tmp_path: Path) -> None:
    student = few_labels()
    base = load_recipe("labels")
    # a rotation and trained codes would be fitted to words of the vocabulary, too
    index = dataclasses.replace(base.index, rotation="none", coarse="sign", code_bytes=4)
    recipe = dataclasses.replace(base, calibrate=dataclasses.replace(base.calibrate, method="none"), index=index)
    answers = []
    for name, keep in (("whole", "all"), ("small", "labels")):
        chosen: Recipe = dataclasses.replace(recipe, vocabulary=VocabularyRecipe(keep))  # type: ignore[arg-type]
        gates = dataclasses.replace(chosen.gates, p_at_1_kept=0, r_at_100_kept=0)
        compile(student, dataclasses.replace(chosen, gates=gates), "host", tmp_path / f"{name}.exl")
        with edgexl.open_bundle(tmp_path / f"{name}.exl") as bundle:
            answers.append([bundle.predict(text, k=5) for text in FEW.texts[:20]])
    for before, after in zip(*answers, strict=True):
        first, same = before.labels[0], after.labels[0]
        assert first.id == same.id
        assert abs(first.logit - same.logit) < 0.1  # a table of less than 1,024 rows is not quantized
    about = inspect(tmp_path / "small.exl")
    assert about["vocabulary"]["of"] == student.shapes.vocabulary
    assert about["shapes"]["vocabulary"] == about["vocabulary"]["pieces"]
    assert "vocabulary" not in inspect(tmp_path / "whole.exl")

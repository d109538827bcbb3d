"""Finishing brings a compiled student closer to its float self, survives a kill, and gives the same student again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from edgexl.base.errors import BadInput
from edgexl.compiler import compile
from edgexl.compiler.measure.reference import ReferencePipeline
from edgexl.compiler.recipe import GateRecipe, GraphRecipe, IndexRecipe, ReasonerRecipe, Recipe
from edgexl.data import Query, write_dataset
from edgexl.distill.finishing.finish import finish
from edgexl.distill.finishing.table import FinishingTable
from edgexl.predict.float_student import Screened, StudentPredictor
from edgexl.student.student import Student, load_student
from tests.command_line import Edgexl
from tests.tiny import tiny_labels, tiny_ngram_student, tiny_queries, tiny_student

FOUR_BITS = GraphRecipe("int4-weights")
RECIPE = Recipe(
    "short codes", screener=FOUR_BITS, reasoner=ReasonerRecipe("int4-weights", blend="none"),
    index=IndexRecipe(rotation="pca", code_bytes=2, fine_dims=16, overfetch=300, lexical="none"),
    gates=GateRecipe(reasoner_gain=-100),
)  # fmt: skip
TABLE = FinishingTable(
    screening_steps=60, screening_batch=32, screening_rate=3e-3, reasoning_steps=60, reasoning_batch=16,
    reasoning_rate=2e-3, random_rows=64, refresh_steps=20, temperature=0.05, screening_data_weight=0.0,
)  # fmt: skip
SHORT = FinishingTable(
    screening_steps=6, screening_batch=16, reasoning_steps=6, reasoning_batch=8, random_rows=16, refresh_steps=4
)


class Killed(Exception):
    """What a test raises inside the progress callback."""


def quiet(line: str) -> None:
    pass


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def student() -> Student:
    return tiny_student()


@pytest.fixture(scope="module")
def queries(student: Student) -> tuple[Query, ...]:
    return tiny_queries(student.labels, 300, 1)


def gap(student: Student, finished: Student, folder: Path) -> float:
    """Mean KL from the float student's decisions to those of the compiled `finished` one, over the shortlists of the
    latter: queries that no training saw, in graphs and codes that are the compiler's own."""
    compile(finished, RECIPE, "host", folder / "bundle.exl")
    pipeline = ReferencePipeline.from_bundle(folder / "bundle.exl", student.tokenizer)
    predictor = StudentPredictor(student)
    found = []
    for query, answer in zip(
        student.evaluation, pipeline.answers([query.text for query in student.evaluation]), strict=True
    ):
        encoded, labels = predictor.encode([query.text]), torch.from_numpy(answer.labels)[None]
        scores = predictor.row_vectors[labels] @ encoded.query_vector.unsqueeze(-1)
        wanted = predictor.reason(encoded, Screened.of(labels, scores.expand(-1, -1, 2)))[0].log_softmax(-1)
        own = torch.from_numpy(answer.logits).log_softmax(-1)
        found.append(float((wanted.exp() * (wanted - own)).sum()))
    return float(np.mean(found))


def same(left: Student, right: Student) -> bool:
    pairs = zip(
        [*left.screener.state_dict().values(), *left.reasoner.state_dict().values()],
        [*right.screener.state_dict().values(), *right.reasoner.state_dict().values()],
        strict=True,
    )
    return all(torch.equal(a, b) for a, b in pairs)


def test_a_finished_student_compiles_to_what_its_float_self_says(
    student: Student, queries: Sequence[Query], tmp_path: Path
) -> None:
    compiled = gap(student, student, tmp_path)
    # after 60 steps the gain hangs on how the CPU rounds and sums
    longer = replace(TABLE, screening_steps=150, reasoning_steps=150)
    done = finish(student, RECIPE, queries, queries, longer, device="cpu", log=quiet)
    done.save(tmp_path / "finished")
    # 96 random words in 16 dimensions leave little to gain: about a fifth, less where a CPU trains in fp32
    assert compiled > 0.04
    assert gap(student, load_student(tmp_path / "finished"), tmp_path) < 0.95 * compiled


def test_the_finished_student_says_so_and_keeps_the_rest(student: Student, queries: Sequence[Query]) -> None:
    weights = {name: value.clone() for name, value in student.screener.state_dict().items()}
    done = finish(student, RECIPE, queries, queries, SHORT, device="cpu", log=quiet)
    assert done.provenance["note"] == student.provenance["note"]
    assert done.provenance["finishing"]["recipe"]["name"] == "short codes"
    assert done.provenance["finishing"]["screening_steps"] == 6
    assert (done.labels, done.evaluation, done.shapes) == (student.labels, student.evaluation, student.shapes)
    assert all(torch.equal(value, student.screener.state_dict()[name]) for name, value in weights.items())
    assert not same(done, student)
    assert all(parameter.requires_grad for parameter in done.screener.parameters())


@pytest.mark.parametrize("stage", ["finishing screener", "finishing reasoner"])
def test_a_killed_finishing_goes_on_where_it_was(
    student: Student, queries: Sequence[Query], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    monkeypatch.setattr("edgexl.distill.stages.training.CHECKPOINT_SECONDS", 0.0)

    def kill(what: str, done: int, total: int) -> None:
        # 5: the codes that were fitted at step 4 must come back, too
        if what == f"train {stage}" and done == 5:
            raise Killed

    with pytest.raises(Killed):
        finish(student, RECIPE, queries, queries, SHORT, device="cpu", work=tmp_path, progress=kill, log=quiet)
    steps: list[tuple[str, int]] = []
    resumed = finish(
        student, RECIPE, queries, queries, SHORT, device="cpu", work=tmp_path, log=quiet,
        progress=lambda what, done, total: steps.append((what, done)),
    )  # fmt: skip
    assert min(done for what, done in steps if what == f"train {stage}") == 5
    assert not [what for what, _ in steps if what == "encode labels by the float self"]
    straight = finish(student, RECIPE, queries, queries, SHORT, device="cpu", log=quiet)
    assert same(resumed, straight)


def test_a_run_begun_for_another_recipe_is_refused(student: Student, queries: Sequence[Query], tmp_path: Path) -> None:
    finish(student, RECIPE, queries, queries, SHORT, device="cpu", work=tmp_path, log=quiet)
    other = Recipe("other", index=RECIPE.index)
    with pytest.raises(BadInput, match="unfinished run of another recipe"):
        finish(student, other, queries, queries, SHORT, device="cpu", work=tmp_path, log=quiet)


@pytest.mark.parametrize("labels_from", ["float", "quantized"])
def test_aliases_and_rounded_labels_can_be_finished(labels_from: str) -> None:
    student = tiny_student(tiny_labels(aliases=True))
    queries = tiny_queries(student.labels, 100, 1)
    index = IndexRecipe(rotation="random", coarse="sign", code_bytes=4, labels_from=labels_from)  # type: ignore[arg-type]
    done = finish(student, Recipe("rounded", index=index), queries, queries, SHORT, device="cpu", log=quiet)
    assert not same(done, student)


def test_a_screener_of_ngrams_can_be_finished(queries: Sequence[Query]) -> None:
    student = tiny_ngram_student()
    done = finish(student, RECIPE, queries, queries, SHORT, device="cpu", log=quiet)
    before, after = student.screener.state_dict(), done.screener.state_dict()
    assert not torch.equal(before["up.weight"], after["up.weight"])
    assert (before["table.weight"] - after["table.weight"]).abs().max() < 0.01  # what storage rounds


def test_held_out_queries_are_not_trained_on(student: Student) -> None:
    with pytest.raises(BadInput, match="no screening queries"):
        finish(student, RECIPE, student.evaluation, student.calibration, SHORT, device="cpu", log=quiet)


def test_a_stage_of_no_steps_stays_as_it_is(student: Student, queries: Sequence[Query]) -> None:
    table = FinishingTable(screening_steps=0, reasoning_steps=2, reasoning_batch=4)
    done = finish(student, RECIPE, queries, queries, table, device="cpu", log=quiet)
    for name, value in student.screener.state_dict().items():
        assert torch.equal(value, done.screener.state_dict()[name])
    changed = student.reasoner.state_dict()
    assert any(not torch.equal(value, changed[name]) for name, value in done.reasoner.state_dict().items())


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [({"near_rows": 1}, "near_rows"), ({"screening_rate": 0.0}, "rates"), ({"coarse_weight": -1.0}, "weights")],
)
def test_impossible_settings_are_refused(wrong: dict[str, float], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        FinishingTable(**wrong)  # type: ignore[arg-type]


def test_the_command_finishes_a_directory(student: Student, edgexl: Edgexl, tmp_path: Path) -> None:
    split = {"reasoning_share": 0.4, "calibration": 60, "development": 60, "evaluation": 100}
    replace(student, provenance={"recipe": {"split": split}}).save(tmp_path / "student")
    trn = [query for word in (0, 1) for query in tiny_queries(student.labels, 300, word)]
    write_dataset(tmp_path / "data", student.labels, trn, student.evaluation, "made in code")
    (tmp_path / "recipe.toml").write_text('name = "rounded"\n[index]\ncode_bytes = 4\n')
    common = (
        "finish",
        tmp_path / "student",
        "--recipe",
        tmp_path / "recipe.toml",
        "--steps",
        2,
        "-o",
        tmp_path / "out",
    )
    said = edgexl(*map(str, common), "--data", tmp_path / "data", "--device", "cpu", "--json")
    assert said.status == 0, said.err
    assert said.json["metrics"]["evaluation"]["queries"] == 100
    done = load_student(tmp_path / "out")
    assert done.provenance["finishing"]["recipe"]["name"] == "rounded"
    assert not (tmp_path / "out.work").exists()

    write_dataset(tmp_path / "other", tiny_labels(200), tiny_queries(tiny_labels(200), 200, 1), trn[:5], "other labels")
    said = edgexl(*map(str, common), "--data", tmp_path / "other", "--device", "cpu")
    assert said.status == 2
    assert "other labels" in said.err

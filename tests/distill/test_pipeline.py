"""A distillation from data set to saved student, and its continuation after a kill."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from edgexl.base.errors import BadInput
from edgexl.data import open_dataset
from edgexl.data.layout import write_dataset
from edgexl.distill.corpus.divide import read_corpus
from edgexl.distill.pipeline import distill
from edgexl.distill.recipe import read_recipe
from edgexl.distill.stages.start import open_start
from edgexl.distill.teachers import open_teacher
from edgexl.student.encode import encode_vectors
from edgexl.student.reasoner import ScreeningReasoner
from edgexl.student.student import load_student
from tests.steps import StageProgress
from tests.tiny import tiny_labels, tiny_queries


class Killed(Exception):
    """What a test raises inside the progress callback."""


def test_a_distillation_teaches_both_stages(tiny_recipe: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    steps = StageProgress()
    student = distill(tiny_recipe, tmp_path / "student", steps, lines.append)
    judged = student.metrics["evaluation"]
    # 100 queries over 300 labels: chance would be P@1 0.3
    assert judged["queries"] == 100
    assert judged["screening"]["P@1"] > 30
    assert judged["reasoned"]["P@1"] > 30
    assert load_student(tmp_path / "student").metrics == student.metrics
    assert {"train screener", "train reasoner", "make shortlists"} <= set(steps.told)
    steps.assert_whole()
    assert any("reasoner step 60/60" in line for line in lines)
    assert not (tmp_path / "student.work").exists()
    seen = {query.uid + query.text for query in student.calibration}
    assert len(student.calibration) == 60
    assert not seen & {query.uid + query.text for query in student.evaluation}


def test_a_killed_distillation_continues_where_it_was(
    tiny_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgexl.distill.stages.training.CHECKPOINT_SECONDS", 0.0)

    def kill(what: str, done: int, total: int) -> None:
        if what == "train reasoner" and done == 40:
            raise Killed

    with pytest.raises(Killed):
        distill(tiny_recipe, tmp_path / "killed", kill, lambda line: None)
    assert not (tmp_path / "killed").exists()
    steps: list[tuple[str, int]] = []
    resumed = distill(tiny_recipe, tmp_path / "killed", lambda w, d, t: steps.append((w, d)), lambda line: None)
    assert not [done for what, done in steps if what == "train screener"]
    assert min(done for what, done in steps if what == "train reasoner") == 40
    straight = distill(tiny_recipe, tmp_path / "straight", log=lambda line: None)
    for name, value in straight.reasoner.state_dict().items():
        assert torch.allclose(value, resumed.reasoner.state_dict()[name], atol=1e-5), name


def test_leading_dimensions_carry_the_variance(tiny_recipe: Path, tmp_path: Path) -> None:
    student = distill(tiny_recipe, tmp_path / "student", log=lambda line: None)
    vectors = encode_vectors(student.screener, student.tokenizer, student.labels.texts)
    energy = vectors.square().mean(0)
    assert energy[:8].sum() > energy[8:16].sum() > energy[16:].sum()


SHORT = (("steps = 60", "steps = 24"),)
MINED = ("learning_rate = 2e-3", "learning_rate = 2e-3\nhard_labels = 1\nmine_at = [0.5]\nranking_weight = 0.5")


def changed(recipe: Path, *changes: tuple[str, str], top: str = "") -> Path:
    """The recipe's file with each of `changes` made, and `top` before everything else."""
    text = recipe.read_text()
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    recipe.write_text(top + text)
    return recipe


def test_a_run_that_mines_goes_on_with_the_same_near_misses(
    tiny_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgexl.distill.stages.training.CHECKPOINT_SECONDS", 0.0)
    changed(tiny_recipe, *SHORT, MINED)

    def kill(what: str, done: int, total: int) -> None:
        if what == "train screener" and done == 20:
            raise Killed

    with pytest.raises(Killed):
        distill(tiny_recipe, tmp_path / "killed", kill, lambda line: None)
    told: set[str] = set()
    resumed = distill(tiny_recipe, tmp_path / "killed", lambda w, d, t: told.add(w), lambda line: None)
    assert "mine near misses" not in told
    straight = distill(tiny_recipe, tmp_path / "straight", lambda w, d, t: told.add(w), lambda line: None)
    assert "mine near misses" in told
    for name, value in straight.screener.state_dict().items():
        assert torch.allclose(value, resumed.screener.state_dict()[name], atol=1e-5), name


def test_a_run_cannot_be_resumed_by_another_recipe(
    tiny_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgexl.distill.stages.training.CHECKPOINT_SECONDS", 0.0)

    def kill(what: str, done: int, total: int) -> None:
        if what == "train screener" and done == 20:
            raise Killed

    with pytest.raises(Killed):
        distill(tiny_recipe, tmp_path / "out", kill, lambda line: None)
    kept = (tmp_path / "out.work" / "screening.safetensors").read_bytes()
    changed(tiny_recipe, ("learning_rate = 2e-3", "learning_rate = 1e-3"))
    with pytest.raises(BadInput, match="unfinished run of another recipe"):
        distill(tiny_recipe, tmp_path / "out", log=lambda line: None)
    assert (tmp_path / "out.work" / "screening.safetensors").read_bytes() == kept


def test_training_queries_can_be_aliases_and_n_grams_a_screener(tiny_recipe: Path, tmp_path: Path) -> None:
    ngrams = ("teacher_layers = [0, 2]", 'screener = "ngrams"\nbuckets = 256\nvocabulary = 140')
    changed(tiny_recipe, *SHORT, ngrams, MINED, top='aliases = "queries"\n')
    student = distill(tiny_recipe, tmp_path / "student", log=lambda line: None)
    corpus = read_corpus(open_dataset(tmp_path / "data"), read_recipe(tiny_recipe).split)
    aliases = {alias for texts in student.labels.aliases for alias in texts}
    assert aliases == {query.text for query in (*corpus.screening, *corpus.reasoning)}
    assert corpus.calibration == student.calibration
    assert student.shapes.vocabulary <= 152
    assert student.metrics["evaluation"]["reasoned"]["P@1"] > 10  # chance is 0.3


def test_a_recipe_makes_the_teacher_of_smaller_students_by_either_method(
    tiny_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed(tiny_recipe, *SHORT)
    tutor = tmp_path / "tutor.toml"
    tutor.write_text(tiny_recipe.read_text())
    monkeypatch.setattr("edgexl.distill.pipeline.shipped_files", lambda folder: {"tutor": tutor})
    start = f'"{tmp_path}/teacher"'
    text = tiny_recipe.read_text().replace(f"teacher = {start}", f'teacher = "tutor"\nstart = {start}')
    text = text.replace("teacher_layers = [0, 2]", "teacher_layers = [1]\nffn_dims = 32")
    text = text.replace("[reasoning]", "[reasoning]\nteacher_weight = 0.5\nnear_miss_weight = 0.5\nabsent_share = 0.2")
    lines: list[str] = []
    told: list[set[str]] = []
    for name, method in (("one", "mechanistic"), ("two", "standard"), ("three", "standard")):
        tiny_recipe.write_text(f'method = "{method}"\naliases = "queries"\n{text}')
        told.append(set())
        student = distill(tiny_recipe, tmp_path / name, lambda w, d, t: told[-1].add(w), lines.append)
        assert student.provenance["recipe"]["method"] == method
        assert student.screener.config.ffn_dims == 32
        assert student.metrics["evaluation"]["reasoned"]["P@1"] > 10
    assert sum("the teacher tutor is trained first" in line for line in lines) == 1
    query = "query the teacher"
    # the answers that standard distillation imitates are asked for once
    assert [query in names for names in told] == [True, True, False]


def test_limits_and_frozen_layers_hold(tiny_recipe: Path, tmp_path: Path) -> None:
    changed(
        tiny_recipe, *SHORT,
        ("reasoning_share = 0.4", "reasoning_share = 0.4\nscreening_queries = 64"),
        ("learning_rate = 2e-3", "learning_rate = 2e-3\nfrozen_layers = 1"),
        ("learning_rate = 3e-3", "learning_rate = 3e-3\nown_queries = 40"),
        ("word_dims = 16", "word_dims = 32"),
    )  # fmt: skip
    lines: list[str] = []
    student = distill(tiny_recipe, tmp_path / "student", log=lines.append)
    assert any(line.startswith("64 queries train the screener") for line in lines)
    assert any("of 40 shortlists hold a gold label" in line for line in lines)
    teacher = open_start(str(tmp_path / "teacher")).encoder
    pairs = {"word.weight": "word.weight", "layers.0.up.weight": "layers.0.up.weight"}
    pairs["layers.1.up.weight"] = "layers.2.up.weight"
    moved = {
        own: float((student.screener.get_parameter(own) - teacher.get_parameter(theirs)).detach().abs().mean())
        for own, theirs in pairs.items()
    }
    # what storage in 8 bits rounds, and what training moved
    assert moved["word.weight"] < 0.01
    assert moved["layers.0.up.weight"] < 1e-3
    assert moved["layers.1.up.weight"] > 5e-3


def test_traces_teach_a_student_that_starts_from_a_model(tiny_recipe: Path, tmp_path: Path) -> None:
    labels = tiny_labels()
    lines = []
    for query in tiny_queries(labels, 300, 0):
        right = labels.ids[query.targets[0]]
        near = [labels.ids[(query.targets[0] + step) % 300] for step in (1, 2, 3)]
        lines.append(json.dumps({"text": query.text, "shortlist": [*near, right], "labels": [right]}))
    traces = tmp_path / "traces.jsonl"
    # two queries may be the same text: one trace each
    traces.write_text("\n".join({json.loads(line)["text"]: line for line in lines}.values()) + "\n")
    teacher = f'teacher = "{tmp_path}/teacher"'
    weights = ("[reasoning]", "[reasoning]\nteacher_weight = 0.5\nnear_miss_weight = 1.0")
    both = f'teacher = "{traces}"\nstart = "{tmp_path}/teacher"'
    changed(tiny_recipe, *SHORT, (teacher, both), weights, MINED)
    lines = []
    student = distill(tiny_recipe, tmp_path / "student", log=lines.append)
    assert student.metrics["evaluation"]["reasoned"]["P@1"] > 10
    assert any("ranking" in line for line in lines if line.startswith("screener"))
    assert any("imitation" in line for line in lines if line.startswith("reasoner"))


@pytest.mark.parametrize("method", ["mechanistic", "standard"])
def test_a_label_tower_is_met_by_queries(tiny_recipe: Path, tmp_path: Path, method: str) -> None:
    source = tmp_path / "teacher"
    changed(tiny_recipe, *SHORT, MINED, top=f'method = "{method}"\nlabel_tower = "{source}"\n')
    lines: list[str] = []
    student = distill(tiny_recipe, tmp_path / "student", log=lines.append)
    assert student.label_tower is not None
    assert student.label_tower.source == str(source)
    assert student.provenance["label_tower"] == student.label_tower.describe()
    assert student.metrics["evaluation"]["reasoned"]["P@1"] > 10  # chance is 0.3
    assert any("live" in line for line in lines if line.startswith("screener"))
    theirs = torch.from_numpy(student.label_tower.encode(student.labels.texts))
    energy = theirs.square().mean(0)
    assert energy[:8].sum() > energy[8:16].sum() > energy[16:].sum()
    # labels that a device adds lie nearer to the tower's vectors than to another label's
    own = encode_vectors(student.screener, student.tokenizer, student.labels.texts)
    closeness = (own * theirs).sum(1)
    assert closeness.mean() > (own * theirs.roll(1, 0)).sum(1).mean() + 0.3
    with pytest.raises(BadInput, match="student has a label tower, but a teacher encodes labels and queries alike"):
        open_teacher(str(tmp_path / "student"), student.labels)


def test_a_screener_learns_of_descriptions_and_teaches_without_a_reasoner(tiny_recipe: Path, tmp_path: Path) -> None:
    """The student of no steps is its screener; what it is asked among are its labels' texts and descriptions."""
    data = open_dataset(tmp_path / "data")
    trn, tst = (list(data.queries(split)) for split in ("trn", "tst"))
    described: list[list[str]] = [[] for _ in data.labels.ids]
    for query in trn:
        described[query.targets[0]].append(query.text)
    labels = replace(data.labels, descriptions=tuple(map(tuple, described)))
    shutil.rmtree(tmp_path / "data")
    write_dataset(tmp_path / "data", labels, trn, tst, "made in code")
    whole = tiny_recipe.read_text()
    before, after = whole.split("[reasoning]")
    first = before.replace("[screening]", "[screening]\ndescriptions = true") + "[reasoning]"
    tiny_recipe.write_text(first + after.replace("steps = 60", "steps = 0"))
    student = distill(tiny_recipe, tmp_path / "alone", log=lambda line: None)
    assert isinstance(student.reasoner, ScreeningReasoner)
    judged = student.metrics["evaluation"]
    assert judged["screening"]["P@1"] > 30
    assert judged["reasoned"]["P@1"] > 30  # by its order, of the same evidence as a bundle's
    tiny_recipe.write_text(whole)
    both = f'teacher = "{tmp_path}/alone"\nstart = "{tmp_path}/teacher"'
    changed(tiny_recipe, *SHORT, (f'teacher = "{tmp_path}/teacher"', both))
    taught = distill(tiny_recipe, tmp_path / "taught", log=lambda line: None)
    assert taught.metrics["evaluation"]["reasoned"]["P@1"] > 10


def test_the_data_alone_can_teach_and_curves_are_reported(tiny_recipe: Path, tmp_path: Path) -> None:
    changed(tiny_recipe, *SHORT, (f'teacher = "{tmp_path}/teacher"', f'start = "{tmp_path}/teacher"'))
    tiny_recipe.write_text(
        tiny_recipe.read_text().replace("[reasoning]", "[reasoning]\nprior = 0.1\noften = 2\noften_steps = 3")
    )
    student = distill(tiny_recipe, tmp_path / "student", log=lambda line: None)
    assert student.provenance["teacher"] is None
    prior = student.reasoner.prior.weight.flatten()  # type: ignore[union-attr]
    named = student.tokenizer.encode(student.labels.texts[0], add_special_tokens=False).ids
    assert float(prior[named].min()) > float(prior.min())  # a piece that nobody asks for
    assert student.metrics["evaluation"]["reasoned"]["P@1"] > 10
    page = (tmp_path / "student" / "training.html").read_text()
    assert "held-out P@1" in page
    assert "Losses of the screener" in page
    assert "Losses of the reasoner" in page
    assert "Losses of the reasoner, often asked" in page


def test_a_loss_that_leaves_the_numbers_ends_the_run_in_one_sentence(tiny_recipe: Path, tmp_path: Path) -> None:
    changed(tiny_recipe, ("learning_rate = 2e-3", "learning_rate = 1e30"))
    with pytest.raises(BadInput, match="lower learning_rate"):
        distill(tiny_recipe, tmp_path / "student", log=lambda line: None)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("leading_dims = 16", "leading_dims = 25"), "leading_dims"),
        (("batch = 32", "batsh = 32"), "did you mean 'batch'"),
        (("reasoning_share = 0.4", "reasoning_share = 1.5"), "between 0 and 1"),
        (("calibration = 60", "calibration = 6000"), "too few"),
        (("teacher_layers = [0, 2]", "teacher_layers = [0, 7]"), "layers 0 to 2"),
        (("teacher_layers = [0, 2]", 'screener = "ngrams"'), "buckets"),
        (('teacher = "', 'method = "standard"\nstart = "'), "standard distillation imitates one"),
        (
            ('teacher = "', 'method = "mystic"\nteacher = "'),
            "method is 'mystic'; it must be one of mechanistic, standard",
        ),
        (("teacher_layers = [0, 2]", 'screener = "lstm"'), "screener is 'lstm'; it must be one of transformer, ngrams"),
    ],
)
def test_an_impossible_recipe_is_refused(
    tiny_recipe: Path, tmp_path: Path, change: tuple[str, str], sentence: str
) -> None:
    tiny_recipe.write_text(tiny_recipe.read_text().replace(*change))
    with pytest.raises(BadInput, match=sentence):
        distill(tiny_recipe, tmp_path / "student", log=lambda line: None)


def test_a_directory_that_is_no_student_is_refused_before_any_work(tiny_recipe: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="not a student"):
        distill(tiny_recipe, tmp_path / "data", lambda what, done, total: pytest.fail(what), lambda line: None)


def test_the_shipped_recipe_can_be_read() -> None:
    recipe = read_recipe(Path(__file__).parents[2] / "recipes" / "distill" / "wordnet.toml")
    assert recipe.data == "wordnet"
    assert recipe.student.shortlist == 128


def test_queries_made_of_labels_train_both_stages_unasked_of_the_teacher(tiny_recipe: Path, tmp_path: Path) -> None:
    changed(
        tiny_recipe, *SHORT,
        ("learning_rate = 2e-3", "learning_rate = 2e-3\nnaming_queries = 120"),
        ("learning_rate = 3e-3", "learning_rate = 3e-3\nnaming_queries = 80\nteacher_weight = 2.0"),
    )  # fmt: skip
    corpus = read_corpus(open_dataset(tmp_path / "data"), read_recipe(tiny_recipe).split)
    lines: list[str] = []
    queried: set[int] = set()

    def watch(what: str, done: int, total: int) -> None:
        if what == "query the teacher":
            queried.add(total)

    student = distill(tiny_recipe, tmp_path / "student", watch, lines.append)
    assert f"{len(corpus.screening) + 120} queries train the screener, as the recipe has it" in lines
    assert any(f"of {len(corpus.reasoning) + 80} shortlists hold a gold label" in line for line in lines)
    assert queried == {len(corpus.reasoning)}
    assert student.metrics["evaluation"]["reasoned"]["P@1"] > 10
    standard = changed(tiny_recipe, top='method = "standard"\n')
    lines.clear()
    distill(standard, tmp_path / "standard", log=lines.append)
    assert not any("as the recipe has it" in line for line in lines)


def test_queries_made_for_the_screener_are_not_familiar_to_the_reasoner(tiny_recipe: Path, tmp_path: Path) -> None:
    changed(
        tiny_recipe, *SHORT,
        ("learning_rate = 2e-3", "learning_rate = 2e-3\nnaming_queries = 120"),
        ("learning_rate = 3e-3", "learning_rate = 3e-3\nfamiliar_queries = 10_000\nteacher_weight = 2.0"),
    )  # fmt: skip
    corpus = read_corpus(open_dataset(tmp_path / "data"), read_recipe(tiny_recipe).split)
    lines: list[str] = []
    distill(tiny_recipe, tmp_path / "student", log=lines.append)
    count = len(corpus.reasoning) + len(corpus.screening)
    assert any(f"of {count} shortlists hold a gold label" in line for line in lines)

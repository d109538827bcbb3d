"""From files to a student: the recipe that is made, what interrupts, few queries, what has changed."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from edgexl.base.errors import BadInput, SeveralFaults
from edgexl.distill.choosing.check import Checked, check_files
from edgexl.distill.choosing.run import describe, distil_files, distil_recipe
from edgexl.distill.recipe import FilesTable, read_recipe
from edgexl.student.reasoner import ScreeningReasoner
from edgexl.student.student import Student, load_student
from tests.distill.choosing.conftest import LABELS, Shop

Log = Callable[[str], None]


def shorten(path: Path, screening: int = 0, reasoning: int = 12) -> None:
    """Fewer steps and made queries, so that a test takes seconds."""
    text = re.sub(r"(\[screening\]\nsteps = )\d+", rf"\g<1>{screening}", path.read_text())
    text = re.sub(r"(\[reasoning\]\nsteps = )\d+", rf"\g<1>{reasoning}", text)
    path.write_text(re.sub(r"naming_queries = \d+", "naming_queries = 60", text))


def run(checked: Checked, screening: int = 0, reasoning: int = 12, log: Log = lambda line: None) -> Student:
    return distil_files(checked, log=log, device="cpu", show=lambda path: shorten(path, screening, reasoning))


def test_a_recipe_is_made_of_files_and_makes_the_same_student_again(shop: Shop) -> None:
    lines: list[str] = []
    student = run(check_files(shop.sources, shop.folder / "tags", 1), screening=4, log=lines.append)
    assert len(student.labels) == LABELS
    assert student.calibration
    assert not {query.text for query in student.calibration} & {query.text for query in student.evaluation}
    assert not (shop.folder / "tags.work").exists()
    assert any("of the queries name their label" in line for line in lines)
    assert any(line.startswith("training the screener") for line in lines)

    systems = describe(student)
    assert list(systems) == ["tf-idf", "bm25", "untrained", "screening", "student"]
    assert all(0 < values["P@1"] <= values["R@10"] <= 100 for values in systems.values())
    # words are spelt wrong and names are short: vectors of random weights find less than words do
    assert systems["screening"]["P@1"] >= systems["untrained"]["P@1"]

    path = shop.folder / "tags" / "recipe.toml"
    recipe = read_recipe(path)
    assert isinstance(recipe.data, FilesTable)
    assert Path(recipe.data.labels).resolve() == (shop.folder / "labels.csv").resolve()
    assert recipe.naming is not None
    assert recipe.naming.dropped == pytest.approx(0.3, abs=0.05)
    assert recipe.student.label_tokens >= 4
    assert "# to report on: nothing is fitted or chosen by these" in path.read_text()
    again = distil_recipe(path, shop.folder / "tags2", log=lambda line: None, device="cpu")
    assert again.metrics == student.metrics
    assert (shop.folder / "tags2" / "recipe.toml").read_text() == path.read_text()


def test_a_student_answers_as_well_as_its_start_where_training_spoils_it(shop: Shop) -> None:
    checked = check_files(shop.sources, shop.folder / "tags", 1)

    def spoil(path: Path) -> None:
        shorten(path, screening=6, reasoning=9)
        text = re.sub(r"learning_rate = [0-9.]+", "learning_rate = 5.0", path.read_text())
        path.write_text(text.replace("letters = true", "letters = false"))

    lines: list[str] = []
    student = distil_files(checked, log=lines.append, device="cpu", show=spoil)
    assert any("stays what it started as" in line for line in lines)
    assert any("answers by screening alone" in line for line in lines)
    assert isinstance(student.reasoner, ScreeningReasoner)
    systems = describe(student)
    assert systems["student"] == systems["screening"]
    assert systems["student"]["P@1"] >= systems["untrained"]["P@1"]


class Stopped(Exception):
    """Stands for Ctrl-C at any moment."""


@pytest.mark.parametrize("moment", ["time a few steps", "train screener", "make shortlists", "train reasoner"])
def test_an_interrupted_run_goes_on_with_the_same_command(
    shop: Shop, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgexl.distill.stages.training.CHECKPOINT_SECONDS", 0.0)
    out = shop.folder / "tags"

    def stop(what: str, done: int, total: int) -> None:
        if what.startswith(moment) and done >= min(3, total):
            raise Stopped

    with pytest.raises(Stopped):
        distil_files(
            check_files(shop.sources, out, 1), stop, lambda line: None, "cpu", lambda path: shorten(path, 5, 5)
        )
    checked = check_files(shop.sources, out, 1)
    assert checked.resumed
    steps: dict[str, list[int]] = {}
    student = distil_files(
        checked, lambda what, done, total: steps.setdefault(what, []).append(done), lambda line: None, "cpu",
        lambda path: shorten(path, 5, 5),
    )  # fmt: skip
    assert describe(student)
    if moment.startswith("train"):
        assert steps[moment][0] > 2
    if moment == "train reasoner":
        assert "train screener" not in steps


def test_a_killed_run_goes_on(shop: Shop) -> None:
    out = shop.folder / "tags"
    program = f"""
import pathlib
import edgexl.distill.stages.training as training
from edgexl.compiler.from_files import Sources
from edgexl.distill.choosing.check import check_files
from edgexl.distill.choosing.run import distil_files
from tests.distill.choosing.test_run import shorten
training.CHECKPOINT_SECONDS = 0.0
sources = Sources(pathlib.Path({str(shop.sources.labels)!r}), {shop.sources.encoder!r},
                  pathlib.Path({str(shop.sources.queries)!r}))
checked = check_files(sources, pathlib.Path({str(out)!r}), 1)
distil_files(checked, device="cpu", show=lambda path: shorten(path, 4000, 5))
"""
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.DEVNULL)
    state = out.with_name("tags.work") / "screening.safetensors"
    while not state.is_file():
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    process.wait()
    checked = check_files(shop.sources, out, 1)
    assert checked.resumed
    first: list[int] = []

    def watch(what: str, done: int, total: int) -> None:
        if what == "train screener":
            first.append(done)
            raise Stopped

    with pytest.raises(Stopped):
        distil_files(checked, watch, lambda line: None, "cpu")
    assert first[0] > 1


def test_what_has_changed_since_is_said_at_once(shop: Shop) -> None:
    out = shop.folder / "tags"
    check_files(shop.sources, out, 1)
    (shop.folder / "labels.csv").write_text((shop.folder / "labels.csv").read_text() + "new,a quilt of squares\n")
    with pytest.raises(BadInput, match=r"tags\.work holds an unfinished run.*the labels have changed.*--fresh"):
        check_files(shop.sources, out, 1)
    with pytest.raises(BadInput, match="the labels have changed, --minutes is 2 instead of 1"):
        check_files(shop.sources, out, 2)
    assert not check_files(shop.sources, out, 2, fresh=True).resumed
    assert check_files(shop.sources, out, 2).resumed


def test_a_recipe_that_was_edited_on_the_way_is_said_at_once(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    run(check_files(shop.sources, shop.folder / "tags", 1), reasoning=2)
    path, out = shop.folder / "tags" / "recipe.toml", shop.folder / "tags2"

    def stop(what: str, done: int, total: int) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        distil_recipe(path, out, stop, lambda line: None, "cpu")
    path.write_text(path.read_text().replace("seed = 0", "seed = 1"))
    with pytest.raises(BadInput, match="the recipe has changed"):
        distil_recipe(path, out, stop, lambda line: None, "cpu")


def test_a_recipe_of_data_and_a_teacher_is_enough(shop: Shop) -> None:
    recipe, out = shop.folder / "short.toml", shop.folder / "tags"
    tables = '[data]\nlabels = "labels.csv"\nqueries = "past.csv"\n[screening]\nsteps = 2\nnaming_queries = 30\n'
    more = "[reasoning]\nnaming_queries = 50\nteacher_weight = 0.0\nsteps = 3\n"
    recipe.write_text(f'teacher = "{shop.sources.encoder}"\n{tables}{more}')
    lines: list[str] = []
    student = distil_recipe(recipe, out, log=lines.append, device="cpu", minutes=1)
    assert describe(student)["student"]["P@1"] > 50
    whole = read_recipe(out / "recipe.toml")
    assert (whole.screening.steps, whole.reasoning.steps, whole.reasoning.naming_queries) == (2, 3, 50)
    assert whole.teacher == shop.sources.encoder
    assert whole.screening.teacher_weight > 0
    assert any(line.startswith("what the recipe leaves out was chosen") for line in lines)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('teacher = "x"', "the key 'data' is missing"),
        ('[data]\nlabels = "labels.csv"\nqueries = "past.csv"', "there must be a teacher or a start"),
        ('start = "x"\n[data]\nlabels = "labels.csv"', "the key 'queries' is missing"),
        ('start = "x"\n[data]\nlabels = "gone.csv"\nqueries = "past.csv"', "gone.csv"),
    ],
)
def test_a_recipe_that_says_too_little_is_refused(shop: Shop, text: str, sentence: str) -> None:
    (shop.folder / "short.toml").write_text(text)
    with pytest.raises(BadInput, match=sentence):
        distil_recipe(shop.folder / "short.toml", shop.folder / "tags", log=lambda line: None, device="cpu")


def test_everything_that_is_wrong_is_said_together(shop: Shop) -> None:
    (shop.folder / "file").write_text("text")
    sources = replace(shop.sources, labels=shop.folder / "none.csv", queries=None, encoder="no such model/at all/x")
    with pytest.raises(SeveralFaults) as caught:
        check_files(sources, shop.folder / "file", 0.5, "abacus")
    for part in ("not a student", "no device 'abacus'", "none.csv", "no encoder", "--queries FILE", "--minutes is 0.5"):
        assert part in str(caught.value)
    assert not (shop.folder / "file.work").exists()


@pytest.mark.parametrize("count", [4, 60, 150])
def test_few_queries_make_a_student_without_training(shop: Shop, count: int) -> None:
    shop.write_queries(count)
    lines: list[str] = []
    checked = check_files(shop.sources, shop.folder / "tags", 1)
    student = distil_files(checked, log=lines.append)
    assert f"{count} queries are too few to distill a student from (300 would do)" in lines[0]
    assert student.provenance["made_of_few"]["queries"] == count
    assert load_student(shop.folder / "tags").evaluation
    assert bool(student.calibration) == (count >= 20)
    assert any("adapting the encoder" in line for line in lines) == (count == 150)
    assert not (shop.folder / "tags.work").exists()

"""The search on a student of random weights, which is compiled, answered by the C runtime and timed for real."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from edgexl.base.errors import BadInput, GateFailed
from edgexl.base.progress import Progress, no_progress
from edgexl.bundle.read import read_bundle
from edgexl.compiler.recipe import GateRecipe, IndexRecipe, Recipe
from edgexl.device.open_device import open_device
from edgexl.student.reasoner import ListwiseReasoner, ReasonerConfig
from edgexl.student.screeners.transformer import ScreenerConfig, TransformerScreener
from edgexl.student.student import Student, load_student
from edgexl.target import load_target
from edgexl.use.budget import search, store
from edgexl.use.budget.limits import Limits
from edgexl.use.budget.search import BudgetReport, compile_to_budget
from edgexl.use.budget.space import make_space
from tests.command_line import Edgexl
from tests.report.look import look
from tests.tiny import SHAPES, assembled, tiny_labels

RECIPE = Recipe("plain", index=IndexRecipe(code_bytes=8, overfetch=64), gates=GateRecipe(queries=200))
TOML = """
name = "plain"
[index]
code_bytes = 8
overfetch = 64
[gates]
queries = 200
"""


@dataclass(frozen=True)
class Searched:
    """A student's directory, a search with loose limits, its bundle, and where all that it measured is kept."""

    student: Path
    report: BudgetReport
    bundle: Path
    kept: Path


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Searched:
    folder = tmp_path_factory.mktemp("searched")
    two_layers().save(folder / "student")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "cache_directory", lambda: folder / "cache")
        report = find(folder / "student", Limits(ms=1000), folder / "loose.exl")
    return Searched(folder / "student", report, folder / "loose.exl", folder / "cache")


@pytest.fixture
def known(searched: Searched, monkeypatch: pytest.MonkeyPatch) -> Searched:
    """The same, whose measurements the test begins with."""
    monkeypatch.setattr(store, "cache_directory", lambda: searched.kept)
    return searched


def two_layers() -> Student:
    """The tiny student with two layers in each stage."""
    torch.manual_seed(3)
    screener = TransformerScreener(
        ScreenerConfig(
            vocabulary=SHAPES.vocabulary, max_tokens=16, word_dims=32, state_dims=32, ffn_dims=64, heads=2, layers=2,
            query_dims=32,
        )
    )  # fmt: skip
    reasoner = ListwiseReasoner(
        ReasonerConfig(
            vocabulary=SHAPES.vocabulary, query_dims=32, state_dims=32, dims=32, ffn_dims=64, heads=2, layers=2,
            token_dims=16, first_word_id=4,
        )
    )  # fmt: skip
    with torch.no_grad():
        screener.word.weight.normal_(std=1.0)
    return assembled(tiny_labels(150), screener, reasoner)


def find(student: Path, limits: Limits, out: Path, progress: Progress = no_progress) -> BudgetReport:
    return compile_to_budget(
        load_student(student), RECIPE, load_target("host"), out, limits, progress=progress
    )  # fmt: skip


def test_each_option_is_measured_once_and_the_best_is_taken(searched: Searched) -> None:
    loose = searched.report
    assert loose.taken is not None
    assert loose.taken.figures.size_bytes == searched.bundle.stat().st_size
    own = next(each for each in loose.verified if not each.point.changes)
    assert (loose.taken.figures.p_at_1 or 0) >= (own.figures.p_at_1 or 100)
    options = {each.point.changes[0] for each in loose.verified if len(each.point.changes) == 1}
    assert {option.part for option in options} == {"engine", "screener", "reasoner", "scan", "fine", "shortlist"}
    assert len(loose.candidates) > 10 * loose.measurements[0] > 100


def test_the_bundle_keeps_the_limits_and_says_what_was_given_up(known: Searched, tmp_path: Path) -> None:
    smaller = known.bundle.stat().st_size - 6_000
    tight = find(known.student, Limits(ms=1000, size_bytes=smaller), tmp_path / "tight.exl")
    assert tight.taken is not None
    assert (tmp_path / "tight.exl").stat().st_size <= smaller
    assert sum(each.costs["size_bytes"] for each in tight.given_up) < 0
    # what the first search measured is not measured again
    assert tight.measurements[0] < known.report.measurements[0] / 2
    manifest = read_bundle(tmp_path / "tight.exl", verify=True).manifest
    assert manifest["budget"] == {
        "ms": 1000, "memory_bytes": None, "size_bytes": smaller, "recall": None,
        "changed": [option.name for option in tight.taken.point.changes],
    }  # fmt: skip
    assert manifest["recipe"]["name"] == "plain, to a budget"


def test_where_nothing_fits_it_says_what_would_and_writes_nothing(known: Searched, tmp_path: Path) -> None:
    out = tmp_path / "no.exl"
    out.write_bytes(b"what was there")
    found = find(known.student, Limits(ms=1000, size_bytes=20_000), out)
    assert (found.taken, found.report, out.read_bytes()) == (None, None, b"what was there")
    with pytest.raises(GateFailed, match=r"--max-size \d+kB would allow P@1 \d"):
        search.refuse(found)
    assert found.relaxations[0].value >= min(each.figures.size_bytes for each in found.candidates)
    impossible = find(known.student, Limits(ms=1e-6, size_bytes=20_000), out)
    assert "No single limit is to blame" in impossible.advice()


def test_an_interrupted_search_goes_on(searched: Searched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "cache_directory", lambda: tmp_path / "cache")

    def stop_at(place: int) -> Progress:
        def stop(name: str, done: int, _total: int) -> None:
            if (name, done) == ("options measured", place):
                raise KeyboardInterrupt

        return stop

    for place in (2, 3):
        with pytest.raises(KeyboardInterrupt):
            find(searched.student, Limits(ms=1000), tmp_path / "a.exl", stop_at(place))
        assert not (tmp_path / "a.exl").exists()
        (file,) = (tmp_path / "cache" / "budget").iterdir()
        # the recipe as it is, and the options before
        assert sum(name.startswith("recipe") for name in json.loads(file.read_text())) == 1 + place


@pytest.mark.slow  # compiles the emulated device's tools
def test_a_device_without_times_is_refused(searched: Searched, tmp_path: Path) -> None:
    student = load_student(searched.student)
    with (
        open_device("emulated:raspberry-pi-5") as device,
        pytest.raises(BadInput, match="is emulated and has no times"),
    ):
        compile_to_budget(student, RECIPE, load_target("host"), tmp_path / "a.exl", Limits(ms=1), device)


def test_every_point_of_the_space_is_a_recipe_and_shipped_ones_are_among_them() -> None:
    student = two_layers()
    space = make_space(student, RECIPE, load_target("host"))
    recipes = {json.dumps(dataclasses.asdict(space.recipe(point)), sort_keys=True) for point in space.points()}
    assert len(recipes) == sum(1 for _ in space.points()) > 100
    assert space.recipe(space.first).index == RECIPE.index
    left_out = make_space(student, RECIPE, load_target("host"), reasons=False)
    assert len(left_out.options["reasoner"]) == len(left_out.options["shortlist"]) == 1


@pytest.mark.slow  # three searches, and a browser
def test_the_command_prints_the_front_and_writes_the_page(
    edgexl: Edgexl, known: Searched, tmp_path: Path, chromium: str, axe: str
) -> None:
    out, page, recipe = tmp_path / "b.exl", tmp_path / "b.html", tmp_path / "plain.toml"
    recipe.write_text(TOML)
    call = ("compile", known.student, "--recipe", recipe, "-o", out, "--max-ms", "900", "--max-size", "10MB")
    said = edgexl(*call, "--report", page)
    assert said.status == 0, said.err
    for words in ("asked: at most 900 ms, at most 10.0 MB of file", "\n*", "candidates measured", f"{out}: P@1"):
        assert words in said.out
    text = look(chromium, axe, page.read_text(encoding="utf-8"), tmp_path)
    for words in ("b.exl, to a budget", "What is possible", "What was given up where", "goldens_reproduced"):
        assert words in text
    told = edgexl(*call, "--json").json
    assert told["budget"]["taken"]["size_bytes"] == out.stat().st_size == told["bytes"]["total"]
    assert told["budget"]["measurements"]["now"] == 0
    edgexl(*call[:-2], "--max-size", "10kB").refuses(1, "Nothing that edgexl can make", "--max-size")


def test_wrong_options_are_refused_before_the_student_is_loaded(edgexl: Edgexl, tmp_path: Path) -> None:
    call = ("compile", tmp_path / "none", "-o", tmp_path / "a.exl")
    edgexl(*call, "--max-size", "big").refuses(2, "--max-size is 'big'")
    edgexl(*call, "--max-ms", "-1").refuses(2, "--max-ms is -1")
    edgexl(*call, "--budget").refuses(2, "says of no budget")

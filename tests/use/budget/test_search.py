"""The search on a student of random weights, which is compiled, answered by the C runtime and timed for real."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from edgexl.base.errors import BadInput, GateFailed
from edgexl.bundle.read import read_bundle
from edgexl.compiler.recipe import GateRecipe, IndexRecipe, Recipe
from edgexl.device.open_device import open_device
from edgexl.student.reasoner import ListwiseReasoner, ReasonerConfig
from edgexl.student.screeners.transformer import ScreenerConfig, TransformerScreener
from edgexl.student.student import Student
from edgexl.target import load_target
from edgexl.use.budget import search, store
from edgexl.use.budget.limits import Limits
from edgexl.use.budget.search import BudgetReport, compile_to_budget
from edgexl.use.budget.space import make_space
from tests.command_line import Edgexl, Tiny
from tests.report.look import look
from tests.tiny import SHAPES, assembled, tiny_labels

RECIPE = Recipe("plain", index=IndexRecipe(code_bytes=8, overfetch=64), gates=GateRecipe(queries=200))


@pytest.fixture(autouse=True)
def own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is measured is kept for this test alone; rows and tables are cached as always."""
    monkeypatch.setattr(store, "cache_directory", lambda: tmp_path / "cache")


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


def find(limits: Limits, out: Path) -> BudgetReport:
    return compile_to_budget(two_layers(), RECIPE, load_target("host"), out, limits)


def test_the_bundle_keeps_the_limits_and_says_what_was_given_up(tmp_path: Path) -> None:
    loose = find(Limits(ms=1000), tmp_path / "loose.exl")
    assert loose.taken is not None
    assert loose.report is not None
    assert loose.taken.figures.size_bytes == (tmp_path / "loose.exl").stat().st_size
    assert loose.taken.figures.p_at_1 == max(each.figures.p_at_1 or 0 for each in loose.verified)
    assert loose.measurements[0] >= 10

    smaller = loose.taken.figures.size_bytes - 6_000
    tight = find(Limits(ms=1000, size_bytes=smaller), tmp_path / "tight.exl")
    assert tight.taken is not None
    assert (tmp_path / "tight.exl").stat().st_size <= smaller
    assert tight.given_up
    assert sum(each.costs["size_bytes"] for each in tight.given_up) < 0
    # what the first search measured is not measured again
    assert tight.measurements[0] < loose.measurements[0] / 2
    manifest = read_bundle(tmp_path / "tight.exl", verify=True).manifest
    assert manifest["budget"] == {
        "ms": 1000, "memory_bytes": None, "size_bytes": smaller, "recall": None,
        "changed": [option.name for option in tight.taken.point.changes],
    }  # fmt: skip
    assert manifest["recipe"]["name"] == "plain, to a budget"


def test_where_nothing_fits_it_says_what_would_and_writes_nothing(tmp_path: Path) -> None:
    out = tmp_path / "no.exl"
    found = find(Limits(ms=1000, size_bytes=20_000), out)
    assert (found.taken, found.report, out.exists()) == (None, None, False)
    with pytest.raises(GateFailed, match=r"--max-size \d+kB would allow P@1 \d"):
        search.refuse(found)
    least = min(each.figures.size_bytes for each in found.candidates)
    assert found.relaxations[0].value >= least
    impossible = find(Limits(ms=1e-6, size_bytes=20_000), out)
    assert "No single limit is to blame" in impossible.advice()


def test_an_interrupted_search_goes_on(tmp_path: Path) -> None:
    seen = []

    def stop(name: str, done: int, _total: int) -> None:
        if name == "options measured":
            seen.append(done)
            if done == 4:
                raise KeyboardInterrupt

    target = load_target("host")
    with pytest.raises(KeyboardInterrupt):
        compile_to_budget(two_layers(), RECIPE, target, tmp_path / "a.exl", Limits(ms=1000), progress=stop)
    assert not (tmp_path / "a.exl").exists()
    found = find(Limits(ms=1000), tmp_path / "a.exl")
    assert found.measurements[1] >= 5  # the recipe as it is, and four options


def test_a_device_without_times_is_refused(tmp_path: Path) -> None:
    with (
        open_device("emulated:raspberry-pi-5") as device,
        pytest.raises(BadInput, match="is emulated and has no times"),
    ):
        compile_to_budget(two_layers(), RECIPE, load_target("host"), tmp_path / "a.exl", Limits(ms=1), device)


def test_every_point_of_the_space_is_a_recipe_and_shipped_ones_are_among_them() -> None:
    student = two_layers()
    space = make_space(student, RECIPE, load_target("host"))
    recipes = {json.dumps(dataclasses.asdict(space.recipe(point)), sort_keys=True) for point in space.points()}
    assert len(recipes) == sum(1 for _ in space.points()) > 100
    assert space.recipe(space.first).index == RECIPE.index
    left_out = make_space(student, RECIPE, load_target("host"), reasons=False)
    assert len(left_out.options["reasoner"]) == len(left_out.options["shortlist"]) == 1


def test_the_command_prints_the_front_and_writes_the_page(
    edgexl: Edgexl, tiny: Tiny, tmp_path: Path, chromium: str, axe: str
) -> None:
    out, page = tmp_path / "b.exl", tmp_path / "b.html"
    call = ("compile", tiny.student, "--recipe", tiny.recipe, "-o", out, "--max-ms", "900", "--max-size", "10MB")
    said = edgexl(*call, "--report", page)
    assert said.status == 0, said.err
    for words in ("asked: at most 900 ms, at most 10.0 MB of file", "\n*", "candidates measured", f"{out}: P@1"):
        assert words in said.out
    text = look(chromium, axe, page.read_text(encoding="utf-8"), tmp_path)
    for words in ("b.exl, to a budget", "What is possible", "What was given up where", "goldens_reproduced"):
        assert words in text
    told = edgexl(*call, "--json").json
    assert told["budget"]["taken"]["size_bytes"] == out.stat().st_size == told["bytes"]["total"]
    assert told["budget"]["measurements"]["now"] <= 1
    edgexl(*call[:-2], "--max-size", "10kB").refuses(1, "Nothing that edgexl can make", "--max-size")


def test_wrong_options_are_refused_before_the_student_is_loaded(edgexl: Edgexl, tmp_path: Path) -> None:
    call = ("compile", tmp_path / "none", "-o", tmp_path / "a.exl")
    edgexl(*call, "--max-size", "big").refuses(2, "--max-size is 'big'")
    edgexl(*call, "--max-ms", "-1").refuses(2, "--max-ms is -1")
    edgexl(*call, "--budget").refuses(2, "says of no budget")

"""The page of a compile, as the command writes it: what stands on it is what the bundle does."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from html import unescape
from pathlib import Path

import numpy as np
import pytest

from edgexl.base.strict_json import parse_object
from edgexl.compiler import compile
from edgexl.compiler.recipe import CalibrateRecipe, IndexRecipe, Recipe
from edgexl.data import Query, metrics, read_queries
from edgexl.report.table import format_bytes
from edgexl.runtime.binding import BundleHandle, open_bundle
from edgexl.student.student import Student
from edgexl.use.reports.compile_page import write_compile_report
from tests.command_line import TARGET, Edgexl, Tiny, edgexl_process
from tests.report.look import look
from tests.tiny import AS_IT_IS, tiny_labels, tiny_student


@dataclass(frozen=True)
class Made:
    bundle: Path
    page: str
    said: dict[str, object]


@pytest.fixture(scope="module")
def made(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("page")
    bundle, page = folder / "tiny.exl", folder / "tiny report.html"
    said = edgexl_process(
        "compile", tiny.student, "--recipe", tiny.recipe, "--target", TARGET, "-o", bundle, "--report", page, "--json"
    )
    assert said.status == 0, said.err
    return Made(bundle, page.read_text(encoding="utf-8"), parse_object(said.out.encode()))


def table(page: str, plot: str) -> list[list[str]]:
    """The cells of a plot's numbers."""
    body = page[page.index(f"<figcaption>{plot}</figcaption>") :]
    rows = re.findall(r"<tr>(.*?)</tr>", body[: body.index("</details>")], re.DOTALL)
    return [[unescape(cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", row)] for row in rows[1:]]


def test_it_can_be_read_by_everybody(made: Made, chromium: str, axe: str, tmp_path: Path) -> None:
    text = look(chromium, axe, made.page, tmp_path)
    ledger = made.said["ledger"]
    assert isinstance(ledger, list)
    for words in (
        "tiny.exl, compiled", f"{ledger[-1]['P@1']:.1f}%", f"screening {ledger[-1]['screening_P@1']:.1f}%",
        f"300 labels, compiled by the recipe eight-byte codes for {TARGET}. Figures are of 200 held-out queries.",
        "after reasoning", "Head, torso and tail", "goldens_reproduced", "numpy", "random weights",
        format_bytes(made.bundle.stat().st_size), *(row["pass"] for row in ledger),
    ):  # fmt: skip
        assert words in text, words
    assert re.search(r"edgexl compile \S+ --recipe .*--report '.*tiny report.html'", text)


def test_its_figures_are_those_of_the_bundle(made: Made, tiny: Tiny) -> None:
    queries = list(read_queries(tiny.student / "evaluation.json.gz"))
    targets = [query.targets for query in queries]
    with open_bundle(made.bundle) as handle:
        answers = [handle.predict(query.text, k=16) for query in queries]
        ranked = np.array([answer.ranked for answer in answers])
        screened = np.array([answer.shortlist_labels for answer in answers]).astype(np.int64)
        rows = handle.info.rows - handle.info.labels
    for n, *shown in table(made.page, "Gold labels among the first N"):
        found = [100 * metrics.recalls(each, targets, int(n)).mean() for each in (screened, ranked)]
        assert [float(cell.split(" (")[0]) for cell in shown] == pytest.approx(found, rel=1e-3)
    assert [n for n, *_ in table(made.page, "Gold labels among the first N")] == ["1", "2", "4", "8", "16"]
    first = np.array([answer.labels[0].probability for answer in answers])
    right = np.array([answer.labels[0].index in own for answer, own in zip(answers, targets, strict=True)])
    bins = [np.minimum((10 * first).astype(int), 9) == place for place in range(10)]
    expected = [(100 * first[each].mean(), 100 * right[each].mean()) for each in bins if each.any()]
    shown_bins = [row for row in table(made.page, "How far probabilities can be relied on") if row[1] != "-"]
    for (said, came, *_), (mean, share) in zip(shown_bins, expected, strict=True):
        assert (float(said), float(came.split(" (")[0])) == pytest.approx((mean, share), rel=1e-3)
    counts = [int(row[2]) for row in table(made.page, "What probabilities first labels have")]
    assert (len(counts), sum(counts)) == (20, 200)
    # every third label has an alias, so that some gold labels are known by two texts
    assert rows > 0
    assert {row[0].split(":")[0] for row in table(made.page, "Head, torso and tail")} == {"tail", "unseen"}


def test_sizes_and_ledger_are_the_compiles_own(made: Made) -> None:
    sizes, ledger = made.said["bytes"], made.said["ledger"]
    assert isinstance(sizes, dict)
    assert isinstance(ledger, list)
    areas = {row[0].replace(" ", "_"): int(row[2].replace(",", "")) for row in table(made.page, "Size by section")}
    assert areas == {name: size for name, size in sizes.items() if name != "total"}
    after = [(row[0], float(row[1])) for row in table(made.page, "P@1 after each pass")]
    assert after == [(row["pass"], pytest.approx(row["P@1"], rel=1e-3)) for row in ledger]


def test_a_dozen_examples_say_both_stages_ranks(made: Made, tiny: Tiny) -> None:
    cards = re.findall(r"<li><h3>(.*?)</h3><p>(.*?)</p><ol>(.*?)</ol></li>", made.page, re.DOTALL)
    assert len(cards) == 12
    queries = {query.text: query for query in read_queries(tiny.student / "evaluation.json.gz")}
    with open_bundle(made.bundle) as handle:
        for text, said, answers in cards:
            gold = queries[unescape(text)].targets[0]
            way = handle.explain(unescape(text), gold)
            shown = re.findall(r"<span>(\N{CHECK MARK} )?([^<]*)</span><span>([\d.]+)%</span>", answers)
            expected = handle.predict(unescape(text), k=3).labels
            assert [unescape(name) for _, name, _ in shown] == [label.text for label in expected]
            assert [bool(mark) for mark, *_ in shown] == [label.index == gold for label in expected]
            if way.shortlisted:
                assert re.search(rf": rank \d+ by screening, {way.reasoner_rank} after reasoning\.", said)
            else:
                assert said.endswith("lost at screening.")
        # of each fate as many as of the others, where there are so many
        every = Counter(fate(handle, query) for query in queries.values())
        seen = Counter(fate(handle, queries[unescape(text)]) for text, *_ in cards)
    assert len(every) >= 3
    assert all(seen[each] >= min(3, count) for each, count in every.items()), (seen, every)


def fate(handle: BundleHandle, query: Query) -> str:
    answer = handle.predict(query.text, k=1)
    if not set(answer.shortlist_labels.tolist()) & set(query.targets):
        return "lost"
    before, after = int(answer.shortlist_labels[0]) in query.targets, int(answer.ranked[0]) in query.targets
    return "as before" if before == after else f"right {'after' if after else 'before'}"


def test_a_student_without_queries_has_a_page_all_the_same(tmp_path: Path) -> None:
    whole = tiny_student(tiny_labels(60))
    student = Student.from_modules(
        screener=whole.screener, reasoner=whole.reasoner, tokenizer=whole.tokenizer, labels=whole.labels,
        shapes=whole.shapes,
    )  # fmt: skip
    recipe = Recipe(
        "plain", index=IndexRecipe(code_bytes=8, overfetch=64), calibrate=CalibrateRecipe("none"), **AS_IT_IS
    )
    report = compile(student, recipe, TARGET, tmp_path / "a.exl")
    write_compile_report(report, tmp_path / "a.html")
    page = (tmp_path / "a.html").read_text()
    assert page.count("The student has no evaluation queries") == 2
    assert "Bytes after each pass" in page
    assert "Size by section" in page
    assert "P@1 after each pass" not in page
    assert "<h2" in page
    assert not page.count('class="examples"')


def test_probabilities_that_were_not_fitted_are_not_judged(tmp_path: Path) -> None:
    recipe = Recipe(
        "shares", index=IndexRecipe(code_bytes=8, overfetch=64), calibrate=CalibrateRecipe("none"), **AS_IT_IS
    )
    report = compile(tiny_student(tiny_labels(60)), recipe, TARGET, tmp_path / "a.exl")
    write_compile_report(report, tmp_path / "a.html")
    page = (tmp_path / "a.html").read_text()
    assert "No probabilities are fitted." in page
    assert "How far probabilities can be relied on" not in page
    assert "The index knows all gold labels by equally many texts" in page
    assert "Gold labels among the first N" in page


def test_a_page_needs_a_pages_name_before_anything_is_compiled(edgexl: Edgexl, tiny: Tiny, tmp_path: Path) -> None:
    out = tmp_path / "a.exl"
    edgexl("compile", tiny.student, "-o", out, "--report", tmp_path / "a.pdf").refuses(2, "a.pdf", "ends in .html")
    edgexl("compile", tiny.student, "-o", out, "--report", tmp_path / "no" / "a.html").refuses(2, "no")
    assert not out.exists()


def test_a_compile_that_a_gate_stops_has_a_page_of_what_was_measured(
    edgexl: Edgexl, tiny: Tiny, tmp_path: Path, chromium: str, axe: str
) -> None:
    out, page, strict = tmp_path / "a.exl", tmp_path / "a.html", tmp_path / "strict.toml"
    strict.write_text(tiny.recipe.read_text() + "[gates.max_ms]\nencode = 0.00001\n")
    call = ("compile", tiny.student, "--recipe", strict, "--target", "host", "-o", out, "--report", page)
    edgexl(*call, "--device", "local").refuses(1, "max_ms.encode failed", "stage to blame is encode")
    assert not out.exists()
    text = look(chromium, axe, page.read_text(encoding="utf-8"), tmp_path)
    for words in (
        "a.exl, stopped by a gate", "max_ms.encode failed", "goldens_reproduced", "P@1 after each pass", "verify"
    ):  # fmt: skip
        assert words in text, words


def test_a_device_is_for_what_is_measured_there(edgexl: Edgexl, tiny: Tiny, tmp_path: Path) -> None:
    call = ("compile", tiny.student, "--recipe", tiny.recipe, "-o", tmp_path / "a.exl", "--device", "local")
    edgexl(*call).refuses(2, "--device is where a budget or a recipe's gates on time are measured")

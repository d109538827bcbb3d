"""What objects show of themselves: a line in a terminal, tables in a notebook, in a real browser."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgexl.compiler import CompileReport
from edgexl.compiler.recipe import Recipe, available_recipes, load_recipe
from edgexl.data.label_set import LabelSet
from edgexl.report.summary import Shown
from edgexl.report.table import format_bytes
from edgexl.runtime.binding import BundleHandle, open_bundle
from edgexl.student.student import Student
from tests.serve.browser import browse
from tests.tiny import WORDS, tiny_labels

HOSTILE = "</td></table><script>document.title = 'owned'</script><img src=x onerror=\"document.title = 'owned'\">"


@pytest.fixture
def shown(student: Student, compiled: CompileReport, tmp_path: Path) -> dict[str, Shown]:
    """All kinds, with a text in each that would be markup."""
    labels = LabelSet(("<b>1</b>", "2"), (HOSTILE, "plain"), ((HOSTILE,), ()), ((HOSTILE * 10,), ()))
    with open_bundle(compiled.path) as handle:
        answer = handle.predict(f"{WORDS[0]} {WORDS[1]}")
        hostile = replace(answer.labels[0], text=HOSTILE, id=HOSTILE)
        return {
            "prediction": replace(answer, labels=[hostile, *answer.labels[1:]], none_fits=True, truncated=True),
            "explanation": replace(handle.explain(WORDS[0], 3), text=HOSTILE, id=HOSTILE),
            "info": handle.info,
            "handle": handle,
            "labels": labels,
            "student": replace(student, labels=labels, calibration=(), evaluation=()),
            "report": replace(compiled, path=Path(HOSTILE)),
            "recipe": replace(load_recipe("labels"), description=HOSTILE),
        }


def test_a_line_is_short_and_says_what_matters(shown: dict[str, Shown]) -> None:
    for name, value in shown.items():
        assert "\n" not in repr(value)
        assert len(repr(value)) < 200, name
    words = {
        "prediction": r"Prediction\([\d.]+% .*, [\d.]+% .* and 2 more; perhaps .*; the text was cut; [\d.]+ ms\)",
        "explanation": r"Explanation\(.*: (screening rank \d+, reasoner rank \d+, .*|lost at .*), found by its text\)",
        "info": r"BundleInfo\(300 labels, 300 rows of 32 dims, shortlist 16, 16 tokens, engine native .*, [\d.]+ kB\)",
        "handle": r"BundleHandle\('tiny\.exl': 300 labels, engine native, [\d.]+ kB, closed\)",
        "labels": r"LabelSet\(2 labels: .*, 'plain'; 1 alias; 1 description\)",
        "student": r"Student\(2 labels; TransformerScreener and ListwiseReasoner, 78,337 parameters; no queries\)",
        "report": r"CompileReport\(.*: [\d.]+ kB, P@1 [\d.]+, R@100 [\d.]+, \d of \d gates passed, [\d.]+ s\)",
        "recipe": r"Recipe\('labels': .*gates\.p_at_1_kept = 97\.0.*\)",
    }
    for name, pattern in words.items():
        assert re.fullmatch(pattern, repr(shown[name])), repr(shown[name])


def test_an_answer_names_its_first_labels(compiled: CompileReport) -> None:
    with open_bundle(compiled.path) as handle:
        answer = handle.predict(WORDS[0], k=2)
        first, second = answer.labels
        assert f"({first.probability:.1%} {first.text!r}, {second.probability:.1%} {second.text!r}; " in repr(answer)
        assert "no label; " in repr(handle.predict(WORDS[0], threshold=1.1))
        assert repr(handle).endswith("kB)")


def test_large_label_sets_print_as_fast_as_small_ones() -> None:
    assert len(repr(tiny_labels(300))) < 120
    assert tiny_labels(300)._repr_html_().count("<tr>") == 6


def test_every_shipped_recipe_says_what_is_its_own() -> None:
    for name in available_recipes():
        recipe = load_recipe(name)
        assert repr(recipe).startswith(f"Recipe('{name}': ")
        assert len(repr(recipe)) < 300
    assert repr(Recipe("plain")) == "Recipe('plain': all by default)"


def test_sizes_are_as_people_say_them() -> None:
    assert [format_bytes(size) for size in (812, 35_400, 60_100_000, 2_000_000_000)] == [
        "812 bytes", "35.4 kB", "60.1 MB", "2.0 GB",
    ]  # fmt: skip


def page_of(shown: dict[str, Shown], ink: str, paper: str) -> str:
    """A notebook's cells, as a theme of those colours shows them."""
    cells = "\n".join(f'<div id="{name}">{value._repr_html_()}</div>' for name, value in shown.items())
    style = f"body {{ color: {ink}; background: {paper}; font: 14px sans-serif; }}"
    return f"<!DOCTYPE html><meta charset='utf-8'><title>notebook</title><style>{style}</style>{cells}"


@pytest.mark.parametrize(("ink", "paper"), [("rgb(17, 17, 17)", "#ffffff"), ("rgb(230, 230, 230)", "#111111")])
def test_a_notebook_shows_tables_that_load_and_run_nothing(
    shown: dict[str, Shown], chromium: str, ink: str, paper: str, tmp_path: Path
) -> None:
    (tmp_path / "page.html").write_text(page_of(shown, ink, paper), encoding="utf-8")
    url = (tmp_path / "page.html").as_uri()
    with browse(chromium, tmp_path / "profile") as page:
        page.show(900, 2000)
        page.go(url)
        assert page.evaluate("document.title") == "notebook"
        assert page.evaluate("document.querySelectorAll('script, img, b > b').length") == 0
        assert page.requests == [url]
        for name in shown:
            assert page.evaluate(f"document.querySelectorAll('#{name} table').length") >= 1, name
        for name in ("prediction", "explanation", "labels", "student", "report", "recipe"):
            assert HOSTILE[:40] in page.text(f"#{name}"), name
        # the notebook's own colours, on every cell
        styles = "[...new Set([...document.querySelectorAll('{}')].map((e) => getComputedStyle(e).{}))]"
        inks = page.evaluate(styles.format("td, th, caption", "color"))
        papers = page.evaluate(styles.format("table", "backgroundColor"))
        assert (inks, papers) == ([ink], ["rgba(0, 0, 0, 0)"])
        rows = page.evaluate("[...document.querySelectorAll('#prediction tbody tr')].map((e) => e.innerText)")
        assert [row for row in rows if row.endswith("%")]
        assert page.evaluate("document.documentElement.scrollWidth") <= 900
        assert not page.problems


def test_a_handle_tells_its_ledger_and_gates(compiled: CompileReport) -> None:
    with open_bundle(compiled.path) as handle:
        html: Any = handle._repr_html_()
    for word in ("ledger", "gates", "verify", "s P@1", "eight-byte codes", "host"):
        assert word in html
    assert isinstance(handle, BundleHandle)

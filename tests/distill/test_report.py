"""The page that a distillation leaves beside its student."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgexl.distill.recipe import read_recipe
from edgexl.distill.report import write_report
from tests.report.look import look


def test_the_page_can_be_read_by_everybody(tiny_recipe: Path, chromium: str, axe: str, tmp_path: Path) -> None:
    points: list[dict[str, Any]] = [
        {"stage": stage, "step": step, "seconds": step / 10, "contrast": 5 / (1 + step), "imitation": 1.0}
        for stage in ("screener", "reasoner")
        for step in range(0, 200, 10)
    ]
    points += [{"stage": "screener", "step": step, "held-out P@1": 10 + step / 50} for step in (0, 100, 200)]
    names = ("P@1", "P@5", "nDCG@5", "R@10", "R@100")
    metrics = {
        split: {
            "queries": 60,
            "screening": {name: 11.5 + place for place, name in enumerate(names)},
            "reasoned": {name: 21.5 + more + place for place, name in enumerate(names)},
        }
        for more, split in enumerate(("development", "evaluation"))
    }
    write_report(tmp_path / "training.html", "till", read_recipe(tiny_recipe), points, metrics, 412.0)
    text = look(chromium, axe, (tmp_path / "training.html").read_text(), tmp_path)
    for words in (
        "Distillation of till", "22.5%\nscreening 11.5%; evaluation", "Development queries", "60 queries.",
        "Losses of the reasoner", "The screener on development queries", "held-out P@1", "412 seconds by the clock.",
    ):  # fmt: skip
        assert words in text, words

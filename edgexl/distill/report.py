"""The training report: curves of losses and of held-out metrics, and the metrics at the end, as one HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgexl.distill.recipe import DistillRecipe
from edgexl.report import (
    Bar,
    BarChart,
    BarGroup,
    LineChart,
    Paragraph,
    Section,
    Series,
    Table,
    Tile,
    page,
    write_text,
)

_NOT_CURVES = ("stage", "step", "seconds")


def write_report(
    path: Path,
    name: str,
    recipe: DistillRecipe,
    points: Sequence[dict[str, Any]],
    metrics: dict[str, Any],
    seconds: float,
) -> None:
    """Write the page to `path`, in one step. `points` as `Curves` keeps them, `metrics` as `judge` gives them."""
    sections = [Section("Held out", (*_draw(metrics), _tabulate(metrics)))]
    for stage in dict.fromkeys(point["stage"] for point in points):
        own = [point for point in points if point["stage"] == stage]
        names = [key for key in dict.fromkeys(k for point in own for k in point) if key not in _NOT_CURVES]
        losses = tuple(_series(own, key) for key in names if not key.startswith("held-out"))
        glances = tuple(_series(own, key) for key in names if key.startswith("held-out"))
        charts = [LineChart(f"Losses of the {stage}", "step", "loss", losses)]
        if glances:
            charts.append(LineChart(f"The {stage} on development queries", "step", "percent", glances))
        sections.append(Section(f"Training the {stage}", tuple(charts)))
    sections.append(Section("Recipe", (_recipe(recipe), Paragraph(f"{seconds:.0f} seconds by the clock."))))
    write_text(path, page(f"Distillation of {name}", sections, "distillation", "", _tiles(metrics)))


def _tiles(metrics: dict[str, Any]) -> list[Tile]:
    """Of the queries that nothing was chosen by."""
    *_, (split, found) = metrics.items()
    shown = [key for key in ("P@1", "nDCG@5", "R@10", "R@100") if key in found["reasoned"]]
    return [
        Tile(key, f"{found['reasoned'][key]:.1f}%", f"screening {found['screening'][key]:.1f}%; {split}")
        for key in shown
    ]


def _draw(metrics: dict[str, Any]) -> list[BarChart]:
    names = {"screening": "screening", "reasoned": "after reasoning"}
    return [
        BarChart(
            f"{split.capitalize()} queries", "percent",
            [
                BarGroup(key, [Bar(shown, float(found[stage][key])) for stage, shown in names.items()])
                for key in found["reasoned"]
            ],
            limits=(0.0, 100.0), note=f"{found['queries']:,} queries.",
        )
        for split, found in metrics.items()
    ]  # fmt: skip


def _series(points: Sequence[dict[str, Any]], key: str) -> Series:
    held = [point for point in points if key in point]
    return Series(key, tuple(point["step"] for point in held), tuple(point[key] for point in held))


def _tabulate(metrics: dict[str, Any]) -> Table:
    rows = [
        (split, stage, *report[stage].values())
        for split, report in metrics.items()
        for stage in ("screening", "reasoned")
    ]
    names = next(iter(metrics.values()))["reasoned"]
    return Table("Percent, by stage", ("queries", "stage", *names), tuple(rows))


def _recipe(recipe: DistillRecipe) -> Table:
    rows: list[tuple[str, str]] = []
    for key, value in recipe.as_table().items():
        if isinstance(value, dict):
            rows += [(f"{key}.{inner}", str(setting)) for inner, setting in value.items()]
        else:
            rows.append((key, str(value)))
    return Table("Settings", ("setting", "value"), tuple(rows))

"""A page with every kind of part, in a real Chromium."""

from __future__ import annotations

from pathlib import Path

from edgexl.report import (
    Answer,
    Bar,
    BarChart,
    BarGroup,
    Code,
    Example,
    Examples,
    Histogram,
    LineChart,
    Paragraph,
    Piece,
    Point,
    Range,
    RangeChart,
    Scatter,
    Section,
    Series,
    Step,
    Table,
    Tile,
    Treemap,
    Waterfall,
    page,
)
from tests.report.look import look

STEPS = [Step("export", 61.25), Step("build_index", 60.9), Step("quantize", 61.5), Step("verify", 61.5)]
PARTS = (
    LineChart("Found", "N", "R@N (%)", (Series("screening", [1, 2, 4], [10, 20, 30], [8, 18, 27], [12, 22, 33]),
                                       Series("as said", [1, 4], [10, 40], guide=True)), "log2"),
    BarChart("Bands", "R@10 (%)", (
        BarGroup("labels with twenty texts or more", (Bar("screening", 20.0, 19.0, 21.0), Bar("reasoning", 24.0))),
        BarGroup("others", (Bar("reasoning", None),)),
    )),
    Scatter("Front", "p50 (ms)", "P@1 (%)", [Point(f"{n} layers", n, 40 + n**0.5) for n in range(1, 9)],
            taken="4 layers", most=5.0),
    Waterfall("P@1 by pass", STEPS),
    Waterfall("Bytes by pass", [Step(name, size) for name, size in (("a pass", 3.1e8), ("the last", 3.5e7))], "bytes"),
    Treemap("Sizes", [Piece("fine codes", "index", 14_000_000), Piece("weights", "graphs", 9_000_000),
                      *(Piece(f"small {n}", "other", 10 ** n) for n in range(1, 5))]),
    RangeChart("Stages", "ms", [Range("encode", 0.6, 0.9, 1.6, 0.9, 1.3, "0.900"), Range("a longer name, wrapped",
               0.1, 0.2, 0.4, 0.2, 0.3, "0.200")]),
    RangeChart("Ratios", "times as long", [Range("total", 0.93, 0.96, 0.98, said="faster")], reference=1.0),
    Histogram("Queries", "ms", "queries", [0.0, 1.0, 2.0, 3.0], [5, 9, 2], {"p50": 1.4, "p90": 2.2}),
)  # fmt: skip
SECTIONS = (
    Section("Plots", (Paragraph("A sentence."), Paragraph("The machine was busy.", notice=True), *PARTS)),
    Section("Empty plots", (LineChart("a", "x", "y", ()), BarChart("b", "x", ()), Scatter("c", "x", "y", ()),
                            Waterfall("d", ()), Treemap("e", ()), RangeChart("f", "x", ()))),
    Section("Texts", (
        Examples([Example(f"<b>{'long ' * 60}</b>", ["Gold: cat."], [Answer("cat", "61%", True), Answer("x" * 200)])]),
        Table("Wide", [f"column {n}" for n in range(12)], [["text " * 12] * 12]),
        Code("edgexl compile " + "wordnet " * 40),
    )),
)  # fmt: skip
TILES = (Tile("P@1", "61.5%", "screening 52.0%"), Tile("Size", "35.0 MB"))


def test_every_part_can_be_read_by_everybody(chromium: str, axe: str, tmp_path: Path) -> None:
    text = look(chromium, axe, page("All <parts>", SECTIONS, "gallery", "A lead.", TILES), tmp_path)
    for words in (
        "All <parts>", "gallery", "61.5%", "On this page", "4 layers", "limit", "\N{MINUS SIGN}0.35", "+0.60",
        "35.0 MB", "fine codes", "faster", "p90", "not measured", "\N{CHECK MARK} cat", "nothing was measured",
        "Made by edgexl",
    ):  # fmt: skip
        assert words in text, words

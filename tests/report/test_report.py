"""Pages and plots: what is on them, and that they need nothing but themselves."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgexl.report import (
    Bar,
    BarChart,
    BarGroup,
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
    Treemap,
    Waterfall,
    page,
    write_text,
)
from edgexl.report.axis import axis_over
from edgexl.report.svg import Chart

STEPS = [0, 100, 200, 300]
LOSS = LineChart(
    "Loss & more", "step", "loss <nats>",
    (Series("training", STEPS, [4.0, 2.0, 1.5, 1.25]), Series("held out", STEPS, [4.1, None, 1.9, 1.8])),
)  # fmt: skip
FOUND = LineChart("Found", "N", "%", (Series("gold", [1, 2, 4], [10, 20, 30], [8, 18, 27], [12, 22, 33]),), "log2")
BARS = BarChart(
    "P@1", "P@1 (%)",
    (
        BarGroup("WordNet", (Bar("standard", 20.0, 19.0, 21.0), Bar("ours", 24.0))),
        BarGroup("MeSH", (Bar("ours", None),)),
    ),
)  # fmt: skip
SECTIONS = (Section("Curves", (Paragraph("a < b"), LOSS, FOUND)), Section("Bars", (BARS,)))
PAGE = page("A <title>", SECTIONS)


class Tags(HTMLParser):
    """All tags of a page with their attributes, and whether each that opens also closes, in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "img", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_page_refers_to_nothing_outside_itself() -> None:
    tags = Tags(PAGE)
    assert not tags.open
    assert not {tag for tag, _ in tags.found} & {"script", "link", "img", "iframe", "object", "base", "form"}
    references = [
        value for _, attributes in tags.found for name, value in attributes.items() if name in ("href", "src")
    ]
    assert all(value is not None and value.startswith("#") for value in references)
    assert "http:" not in PAGE
    assert "https:" not in PAGE
    assert "@import" not in PAGE
    assert "url(" not in PAGE


def test_a_page_escapes_and_names_what_it_shows() -> None:
    assert "<title>A &lt;title&gt;</title>" in PAGE
    assert "<p>a &lt; b</p>" in PAGE
    assert 'aria-label="Loss &amp; more"' in PAGE
    assert "prefers-color-scheme: dark" in PAGE
    assert 'name="viewport"' in PAGE
    assert page("A <title>", SECTIONS) == PAGE


def test_every_plot_has_its_numbers_in_a_table() -> None:
    assert PAGE.count("<details>") == PAGE.count("<figure>") == 3
    for cell in ("1.25", "10 (8 to 12)", "24"):
        assert f">{cell}</td>" in PAGE
    assert LOSS.table().rows[1] == [100, 2.0, None]
    assert list(BARS.table().rows[2]) == ["MeSH", "ours", None, None, None]


CHARTS = (
    LOSS, FOUND, BARS, LineChart("none", "x", "y", ()), BarChart("none", "x", ()), Treemap("none", ()),
    Waterfall("steps", [Step("one", 1.0), Step("two", 1.5)]), Waterfall("none", ()), Scatter("none", "x", "y", ()),
    Scatter("front", "ms", "%", [Point("one", 1, 2), Point("two", 2, 3)], "two", 3.0), RangeChart("none", "x", ()),
    Treemap("sizes", [Piece("a", "b", 10), Piece("c", "d", 5)]), RangeChart("ranges", "x", [Range("a", 1, 2, 3)]),
    Histogram("counts", "x", "y", [0, 1], [2], {"p50": 0.5}),
)  # fmt: skip


@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: f"{type(chart).__name__} {chart.title}")
def test_a_chart_is_a_sound_file_of_its_own(chart: Chart) -> None:
    root = ElementTree.fromstring(chart.svg())
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert chart.title in "".join(root.itertext())
    width, height = map(float, str(root.get("viewBox")).split()[2:])
    for text in root.iter("{http://www.w3.org/2000/svg}text"):
        assert 0 <= float(str(text.get("x"))) <= width
        assert 0 <= float(str(text.get("y"))) <= height
        # a file does not know what it lies on: neither black nor white may be its ink
        red, green, blue = (int(str(text.get("fill"))[place : place + 2], 16) for place in (1, 3, 5))
        assert 0x60 < min(red, green, blue) <= max(red, green, blue) < 0x90


def test_points_stand_where_their_values_are() -> None:
    """x evenly by powers of two; y upwards; gaps part a line; a marker each."""
    root = ElementTree.fromstring(FOUND.svg())
    (drawn,) = (each for each in root.iter() if each.tag.endswith("polyline"))
    (x1, y1), (x2, y2), (x3, y3) = (map(float, point.split(",")) for point in str(drawn.get("points")).split())
    assert x2 - x1 == pytest.approx(x3 - x2, abs=0.11)
    assert y1 - y2 == pytest.approx(y2 - y3, abs=0.11)
    assert y1 > y2
    gaps = [each for each in ElementTree.fromstring(LOSS.svg()).iter() if each.tag.endswith("polyline")]
    assert [len(str(each.get("points")).split()) for each in gaps] == [4, 2]


def test_whole_numbers_have_no_ticks_between() -> None:
    layers = LineChart("layers", "layer", "R@10", (Series("R@10", [0, 1, 2], [5, 6, 7]),)).svg()
    shares = LineChart("shares", "share", "R@10", (Series("R@10", [0, 0.5, 2], [5, 6, 7]),)).svg()
    assert ">1.5</text>" not in layers
    assert ">1.5</text>" in shares


def test_long_curves_are_thinned_but_keep_their_end() -> None:
    chart = LineChart("long", "step", "loss", (Series("training", list(range(100_001)), [1.0] * 100_001),))
    assert len(chart.svg()) < 20_000
    assert chart.table().rows[-1][0] == 100_000


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20))
def test_an_axis_holds_its_values_between_round_ticks(values: list[float]) -> None:
    axis = axis_over(values, 0.0, 100.0)
    assert 2 <= len(axis.ticks) <= 8
    assert all(-1e-6 <= axis.at(value) <= 100 + 1e-6 for value in values)
    assert max(values) - min(values) < 1e-2 or axis.at(max(values)) > axis.at(min(values))


def test_ticks_are_round() -> None:
    assert axis_over([0.0, 0.97], 0, 1).ticks == (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    assert axis_over([1, 1024], 0, 1, "log2").ticks == (1, 4, 16, 64, 256, 1024)
    with pytest.raises(ValueError, match="logarithmic"):
        axis_over([0, 1], 0, 1, "log2")


def test_series_and_rows_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError, match="'a' has 1 values for 2 places"):
        Series("a", [1, 2], [1])
    with pytest.raises(ValueError, match="2 cells for 1 columns"):
        Table("", ("one",), [(1, 2)])


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    write_text(tmp_path / "page.html", "old")
    write_text(tmp_path / "page.html", PAGE)
    assert (tmp_path / "page.html").read_text() == PAGE
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
    assert re.search(r"<html lang=\"en\">", PAGE)

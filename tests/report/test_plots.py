"""Where the marks of plots stand, and what their tables say."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from itertools import combinations, product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgexl.report import Histogram, Piece, Point, Range, RangeChart, Scatter, Step, Treemap, Waterfall
from edgexl.report.histogram import count_values
from edgexl.report.scatter import find_front
from edgexl.report.svg import Chart, label, measure
from tests.serve.browser import browse


def find(chart: Chart, tag: str, title: str = "") -> list[dict[str, str]]:
    """The attributes of a chart's elements that say this to a resting pointer."""
    found = ElementTree.fromstring(chart.svg()).iter(f"{{http://www.w3.org/2000/svg}}{tag}")
    return [dict(each.attrib) for each in found if title in "".join(each.itertext())]


def names(chart: Chart) -> list[str]:
    root = ElementTree.fromstring(chart.svg())
    return [str(each.text) for each in root.iter("{http://www.w3.org/2000/svg}text")]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=20))
def test_no_other_point_beats_one_on_the_front(places: list[tuple[int, int]]) -> None:
    points = [Point(str(number), x, y) for number, (x, y) in enumerate(places)]
    front = find_front(points)
    for point in points:
        beaten = any(
            other.x <= point.x and other.y >= point.y and (other.x, other.y) != (point.x, point.y) for other in points
        )
        on = any((point.x, point.y) == (other.x, other.y) for other in front)
        assert on == (not beaten)
    assert [point.x for point in front] == sorted({point.x for point in front})


def test_names_of_points_stand_on_no_other() -> None:
    points = [Point(f"a name {n}", n / 4, n % 2 + n / 3) for n in range(40)]  # more than there is room for
    chart = Scatter("t", "ms", "%", points, taken="a name 5", most=8.0)
    shown = [text for text in names(chart) if text.startswith("a name")]
    assert "a name 5" in shown
    assert 5 < len(shown) < len(find_front(points))
    assert set(shown) <= {*(point.name for point in find_front(points)), "a name 5"}
    boxes = [
        (float(each["x"]), float(each["y"]), each["text-anchor"], measure(text))
        for each, text in zip(find(chart, "text"), names(chart), strict=True)
        if text.startswith("a name")
    ]
    starts = {"start": 0.0, "middle": 0.5, "end": 1.0}
    ends = [(x - starts[anchor] * long, x + (1 - starts[anchor]) * long, y) for x, y, anchor, long in boxes]
    for (a, b, y), (c, d, z) in combinations(ends, 2):
        assert b <= c or d <= a or abs(y - z) >= 12
    assert chart.table().rows[0][3] == "on the front"
    assert [row[3] for row in chart.table().rows if row[0] == "a name 5"] == ["taken"]


def test_a_waterfall_shows_each_change_from_where_the_last_one_ended() -> None:
    chart = Waterfall("t", [Step("a", 60.0), Step("b", 59.0), Step("c", 59.5), Step("d", 59.5)])
    (loss,), (gain,) = find(chart, "rect", "b: "), find(chart, "rect", "c: ")
    unit = float(loss["width"])
    assert float(gain["width"]) == pytest.approx(unit / 2, abs=0.2)
    assert float(gain["x"]) == pytest.approx(float(loss["x"]), abs=0.2)  # both begin at -1
    assert loss["fill"] != gain["fill"]
    assert [row[2] for row in chart.table().rows] == [None, -1.0, 0.5, 0.0]
    assert names(chart).count("\N{MINUS SIGN}1.00") == names(chart).count("+0.50") == 1
    # of bytes, more is the loss
    sizes = Waterfall("t", [Step("a", 1e6), Step("b", 3e6)], "bytes")
    (more,) = find(sizes, "rect", "b: ")
    assert more["fill"] == loss["fill"]
    assert {"1.0 MB", "3.0 MB", "+2.0 MB"} <= set(names(sizes))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 10**8), min_size=1, max_size=20))
def test_areas_are_as_large_as_their_sizes_and_do_not_overlap(sizes: list[int]) -> None:
    chart = Treemap("t", [Piece(f"p{number}", "one kind", size) for number, size in enumerate(sizes)])
    rects = [each for each in find(chart, "rect") if "fill-opacity" in each]
    ordered = sorted(sizes, reverse=True)
    assert len(rects) == len(sizes)
    boxes = [tuple(float(each[key]) for key in ("x", "y", "width", "height")) for each in rects]
    for (x, y, w, h), (u, v, s, t) in combinations(boxes, 2):
        assert x + w <= u + 0.6 or u + s <= x + 0.6 or y + h <= v + 0.6 or v + t <= y + 0.6
    whole = 440 * 270 / sum(sizes)
    for size, (_, _, wide, high) in zip(ordered, boxes, strict=True):
        if min(wide, high) > 4:  # the gaps between small ones are as large as they are
            assert (wide + 1.5) * (high + 1.5) == pytest.approx(size * whole, rel=0.03)
    assert sum(float(str(row[3])) for row in chart.table().rows) == pytest.approx(1.0)


def test_a_range_has_its_box_and_whiskers_where_its_values_are() -> None:
    chart = RangeChart("t", "ms", [Range("a", 1.0, 2.0, 4.0, 2.0, 3.0, "2.0"), Range("b", 0.0, 1.0, 2.0)])
    box = next(each for each in find(chart, "rect") if each.get("class") is None)
    (mark,) = find(chart, "circle")
    ticks = {text: float(each["x"]) for each, text in zip(find(chart, "text"), names(chart), strict=True)}
    assert float(box["x"]) == pytest.approx(ticks["2"], abs=0.2)
    assert float(box["x"]) + float(box["width"]) == pytest.approx(ticks["3"], abs=0.2)
    assert float(mark["cx"]) == pytest.approx(ticks["1"], abs=0.2)
    assert chart.table().columns == ["", "low", "from", "middle", "to", "high"]
    assert RangeChart("t", "ms", [Range("b", 0.0, 1.0, 2.0)]).table().columns == ["", "low", "middle", "high"]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0, 100), min_size=1, max_size=60))
def test_every_value_is_counted_once(values: list[float]) -> None:
    edges, counts = count_values(values, 10.0, 60.0, 5)
    assert edges == [10, 20, 30, 40, 50, 60]
    assert sum(counts) == len(values)
    for low, high, count in zip(edges[1:-2], edges[2:-1], counts[1:-1], strict=True):
        assert count == sum(low <= value < high for value in values)


def test_columns_are_as_high_as_their_counts() -> None:
    chart = Histogram("t", "ms", "queries", [0, 1, 2, 3], [4, 0, 2], {"p50": 1.5, "p99": 9.0})
    heights = [float(each["height"]) for each in find(chart, "rect")]
    assert heights[0] == pytest.approx(2 * heights[1], abs=0.2)
    assert len(heights) == 2
    assert "p50" in names(chart)
    assert "p99" not in names(chart)  # beyond the axis
    assert not re.search(r"nan|inf", chart.svg())


def test_widths_are_those_that_a_browser_gives_or_more(chromium: str, tmp_path: Path) -> None:
    texts = [
        "nDCG@5",
        "read_windows",
        "1,024",
        "\N{MINUS SIGN}128.1 MB",
        "screener weights",
        "p90 (ms)",
        "no difference",
    ]
    drawn = "".join(label(0, 20, text, bold=bold) for bold in (False, True) for text in texts)
    file = tmp_path / "texts.html"
    file.write_text(f'<svg viewBox="0 0 440 40" width="440" font-size="13" font-family="DejaVu Sans">{drawn}</svg>')
    with browse(chromium, tmp_path / "profile") as page:
        page.go(file.as_uri())
        widths = page.evaluate("[...document.querySelectorAll('text')].map((one) => one.getComputedTextLength())")
    for (bold, text), width in zip(product((False, True), texts), widths, strict=True):
        assert width <= measure(text, bold) < 2 * width, text

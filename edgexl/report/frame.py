"""The frame of plots with two axes: grid, ticks, and the axes' names; that of the y axis stands above it, unturned."""

from __future__ import annotations

from collections.abc import Iterable

from edgexl.report import svg
from edgexl.report.axis import Axis, Scale, axis_over, tick_text

RIGHT = svg.WIDTH - 20.0  # half of a long tick's text
ABOVE, BELOW = 26.0, 44.0  # room for the y axis' name, and for ticks and name of the x axis


def y_axis_over(
    values: Iterable[float],
    top: float,
    height: float,
    scale: Scale = "linear",
    limits: tuple[float, float] | None = None,
) -> Axis:
    """An upward axis below the room for its name at `top`."""
    return axis_over(values, top + ABOVE + height, top + ABOVE, scale, limits)


def left_of(y_axis: Axis) -> float:
    """Where the plot begins: ticks have as much room as they need."""
    return 12.0 + svg.widest(map(tick_text, y_axis.ticks))


def draw_frame(x_axis: Axis, y_axis: Axis, x_label: str, y_label: str, lift: float = 0.0) -> list[str]:
    """Everything but the data; the y axis' name stands higher by `lift`."""
    left, right, bottom = x_axis.start, x_axis.end, y_axis.start
    drawn = [svg.label(2, y_axis.end - 14 - lift, y_label, quiet=True)]
    for tick in y_axis.ticks:
        drawn.append(svg.line(left, y_axis.at(tick), right, y_axis.at(tick), faint=True))
        drawn.append(svg.label(left - 7, y_axis.at(tick) + 4.5, tick_text(tick), "end", quiet=True))
    for tick in x_axis.ticks:
        drawn.append(svg.line(x_axis.at(tick), bottom, x_axis.at(tick), bottom + 4))
        drawn.append(svg.label(x_axis.at(tick), bottom + 19, tick_text(tick), "middle", quiet=True))
    drawn.append(svg.line(left, bottom, right, bottom))
    drawn.append(svg.label((left + right) / 2, bottom + 38, x_label, "middle", quiet=True))
    return drawn


def say_nothing(x_axis: Axis, y_axis: Axis) -> str:
    """What stands in a frame without data."""
    return svg.label((x_axis.start + x_axis.end) / 2, (y_axis.start + y_axis.end) / 2, "nothing was measured", "middle")

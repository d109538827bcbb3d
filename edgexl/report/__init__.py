"""Self-contained HTML pages with inline SVG plots: no scripts, no external files, nothing but the standard library.

    chart = LineChart("Loss", "step", "loss", (Series("training", steps, losses),))
    write_text(Path("report.html"), page("Training", (Section("Loss", (chart,)),)))
    write_text(Path("loss.svg"), chart.svg())  # a file of its own, readable on white and on dark

Every plot on a page also has its numbers in a table, and the page follows the reader's light or dark colours
(`tokens.css`, which the pages of `edgexl serve` have, too).
"""

from edgexl.base.files import write_text
from edgexl.report.bars import Bar, BarChart, BarGroup
from edgexl.report.examples import Answer, Example, Examples
from edgexl.report.histogram import Histogram
from edgexl.report.lines import LineChart, Series
from edgexl.report.page import Code, Folded, Paragraph, Section, Tile, page
from edgexl.report.ranges import Range, RangeChart
from edgexl.report.scatter import Point, Scatter
from edgexl.report.table import Table
from edgexl.report.treemap import Piece, Treemap
from edgexl.report.waterfall import Step, Waterfall

__all__ = [
    "Answer", "Bar", "BarChart", "BarGroup", "Code", "Example", "Examples", "Folded", "Histogram",
    "LineChart", "Paragraph", "Piece", "Point", "Range", "RangeChart", "Scatter", "Section", "Series", "Step",
    "Table", "Tile", "Treemap", "Waterfall", "page", "write_text",
]  # fmt: skip

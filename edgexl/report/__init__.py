"""Self-contained HTML pages with inline SVG plots: no scripts, no external files, nothing but the standard library.

    chart = LineChart("Loss", "step", "loss", (Series("training", steps, losses),))
    write_text(Path("report.html"), page("Training", (Section("Loss", (chart,)),)))
    write_text(Path("loss.svg"), chart.svg())  # a file of its own, readable on white and on dark

Every plot on a page also has its numbers in a table, and the page follows the reader's light or dark colours.
"""

from edgexl.base.files import write_text
from edgexl.report.bars import Bar, BarChart, BarGroup
from edgexl.report.lines import LineChart, Series
from edgexl.report.page import Paragraph, Section, page
from edgexl.report.table import Table

__all__ = ["Bar", "BarChart", "BarGroup", "LineChart", "Paragraph", "Section", "Series", "Table", "page", "write_text"]

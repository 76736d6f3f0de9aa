"""One self-contained HTML file that shows a run: figures, tables, definitions, provenance."""

from ncviz.report.study import Study, choose
from ncviz.report.write import Theme, compose, save

__all__ = ["Study", "Theme", "choose", "compose", "save"]

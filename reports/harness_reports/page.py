"""One self-contained HTML page: leaderboards, charts, pictures, failures, and every row in full."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import altair as alt
import vl_convert
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from harness.results import Results
from harness_reports.charts.curves import one_model
from harness_reports.charts.drawings import METRIC, Drawing, draw, draw_ranks
from harness_reports.charts.style import save, specification
from harness_reports.page_data import (
    GROUPS,
    capabilities,
    curve_points,
    leaderboards,
    pictures,
    trials,
)
from harness_reports.table import Table, tables_of
from harness_reports.text import plain

SCRIPTS = ("dom.js", "tooltips.js", "leaderboard.js", "charts.js", "panel.js", "page.js")


CHARTED_TABLES = 6
"""Maximum tables with charts on the page."""
EXPORTED_TABLES = 3
"""Maximum tables whose charts are written as files too: each takes a fifth of a second."""


def write(results: Results, folder: Path) -> Path:
    """Write ``report.html`` in ``folder``, and its charts as SVG and PDF in ``folder/charts``."""
    folder.mkdir(parents=True, exist_ok=True)
    page = _Page(results)
    path = folder / "report.html"
    path.write_text(page.html(), encoding="utf-8")
    for i, drawings in enumerate(page.drawings[:EXPORTED_TABLES]):
        for drawing in drawings.charts:
            save(drawing.chart, folder / "charts" / f"{drawing.name}{f'-{i + 1}' if i else ''}")
    for drawing in page.ranks:
        save(drawing.chart, folder / "charts" / drawing.name)
    return path


def to_html(results: Results) -> str:
    """Return the page: it needs no network, and escapes names of plugins."""
    return _Page(results).html()


class _Page:
    """The tables and charts of a report, made once for the page and for files."""

    def __init__(self, results: Results) -> None:
        self.results = results
        self.tables = tables_of(results)
        self.drawings = [draw(table, results.curves) for table in self.tables[:CHARTED_TABLES]]
        self.ranks = draw_ranks(results.rows)

    def html(self) -> str:
        """Return the page."""
        results, shown = self.results, self.tables
        charts: list[Drawing] = [chart for each in self.drawings for chart in each.charts]
        charts += self.ranks
        drawn = {id(chart): number for number, chart in enumerate(charts)}
        template = _environment().get_template("page.html.j2")
        return template.render(
            results=results,
            tables=shown,
            drawings=self.drawings,
            ranks=self.ranks,
            number=lambda drawing: drawn[id(drawing)],
            tally=dict(Counter(row.status for row in results.rows).most_common()),
            choices=_choices(results, shown),
            groups=_groups(shown),
            documents={
                "leaderboards": leaderboards(shown, results),
                "trials": trials(results),
                "curves": curve_points(results, METRIC),
                "pictures": pictures(shown, results),
                "charts": [specification(chart.chart) for chart in charts],
                "one-model": specification(one_model(METRIC)),
            },
            style=Markup(_read("page.css")),  # nosec B704
            library=_library() if charts else "",
            script=Markup("\n".join(map(_read, SCRIPTS))),  # nosec B704
        )


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("harness_reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"plain": plain, "json": to_json}
    return environment


def to_json(value: Any) -> Markup:
    """Return JSON that cannot end the script element it stands in."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    escaped = text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
    return Markup(escaped)  # nosec B704


def _choices(results: Results, shown: Sequence[Table]) -> dict[str, list[str]]:
    """Return the filters of the page; one with a single choice is omitted."""
    choices = {
        "dataset": {plain(row.dataset) for row in results.rows},
        "type": {line.type for table in shown for line in table.lines if line.trained},
        "capability": {name for row in results.rows for name in capabilities(row, results)},
    }
    return {name: sorted(found - {""}) for name, found in choices.items() if len(found) > 1}


def _groups(shown: Sequence[Table]) -> list[str]:
    """Return the titles of the groups of columns that a reader may add to the first."""
    present = {column.group for table in shown for column in table.columns.values()}
    return [title for group, title in GROUPS.items() if group in present and group != "quality"]


def _read(name: str) -> str:
    return (files("harness_reports") / "templates" / name).read_text(encoding="utf-8")


@cache
def _library() -> Markup:
    """Return Vega, Vega-Lite and vega-embed as one script, which may not end its own element."""
    version = ".".join(alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])
    bundle = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=version)
    script = re.sub(r"<(?=/script|script|!--)", r"\\x3C", bundle, flags=re.IGNORECASE)
    return Markup(script)  # nosec B704

"""One self-contained HTML page: leaderboards, samples, curves, failures, and every row in full."""

from __future__ import annotations

import base64
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import altair as alt
import vl_convert
from jinja2 import Environment, PackageLoader, StrictUndefined

from harness.frame import flatten
from harness.results import Results
from harness_reports.charts import CURRENCIES, Curves, chart, curves, specification, write_svg
from harness_reports.columns import Group, column, flop, seconds
from harness_reports.numbers import count, prefixed
from harness_reports.table import Line, Table, plain, tables

GROUPS: dict[Group, str] = {
    "quality": "Quality",
    "model": "Model",
    "used": "Used in training",
    "samples": "Samples",
    "copies": "Copies of the training data",
    "further": "Further",
    "details": "Details",
}


@dataclass(frozen=True)
class Section:
    """A leaderboard with its pictures and its curves.

    Attributes:
        groups: headings by the name of their group.
        samples: lines with the trial of their first seed that has a picture.
        curves: of FID; None where nothing was evaluated during training.
        charts: Vega-Lite by currency.
    """

    table: Table
    groups: Mapping[str, list[str]]
    samples: list[tuple[Line, str]]
    curves: Curves | None
    charts: Mapping[str, dict[str, Any]]


def write(results: Results, folder: Path) -> Path:
    """Write ``report.html`` in ``folder``, and its charts as SVG in ``folder/charts``."""
    folder.mkdir(parents=True, exist_ok=True)
    sections = _sections(results)
    for i, section in enumerate(sections):
        if section.curves is not None:
            _write_charts(section.curves, folder / "charts", f"-{i + 1}" if i else "")
    path = folder / "report.html"
    path.write_text(_render(results, sections), encoding="utf-8")
    return path


def to_html(results: Results) -> str:
    """Return the page: it needs no network, and whatever plugins are called it shows as text."""
    return _render(results, _sections(results))


def _render(results: Results, sections: list[Section]) -> str:
    environment = Environment(
        loader=PackageLoader("harness_reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "plain": plain,
        "count": count,
        "seconds": seconds,
        "flop": flop,
        "bytes": lambda value: prefixed(value, "B"),
        "flatten": flatten,
        "heading": lambda metric: column(metric).heading,
    }
    specifications = [section.charts for section in sections]
    pictures = {trial: _address(png) for trial, png in results.pictures.items()}
    shown = {trial for section in sections for _, trial in section.samples}
    return environment.get_template("page.html.j2").render(
        results=results,
        sections=sections,
        tally=dict(Counter(row.status for row in results.rows).most_common()),
        specifications=specifications,
        pictures=pictures,
        shown=shown,
        neighbours={trial: _address(png) for trial, png in results.neighbours.items()},
        anchors={row.trial: f"trial-{i}" for i, row in enumerate(results.rows)},
        failures=[row for row in results.rows if row.status != "ok"],
        currencies={name: title for name, (title, _) in CURRENCIES.items()},
        style=_read("page.css"),
        script=_read("page.js"),
        library=_library() if any(specifications) else "",
    )


def _sections(results: Results) -> list[Section]:
    return [_section(table, results) for table in tables(results.rows)]


def _section(table: Table, results: Results) -> Section:
    trials = [trial for line in table.lines if line.trained for trial in line.trials]
    drawn = curves(results.curves, trials)
    charts = (
        {name: specification(chart(drawn, name, legend=False)) for name in CURRENCIES}
        if drawn
        else {}
    )
    grouped = {title: table.group(group) for group, title in GROUPS.items()}
    return Section(
        table=table,
        groups={title: headings for title, headings in grouped.items() if headings},
        samples=list(_samples(table.lines, results.pictures)),
        curves=drawn,
        charts=charts,
    )


def _samples(lines: Iterable[Line], pictures: Mapping[str, bytes]) -> Iterable[tuple[Line, str]]:
    for line in lines:
        shown = next((trial for trial in line.trials if trial in pictures), None)
        if shown is not None:
            yield line, shown


def _write_charts(curves: Curves, folder: Path, suffix: str) -> None:
    folder.mkdir(exist_ok=True)
    for currency in CURRENCIES:
        write_svg(curves, currency, folder / f"{curves.metric}-{currency}{suffix}.svg")


def _address(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()


def _read(name: str) -> str:
    return (files("harness_reports") / "templates" / name).read_text(encoding="utf-8")


@cache
def _library() -> str:
    """Return Vega, Vega-Lite and vega-embed as one script, which may not end its own element."""
    version = ".".join(alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])
    bundle = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=version)
    return re.sub(r"<(?=/script|script|!--)", r"\\x3C", bundle, flags=re.IGNORECASE)

"""Which charts a report has: for each table, and for models over all tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from harness.row import Row
from harness_reports.boards import boards
from harness_reports.charts.anytime import anytime
from harness_reports.charts.curves import CURRENCIES, curves, measured
from harness_reports.charts.pareto import pareto
from harness_reports.charts.ranks import critical_difference_diagram
from harness_reports.charts.staircase import staircase
from harness_reports.charts.style import PALETTE, colours
from harness_reports.columns import COSTS, METRICS, column
from harness_reports.statistics.anytime import progress
from harness_reports.statistics.anytime import staircase as steps_of
from harness_reports.statistics.observations import observe
from harness_reports.statistics.pareto import trade_off
from harness_reports.statistics.ranks import ranks
from harness_reports.table import Table
from harness_reports.text import plain

METRIC = "fid"
MOST_RANKED = 40
"""Maximum models in a diagram of ranks."""
SPREAD = 1.02
"""A cost that differs by less between models, such as the budget, gets no chart."""


@dataclass(frozen=True)
class Drawing:
    """One chart.

    Attributes:
        name: of its files.
        kind: heading of its section.
        title: what it shows.
        chart: of Altair, with its key.
    """

    name: str
    kind: str
    title: str
    chart: Any


@dataclass(frozen=True)
class Drawings:
    """The charts of one table.

    Attributes:
        charts: in order.
        key: the colour of each model that has one, best first.
        models: number of models; charts of curves show those with a colour.
    """

    charts: tuple[Drawing, ...]
    key: dict[str, str]
    models: int

    @property
    def kinds(self) -> dict[str, list[Drawing]]:
        """The charts under their headings."""
        found: dict[str, list[Drawing]] = {}
        for chart in self.charts:
            found.setdefault(chart.kind, []).append(chart)
        return found


def draw(table: Table, points: pd.DataFrame) -> Drawings:
    """Return the charts of a table; ``points`` are ``Results.curves``."""
    models = dict.fromkeys(line.model for line in table.lines if line.role == "model")
    labels = list(models)[: len(PALETTE)]
    trials = {
        trial: line.model
        for line in table.lines
        if line.role == "model" and line.model in labels
        for trial in line.trials
    }
    shown = measured(points, trials, METRIC)
    charts = [*_pareto(table, labels), *_on_the_way(shown, labels)]
    return Drawings(tuple(charts), colours(labels), len(models))


def _pareto(table: Table, labels: Sequence[str]) -> Iterator[Drawing]:
    quality = table.headline
    if quality not in table.columns:
        return
    frame = pd.DataFrame(
        [
            {"Dataset": table.title, "Table": 0, "Role": line.role, "Model": line.model}
            | {f"{quality} better": table.columns[quality].better}
            | {heading: cell.value for heading, cell in line.cells.items()}
            for line in table.lines
        ]
    )
    costs = {
        "speed": column("images_per_second", table.data_kind).heading,
        **{name: COSTS[name].heading for name in ("flops", "seconds")},
    }
    for name, cost in costs.items():
        if not {quality, cost} <= set(frame):
            continue
        points = trade_off(frame.astype({quality: float, cost: float}), quality, cost)
        points = points[points[cost] > 0]
        if len(points) > 1 and points[cost].max() > SPREAD * points[cost].min():
            chart = pareto(points, quality, cost, labels)
            title = f"{quality} against {cost[0].lower()}{cost[1:]}"
            yield Drawing(f"pareto-{name}", "Trade-offs", title, chart)


def _on_the_way(points: pd.DataFrame, labels: Sequence[str]) -> Iterator[Drawing]:
    if points.empty:
        return
    quality = METRICS[METRIC].heading
    means = progress(points, METRIC)
    chart = anytime(means, METRIC, labels)
    title = f"{quality} after each part of the budget, mean over seeds with 95% interval"
    yield Drawing(f"anytime-{METRIC}", "On the way", title, chart)
    for currency, title in CURRENCIES.items():
        if points[currency].max() > 0:
            drawn = curves(points, METRIC, currency, labels)
            name = f"{METRIC}-{currency}"
            yield Drawing(name, "On the way", f"{quality} of every seed against {title}", drawn)
    for currency, title in CURRENCIES.items():
        steps = steps_of(points, METRIC, currency)
        steps = steps[steps["used"] > 0]
        if not steps.empty:
            drawn = staircase(steps, METRIC, currency, float(points[currency].max()), labels)
            name = f"staircase-{currency}"
            yield Drawing(name, "Best so far", f"The best model for so many {title}", drawn)


def draw_ranks(rows: Iterable[Row]) -> list[Drawing]:
    """Return a critical-difference diagram for each budget with two blocks to rank in."""
    rows = list(rows)
    tables = boards(rows)
    if not tables:
        return []
    metric = tables[0].headline
    heading = tables[0].column(metric).heading
    figures = observe(tables, [metric])
    drawn = []
    for i, (budget, group) in enumerate(figures.groupby("budget", sort=False)):
        found = ranks(group)
        if pd.isna(found.critical_difference) or len(found.mean) > MOST_RANKED:
            continue
        name = f"ranks-{metric}" + (f"-{i + 1}" if i else "")
        title = (
            f"Mean ranks by {heading} over {len(found.blocks)} blocks"
            f" (a data set and a seed each), {plain(budget)};"
            " bars join models that cannot be told apart"
        )
        drawn.append(Drawing(name, "Ranks", title, critical_difference_diagram(found)))
    return drawn

"""One model against another, in sentences: difference, interval, verdict, number of pairs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from harness.errors import UserError, did_you_mean
from harness.row import Row
from harness_reports.boards import REFERENCES, boards
from harness_reports.numbers import significant
from harness_reports.statistics.comparisons import ALIKE, TOO_FEW, compare
from harness_reports.statistics.observations import observations
from harness_reports.statistics.overall import Ratio, overall
from harness_reports.text import plain


def sentences(rows: Sequence[Row], a: str, b: str, metric: str = "fid") -> list[str]:
    """Return a sentence for each table with both entries, and one for all tables of a budget.

    Args:
        rows: of any number of benchmarks.
        a: label of an entry.
        b: label of another.
        metric: its name, as rows have it.

    Raises:
        UserError: a label or the metric is unknown, or the two have nothing in common.
    """
    figures = observations(rows, _known_metric(rows, metric))
    _check_labels(figures, rows, a, b)
    found = compare(figures, a, b)
    found = found[found["pairs"] > 0]
    if found.empty:
        raise UserError(
            f"{a!r} and {b!r} have no {metric} of one seed that was measured alike: "
            f"{_places(figures, rows, a)}; {_places(figures, rows, b)}"
        )
    budgets = figures.drop_duplicates("table").set_index("table")["budget"]
    lines = []
    for line in found.to_dict("records"):
        where = f"{plain(line['dataset'])} ({plain(budgets[line['table']])})"
        lines.append(_sentence(line, where))
    for budget, alike in figures.groupby("budget", sort=False):
        ratio = overall(alike, a, b)
        if ratio is not None:
            lines.append(_over_all(ratio, str(budget), a, b, min(alike["heading"], key=len)))
    return lines


def _sentence(line: dict[Any, Any], where: str) -> str:
    first, second = significant(line["mean_a"]), significant(line["mean_b"])
    interval = (
        f"95% interval {_signed(line['low'])} to {_signed(line['high'])}"
        if pd.notna(line["low"])
        else "no interval"
    )
    pairs = f"{line['pairs']} pair{'s' * (line['pairs'] != 1)} by seed"
    alone = line["unpaired"]
    left = f"; {alone} seed{'s' * (alone != 1)} without a pair left out" if alone else ""
    return (
        f"On {where}, {_verdict(line['verdict'], line['a'], line['b'])}: "
        f"{line['heading']} {first} against {second}, "
        f"a difference of {_signed(line['difference'])} ({interval}; {pairs}{left})."
    )


def _over_all(ratio: Ratio, budget: str, a: str, b: str, heading: str) -> str:
    return (
        f"Over {ratio.tables} tables ({plain(budget)}), {_verdict(ratio.verdict, a, b)}: "
        f"{heading} of {plain(a)} is {significant(ratio.ratio)} times that of {plain(b)} "
        f"(geometric mean; 95% interval {significant(ratio.low)} to {significant(ratio.high)}; "
        f"{ratio.pairs} pairs)."
    )


def _verdict(verdict: str, a: str, b: str) -> str:
    a, b = plain(a), plain(b)
    if verdict == ALIKE:
        return f"{a} and {b} {ALIKE}"
    if verdict == TOO_FEW:
        return f"there are {TOO_FEW} to tell {a} from {b}"
    return f"{a} is {verdict} than {b}"


def _signed(value: float) -> str:
    return ("+" if value > 0 else "−" if value < 0 else "") + significant(abs(value))


def _known_metric(rows: Iterable[Row], metric: str) -> str:
    measured = {name for row in rows for name, m in row.metrics.items() if m.value is not None}
    if metric not in measured:
        known = ", ".join(sorted(measured)) or "none"
        hint = did_you_mean(metric, measured)
        raise UserError(f"no row has the metric {metric!r}{hint}; there are: {known}")
    return metric


def _check_labels(figures: pd.DataFrame, rows: Iterable[Row], a: str, b: str) -> None:
    labels = sorted(set(figures["label"]))
    references = {row.label for row in rows if row.model in REFERENCES}
    for label in (a, b):
        if label in labels:
            continue
        if label in references:
            raise UserError(
                f"{label!r} is a reference, not a model: it is not trained, so it has no seeds"
            )
        known = ", ".join(map(plain, labels)) or "none"
        raise UserError(
            f"no entry is called {label!r}{did_you_mean(label, labels)}; there are: {known}"
        )
    if a == b:
        raise UserError(f"{a!r} is one entry; name two to compare")


def _places(figures: pd.DataFrame, rows: Sequence[Row], label: str) -> str:
    """Describe where an entry has the figure, and why that is a separate table."""
    own = figures[(figures["label"] == label) & figures["value"].notna()]
    tables = boards(rows)
    places = []
    for (table, heading, kind), group in own.groupby(["table", "heading", "kind"], sort=False):
        board = tables[int(str(table))]
        apart = f", a table of its own as {plain(board.apart)}" if board.apart else ""
        seeds = ", ".join(map(str, sorted(set(group["seed"]))))
        how = f"{heading}, {str(kind).replace('_', ' ')}" if kind else heading
        where = f"{plain(board.dataset)}, {plain(board.budget)}{apart}"
        places.append(f"on {where} ({how}; seeds {seeds})")
    return f"{plain(label)} has it {', and '.join(places) or 'nowhere'}"

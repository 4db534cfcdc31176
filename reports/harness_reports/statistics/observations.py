"""Rows as observations: one line for each set of samples of each trial, in a tidy frame."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pandas as pd

from harness.row import Row
from harness_reports.boards import REFERENCES, Board, boards
from harness_reports.columns import Better, column
from harness_reports.entries import entry_names
from harness_reports.readings import readings
from harness_reports.repeats import repeats

COMPARABLE = ["metric", "table", "heading", "kind"]
"""Observations that agree in these may be compared with each other; no others may."""
ENTRY = [*COMPARABLE, "label"]
COLUMNS = [*ENTRY, "dataset", "budget", "trial", "seed", "status", "set", "value", "better"]


def observations(rows: Iterable[Row], metric: str) -> pd.DataFrame:
    """Return the figures of a metric, one line per set of samples: ``COLUMNS``.

    ``table`` numbers the tables of ``boards``, ``heading`` names the column ("FID", "FID (2)") and
    ``kind`` the kind of a likelihood: what differs in one of them was not measured alike. ``label``
    is the entry; ``set`` numbers the sets of samples of a trial, and is 0 where it keeps only their
    mean. ``better`` is "lower" or "higher", or None for a metric without a direction. A trial
    without a figure, failed or not, has one line whose ``value`` is NaN: its interpretation is up
    to the reader of the frame. References have no lines, nor has a trial that repeats another seed
    bit for bit.
    """
    return observe(boards(rows), [metric])


def observe(tables: Sequence[Board], metrics: Iterable[str]) -> pd.DataFrame:
    """Return the observations of several metrics; see ``observations``."""
    names = [entry_names(board.rows) for board in tables]
    lines = (
        line
        for metric in metrics
        for index, board in enumerate(tables)
        for line in _lines(board, index, metric, names[index])
    )
    frame = pd.DataFrame(lines, columns=COLUMNS)
    return frame.astype({"table": int, "seed": int, "set": int, "value": float})


def _lines(
    board: Board, table: int, metric: str, names: dict[int, str]
) -> Iterator[tuple[Any, ...]]:
    columns = readings(metric, board)
    where = {row: heading for heading, taken in columns.items() for row in taken}
    repeated = repeats(board.rows, names)
    models = [row for row in board.rows if row.model not in REFERENCES and id(row) not in repeated]
    places = _places(models, metric, names, where)
    common = Counter(places.values()).most_common(1)
    default = common[0][0] if common else (next(iter(columns)), "")
    better = board.column(metric).better
    for row in models:
        values = _values(row, metric)
        label = names[id(row)]
        heading, kind = default
        if label in places:
            heading, kind = places[label]
        if not math.isnan(values[0]):
            heading, kind = where[id(row)], row.metrics[metric].kind or ""
        for number, value in enumerate(values):
            yield (
                *(metric, table, heading, kind, label),
                *(board.dataset, board.budget, row.trial, row.seed, row.status, number, value),
                better,
            )


def _places(
    rows: Iterable[Row], metric: str, names: dict[int, str], where: dict[int, str]
) -> dict[str, tuple[str, str]]:
    """Return heading and kind of each entry with figures: its trials without one belong there."""
    return {
        names[id(row)]: (where[id(row)], row.metrics[metric].kind or "")
        for row in rows
        if not math.isnan(_values(row, metric)[0])
    }


def _values(row: Row, metric: str) -> tuple[float, ...]:
    """Return the figures of a trial that ended well, one per set of samples; NaN for none."""
    measured = row.metrics.get(metric)
    if row.status != "ok" or measured is None or measured.value is None:
        return (math.nan,)
    return measured.sets or (measured.value,)


def direction(observations: pd.DataFrame, metric: str) -> Better | None:
    """Return the direction of a metric, from its observations, or as built in."""
    if "better" not in observations:
        return column(metric).better
    directions = set(observations.loc[observations["metric"] == metric, "better"].dropna())
    return directions.pop() if len(directions) == 1 else None

"""Which figures of a metric may share a column: those taken by one protocol, on one machine."""

from __future__ import annotations

import re
from collections import Counter
from typing import NamedTuple

from harness.frame import machine
from harness.row import Measurement, Row
from harness_reports.boards import REFERENCES, Board

# How often a timing was repeated does not change what it means.
_REPETITIONS = re.compile(r"\b\d+ (?=batches of )")
# Nor does how many sets a mean is of, or which of its two sets of images stands for the null model.
_SETS = re.compile(r", mean and standard deviation of \d+ sets$|; (uniform noise|mean image)\b.*$")


class Reading(NamedTuple):
    """A measurement in the column of the protocol it was taken by.

    Attributes:
        measurement: the figure.
        ruler: its protocol and, for speeds on more than one machine, the machine.
        otherwise: it stands in a column of another protocol, as only references may.
    """

    measurement: Measurement
    ruler: str
    otherwise: bool


def readings(metric: str, board: Board) -> dict[str, dict[int, Reading]]:
    """Return the columns of a metric by heading, one a ruler, each with its readings by row.

    The columns of a metric are called "FID", "FID (2)", ..., the most common protocol first.
    References get no columns of their own: where they were measured otherwise, a note says so.
    """
    shown = board.column(metric)
    models = [row for row in board.rows if row.model not in REFERENCES]
    machines = len({machine(row) for row in models if _measured(row, metric)})
    rulers: dict[int, str] = {}
    for row in board.rows:
        if shown.ruler and _measured(row, metric):
            on = f"; machine {machine(row)}" if shown.machine and machines > 1 else ""
            rulers[id(row)] = _REPETITIONS.sub("", row.metrics[metric].protocol) + on
    counts = Counter(rulers[id(row)] for row in models if id(row) in rulers)
    order = [ruler for ruler, _ in counts.most_common()] or [*rulers.values()][:1] or [""]
    headings = [shown.heading + (f" ({i + 1})" if i else "") for i in range(len(order))]
    columns: dict[str, dict[int, Reading]] = {heading: {} for heading in headings}
    for row in board.rows:
        if metric not in row.metrics:
            continue
        ruler = rulers.get(id(row), order[0])
        alike = [i for i, other in enumerate(order) if _comparable(ruler) == _comparable(other)]
        otherwise = not alike
        heading = headings[order.index(ruler) if ruler in order else (alike or [0])[0]]
        columns[heading][id(row)] = Reading(row.metrics[metric], ruler, otherwise)
    return columns


def _comparable(ruler: str) -> str:
    return _SETS.sub("", ruler)


def _measured(row: Row, metric: str) -> bool:
    return metric in row.metrics and row.metrics[metric].value is not None

"""Which figures of a metric may share a column: those of one protocol and one machine."""

from __future__ import annotations

import re
from collections import Counter
from typing import NamedTuple

from harness.frame import machine
from harness.row import Measurement, Row
from harness_reports.boards import REFERENCES, Board

# The number of repetitions of a timing does not change its meaning.
_REPETITIONS = re.compile(r"\b\d+ (?=batches of )")
# Nor does the number of sets of a mean, or which of its two sets of images represents the null
# model.
_SETS = re.compile(r", mean and standard deviation of \d+ sets$|; (uniform noise|mean image)\b.*$")


class Reading(NamedTuple):
    """A measurement in the column of its protocol.

    Attributes:
        measurement: the figure.
        protocol: its protocol and, for speeds on more than one machine, the machine.
        otherwise: whether it is in a column of another protocol, as only references may be.
    """

    measurement: Measurement
    protocol: str
    otherwise: bool


def readings(metric: str, board: Board) -> dict[str, dict[int, Reading]]:
    """Return the columns of a metric by heading, one per protocol, each with its readings by row.

    The columns of a metric are called "FID", "FID (2)", ..., the most common protocol first.
    References get no separate columns: if they were measured differently, a note states it.
    """
    shown = board.column(metric)
    models = [row for row in board.rows if row.model not in REFERENCES]
    machines = len({machine(row) for row in models if _measured(row, metric)})
    protocols: dict[int, str] = {}
    for row in board.rows:
        if shown.per_protocol and _measured(row, metric):
            on = f"; machine {machine(row)}" if shown.machine and machines > 1 else ""
            protocols[id(row)] = _REPETITIONS.sub("", row.metrics[metric].protocol) + on
    counts = Counter(protocols[id(row)] for row in models if id(row) in protocols)
    order = [protocol for protocol, _ in counts.most_common()] or [*protocols.values()][:1] or [""]
    headings = [shown.heading + (f" ({i + 1})" if i else "") for i in range(len(order))]
    columns: dict[str, dict[int, Reading]] = {heading: {} for heading in headings}
    for row in board.rows:
        if metric not in row.metrics:
            continue
        protocol = protocols.get(id(row), order[0])
        alike = [i for i, other in enumerate(order) if _comparable(protocol) == _comparable(other)]
        otherwise = not alike
        heading = headings[order.index(protocol) if protocol in order else (alike or [0])[0]]
        columns[heading][id(row)] = Reading(row.metrics[metric], protocol, otherwise)
    return columns


def _comparable(protocol: str) -> str:
    return _SETS.sub("", protocol)


def _measured(row: Row, metric: str) -> bool:
    return metric in row.metrics and row.metrics[metric].value is not None

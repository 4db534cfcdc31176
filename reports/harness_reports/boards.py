"""Which rows may share a table: the same data, budget and protocol, and the same machine.

Others get a separate table, with the reason.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from harness.frame import flatten, machine
from harness.row import Row
from harness_reports.columns import METRICS, Column, column, columns_of, kind_of

REFERENCES = ("real", "null")
_TIME = re.compile(r"(^|[\d\s-])(s|secs?|seconds?|m|mins?|minutes?|h|hours?)$")


@dataclass(frozen=True)
class Board:
    """Rows that can be compared with each other.

    Attributes:
        dataset: name of the data.
        budget: of every model in the table.
        apart: why the table is separate from an earlier one of the same data; empty for the first.
        rows: in the order given.
    """

    dataset: str
    budget: str
    apart: str
    rows: tuple[Row, ...]

    @property
    def data_kind(self) -> str:
        """Of the data that is generated."""
        return kind_of(self.rows)

    @cached_property
    def columns(self) -> dict[str, Column]:
        """The columns of all metrics that its rows have, by the name of the metric."""
        return columns_of(self.rows)

    @property
    def headline(self) -> str:
        """The metric by which its lines are ordered: FID, or else the first with a direction.

        Speeds do not measure quality, and likelihoods of different kinds have no common order.
        """
        ours = [name for name in METRICS if name in self.columns]
        order = [*ours, *sorted(self.columns.keys() - METRICS.keys())]
        ranked = (
            name
            for name in order
            if (shown := self.columns[name]).better
            and not shown.machine
            and name != "bits_per_dim"
            and any(row.metrics[name].value is not None for row in self.rows if name in row.metrics)
        )
        return next(ranked, "fid")

    def column(self, metric: str) -> Column:
        """Return the column of a metric, which may be missing from its rows."""
        return self.columns.get(metric) or column(metric, self.data_kind)


def boards(rows: Iterable[Row]) -> list[Board]:
    """Group rows into tables, one per data set as far as their protocols allow.

    Rows with a figure share a table only if data, budget, protocol and, under a time budget,
    machine are equal. References, which are not trained, are in every table with their measurement
    protocol. A trial without a figure is in the first table that it does not contradict.
    """
    rows = list(rows)
    groups: dict[str, list[Row]] = {}
    terms: dict[str, dict[str, Any]] = {}
    loose = []
    for row in rows:
        if row.model in REFERENCES or not _measured(row):
            loose.append(row)
            continue
        key = json.dumps(_terms(row), sort_keys=True, default=str)
        groups.setdefault(key, []).append(row)
        terms[key] = _terms(row)
    for row in sorted(loose, key=lambda row: row.model in REFERENCES):
        own = _terms(row)
        if row.model in REFERENCES:
            own = {k: v for k, v in own.items() if k not in ("budget", "machine")}
        homes = [key for key in groups if _agree(own, terms[key])]
        if row.model not in REFERENCES:
            homes = homes[:1]
        if not homes:
            homes = [json.dumps(own, sort_keys=True, default=str)]
            terms[homes[0]] = own
        for key in homes:
            groups.setdefault(key, []).append(row)
    return _boards(groups, terms, rows)


def _boards(
    groups: dict[str, list[Row]], terms: dict[str, dict[str, Any]], rows: list[Row]
) -> list[Board]:
    position = {id(row): i for i, row in reversed(list(enumerate(rows)))}
    first: dict[str, dict[str, Any]] = {}
    result = []
    for key, group in groups.items():
        group = sorted(group, key=lambda row: position[id(row)])
        dataset = group[0].dataset
        budget = next((row.budget for row in group if row.model not in REFERENCES), "")
        apart = _differences(first[dataset], terms[key]) if dataset in first else ""
        first.setdefault(dataset, terms[key])
        result.append(Board(dataset, budget, apart, tuple(group)))
    return sorted(result, key=lambda board: board.dataset)


def _terms(row: Row) -> dict[str, Any]:
    """Return everything that must be equal for two rows to be comparable, as far as recorded."""
    terms = {"dataset": row.dataset, "fingerprint": row.fingerprint, "budget": row.budget}
    if _TIME.search(row.budget.strip().lower()):
        terms["machine"] = machine(row)
    terms |= {f"protocol.{key}": value for key, value in flatten(row.protocol).items()}
    return {key: value for key, value in terms.items() if value not in ("", None)}


def _measured(row: Row) -> bool:
    return any(measurement.value is not None for measurement in row.metrics.values())


def _agree(some: Mapping[str, Any], others: Mapping[str, Any]) -> bool:
    return all(some[key] == others[key] for key in some.keys() & others.keys())


def _differences(first: Mapping[str, Any], terms: Mapping[str, Any]) -> str:
    keys = [key for key in {**first, **terms} if first.get(key) != terms.get(key)]
    return "; ".join(
        f"{key.removeprefix('protocol.')} is {_short(terms.get(key))}, not {_short(first.get(key))}"
        for key in keys
    )


def _short(value: Any) -> str:
    text = "not recorded" if value is None else str(value)
    return text if len(text) <= 32 else text[:12] + "…"

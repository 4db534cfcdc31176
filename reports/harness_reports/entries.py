"""Entries of a leaderboard: trials that differ in nothing but the seed, under one name."""

from __future__ import annotations

import json
from collections.abc import Iterable

from harness.row import Row


def entry_names(rows: Iterable[Row]) -> dict[int, str]:
    """Return the entry of each row, by ``id(row)``: its label, numbered where it stands twice.

    One label stands for two entries where configurations or sources of the model differ.
    """
    known: dict[str, str] = {}
    taken: dict[str, int] = {}
    names = {}
    for row in rows:
        sources = [row.provenance.get(name) for name in ("version", "source")]
        key = json.dumps((row.label, row.model, row.config, sources), sort_keys=True, default=str)
        if key not in known:
            taken[row.label] = number = taken.get(row.label, 0) + 1
            known[key] = row.label if number == 1 else f"{row.label} ({number})"
        names[id(row)] = known[key]
    return names

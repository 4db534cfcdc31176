"""Trials that repeat another one: another seed gave the same weights or samples bit for bit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from harness.row import Row
from harness_reports.boards import REFERENCES, Board
from harness_reports.entries import entry_names
from harness_reports.text import plain

DIGESTS = ("weights", "samples")


def repeats(rows: Iterable[Row], names: Mapping[int, str]) -> dict[int, Row]:
    """Return the first row of which another one is a repetition, by the latter's ``id``.

    A second seed that has the weights of the first, or its samples, is not an independent training,
    and the spread of both does not measure uncertainty.

    Args:
        rows: of one table.
        names: of the entries that they belong to, by the row's ``id``.
    """
    first: dict[tuple[str, str, str], Row] = {}
    found: dict[int, Row] = {}
    for row in rows:
        if row.model in REFERENCES or row.status != "ok":
            continue
        for what in DIGESTS:
            digest = row.digests.get(what)
            if digest:
                other = first.setdefault((names[id(row)], what, digest), row)
                if other is not row:
                    found.setdefault(id(row), other)
    return found


def remarks_on_repeats(board: Board) -> Iterator[str]:
    """Yield remarks below a table on seeds that gave the same result."""
    names = entry_names(board.rows)
    found = repeats(board.rows, names)
    for row in board.rows:
        if (other := found.get(id(row))) is not None:
            what = " and ".join(
                name for name in DIGESTS if row.digests.get(name) == other.digests.get(name)
            )
            yield (
                f"{plain(names[id(row)])}: seed {row.seed} gave the {what} of seed {other.seed}, "
                "bit for bit, and counts as no seed of its own: ± is without it."
            )

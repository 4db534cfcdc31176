"""A leaderboard as it is printed: the texts that Markdown, LaTeX and the page have in common."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd

from harness.row import Row
from harness_reports.boards import Board, boards
from harness_reports.columns import COSTS, METRICS, Column, Group
from harness_reports.leaderboard import LEADING, board_frame
from harness_reports.numbers import decimals, fixed, spread

# A lower bound on nats is an upper bound on bits/dim.
KINDS = {"lower_bound": "≤", "estimate": "~"}
MEANINGS = {"exact": "exact", "lower_bound": "≤ upper bound", "estimate": "~ estimate"}
NOTHING = "–"


@dataclass(frozen=True)
class Cell:
    """One figure, printed.

    Attributes:
        text: the value.
        prefix: the kind of a likelihood: "≤" for a bound, "~" for an estimate.
        error: standard error, to the decimals of the value.
        mark: letters of the notes below the table.
        best: whether it is the best among the figures it can be compared with.
        protocol: how it was measured.
    """

    text: str = NOTHING
    prefix: str = ""
    error: str = ""
    mark: str = ""
    best: bool = False
    protocol: str = ""

    def __str__(self) -> str:
        prefix = f"{self.prefix} " if self.prefix else ""
        error = f" ± {self.error}" if self.error else ""
        mark = f" [{self.mark}]" if self.mark else ""
        return f"{prefix}{self.text}{error}{mark}"


@dataclass(frozen=True)
class Line:
    """One entry: its names, and its cells by heading. Role: real, model, failed or null."""

    model: str
    type: str
    role: str
    seeds: int
    status: str
    reason: str
    trials: tuple[str, ...]
    cells: Mapping[str, Cell]

    @property
    def trained(self) -> bool:
        """Whether it is a model, not a reference."""
        return self.role in ("model", "failed")


@dataclass(frozen=True)
class Table:
    """One printed leaderboard.

    Attributes:
        title: the data set and the budget.
        apart: why it is not one table with an earlier one; empty for the first of a data set.
        columns: by heading, in order.
        lines: in the order of the ranking.
        captions: what was measured and how, a sentence each.
        notes: by mark.
    """

    title: str
    apart: str
    columns: Mapping[str, Column]
    lines: tuple[Line, ...]
    captions: tuple[str, ...]
    notes: Mapping[str, str]

    def group(self, group: Group) -> list[str]:
        """Return the headings of one group of columns."""
        return [heading for heading, column in self.columns.items() if column.group == group]


def tables(rows: Iterable[Row]) -> list[Table]:
    """Return the printed leaderboards of all tables that the rows make."""
    return [_table(board) for board in boards(rows)]


def plain(text: object) -> str:
    """Return text on one line, without control characters, which no format can hold."""
    visible = (c if unicodedata.category(c)[0] != "C" else " " for c in str(text))
    return " ".join("".join(visible).split())


def _table(board: Board) -> Table:
    frame = board_frame(board)
    columns = _columns(frame)
    texts = {heading: _text(column, frame[heading]) for heading, column in columns.items()}
    best = {heading: _best(column, heading, frame) for heading, column in columns.items()}
    notes: dict[str, str] = {}
    lines = []
    for index, entry in frame.iterrows():
        cells = {
            heading: _cell(entry, heading, texts[heading], index in best[heading], notes)
            for heading in columns
        }
        lines.append(_line(entry, cells))
    return Table(
        title=plain(board.dataset) + (f", {plain(board.budget)}" if board.budget else ""),
        apart=plain(board.apart),
        columns=columns,
        lines=tuple(lines),
        captions=tuple(_captions(frame, columns)),
        notes={mark: note for note, mark in notes.items()},
    )


def _columns(frame: pd.DataFrame) -> dict[str, Column]:
    known = {column.heading: column for column in (*METRICS.values(), *COSTS.values())}
    names = list(frame.columns)
    headings = names[len(LEADING) : names.index("Seeds")]
    return {heading: known.get(heading.rsplit(" (", 1)[0], Column(heading)) for heading in headings}


def _text(column: Column, values: pd.Series[float]) -> Any:
    """Return the function that prints the column's values; by default with equal decimals."""
    return column.text or partial(fixed, places=decimals(values.dropna().astype(float)))


def _best(column: Column, heading: str, frame: pd.DataFrame) -> set[Any]:
    """Return the lines with the best value, a winner for each kind of likelihood.

    References take no part, and nothing is best that has nothing beside it.
    """
    values = frame.loc[frame["Role"] == "model", heading].dropna().astype(float)
    values = values[values.map(math.isfinite)]
    if column.better is None or values.empty:
        return set()
    winners: set[Any] = set()
    for _, group in values.groupby(frame[f"{heading} kind"].fillna("")):
        top = group.min() if column.better == "lower" else group.max()
        if len(group) > 1:
            winners |= set(group.index[group == top])
    return winners


def _cell(
    entry: pd.Series[Any], heading: str, text: Any, best: bool, notes: dict[str, str]
) -> Cell:
    value, error = entry[heading], entry.get(f"{heading} error")
    note = entry.get(f"{heading} note")
    mark = ""
    if isinstance(note, str) and entry["Role"] != "failed":
        mark = notes.setdefault(plain(note), _mark(len(notes)))
    if pd.isna(value):
        return Cell(mark=mark)
    printed = text(float(value))
    return Cell(
        text=printed,
        prefix=KINDS.get(entry.get(f"{heading} kind") or "", ""),
        error="" if error is None or pd.isna(error) else spread(float(error), printed),
        mark=mark,
        best=best,
        protocol=plain(entry.get(f"{heading} protocol") or ""),
    )


def _mark(index: int) -> str:
    """Return a, b, ..., z, aa, ab, ..."""
    letters = ""
    while index >= 0:
        letters = chr(ord("a") + index % 26) + letters
        index = index // 26 - 1
    return letters


def _line(entry: pd.Series[Any], cells: Mapping[str, Cell]) -> Line:
    return Line(
        model=plain(entry["Model"]) or "(no name)",
        type=plain(entry["Type"]),
        role=entry["Role"],
        seeds=int(entry["Seeds"]),
        status=plain(entry["Status"]),
        reason=entry["Reason"] if isinstance(entry["Reason"], str) else "",
        trials=entry["Trials"],
        cells=cells,
    )


def _captions(frame: pd.DataFrame, columns: Mapping[str, Column]) -> Iterable[str]:
    models = frame[frame["Role"] == "model"]
    for heading, column in columns.items():
        if f"{heading} protocol" not in frame:
            continue
        shown = frame if column.ruler and models.empty else models
        protocols = shown[f"{heading} protocol"].fillna("")
        how = _protocols(shown["Model"], protocols)
        arrow = {"lower": " (lower is better)", "higher": " (higher is better)"}
        if how:
            yield f"{heading}{arrow.get(column.better or '', '')}: {how}."
    kinds = set(frame["bits/dim kind"].dropna())
    if kinds:
        meanings = ", ".join(MEANINGS[kind] for kind in MEANINGS if kind in kinds)
        yield f"Kinds of bits/dim, never ranked together: {meanings}."
    if frame.filter(like=" error").notna().any(axis=None):
        yield _spread(models["Seeds"])


def _protocols(names: Sequence[str] | pd.Series[str], protocols: pd.Series[str]) -> str:
    """Return the protocol if there is one, else each with the names of those it belongs to."""
    by: dict[str, list[str]] = {}
    for name, protocol in zip(names, protocols, strict=True):
        if protocol:
            by.setdefault(plain(protocol).rstrip("."), []).append(plain(name))
    if len(by) == 1:
        return next(iter(by))
    return "; ".join(f"{', '.join(names)}: {protocol}" for protocol, names in by.items())


def _spread(seeds: pd.Series[int]) -> str:
    if seeds.max() > 1:
        return (
            "±: standard error of the mean over training seeds; with one seed, "
            "the error of the measurement itself."
        )
    return "±: error of the measurement within the one training seed, as its protocol says."

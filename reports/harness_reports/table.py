"""A leaderboard as it is printed: the texts that Markdown, LaTeX and the page have in common."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pandas as pd

from harness.row import Row
from harness_reports.boards import Board, boards
from harness_reports.columns import ANCHORS, COSTS, METRICS, Column, Group
from harness_reports.leaderboard import LEADING, board_frame
from harness_reports.numbers import decimals, fixed, spread

# A lower bound on nats is an upper bound on bits/dim.
KINDS = {"lower_bound": "≤", "estimate": "~"}
MEANINGS = {"exact": "exact", "lower_bound": "≤ upper bound", "estimate": "~ estimate"}
NOTHING = "–"
WARNING = "⚠"


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
        value: the figure itself, to sort by.
    """

    text: str = NOTHING
    prefix: str = ""
    error: str = ""
    mark: str = ""
    best: bool = False
    protocol: str = ""
    value: float | None = None

    def __str__(self) -> str:
        prefix = f"{self.prefix} " if self.prefix else ""
        error = f" ± {self.error}" if self.error else ""
        mark = f" [{self.mark}]" if self.mark else ""
        return f"{prefix}{self.text}{error}{mark}"


@dataclass(frozen=True)
class Line:
    """One entry: its names, its cells by heading, and what its figures warn of.

    Role: real, model, failed or null.
    """

    model: str
    type: str
    role: str
    seeds: int
    status: str
    reason: str
    trials: tuple[str, ...]
    cells: Mapping[str, Cell]
    warning: str = ""

    @property
    def brief(self) -> str:
        """The first line of the reason; what follows, a traceback say, is for the page."""
        return plain(self.reason.strip().partition("\n")[0])

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
        captions: how the figures of each column were measured.
        remarks: what holds for several columns.
        notes: by mark.
    """

    title: str
    apart: str
    columns: Mapping[str, Column]
    lines: tuple[Line, ...]
    captions: Mapping[str, str]
    remarks: tuple[str, ...]
    notes: Mapping[str, str]

    def narrow(self, line: Line, heading: str) -> Cell:
        """Return a cell as paper and terminal have it: without the spread of speeds."""
        cell = line.cells[heading]
        return replace(cell, error="") if self.columns[heading].machine else cell

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
            heading: _cell(
                entry, heading, columns[heading], texts[heading], index in best[heading], notes
            )
            for heading in columns
        }
        lines.append(_line(entry, cells))
    return Table(
        title=plain(board.dataset) + (f", {plain(board.budget)}" if board.budget else ""),
        apart=plain(board.apart),
        columns=columns,
        lines=tuple(lines),
        captions=_captions(frame, columns),
        remarks=(*_remarks(frame), *_anchors(board)),
        notes={mark: note for note, mark in notes.items()},
    )


def _columns(frame: pd.DataFrame) -> dict[str, Column]:
    known = {column.heading: column for column in (*METRICS.values(), *COSTS.values())}
    names = list(frame.columns)
    headings = names[len(LEADING) : names.index("Seeds")]
    return {heading: known.get(heading.rsplit(" (", 1)[0], Column(heading)) for heading in headings}


def _text(column: Column, values: pd.Series[float]) -> Callable[[float], str]:
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
    entry: pd.Series[Any],
    heading: str,
    column: Column,
    text: Callable[[float], str],
    best: bool,
    notes: dict[str, str],
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
        error=_error(error, printed, column, text),
        mark=mark,
        best=best,
        protocol=plain(entry.get(f"{heading} protocol") or ""),
        value=float(value),
    )


def _error(error: float | None, printed: str, column: Column, text: Callable[[float], str]) -> str:
    if error is None or pd.isna(error) or (error == 0 and not column.ruler):
        # What is counted is the same for every seed, as a rule.
        return ""
    unit = printed[-1].isalpha()
    return text(float(error)) if unit else spread(float(error), printed)


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
        warning="; ".join(_warnings(entry)),
    )


def _warnings(entry: pd.Series[Any]) -> Iterable[str]:
    """Return what is wrong with a model's samples; references are what they are."""
    if entry["Role"] != "model":
        return ()
    return dict.fromkeys(map(plain, entry.filter(like=" warning").dropna()))


def _captions(frame: pd.DataFrame, columns: Mapping[str, Column]) -> dict[str, str]:
    """Return how each column was measured; references count where there is nothing else."""
    models = frame[frame["Role"] == "model"]
    shown = frame if models.empty else models
    captions = {}
    for heading, column in columns.items():
        protocols = shown.get(f"{heading} protocol")
        how = "" if protocols is None else _protocols(shown["Model"], protocols.fillna(""))
        better = f" ({column.better} is better)" if column.better else ""
        if how:
            captions[heading] = f"{heading}{better}: {how}."
    return captions


def _remarks(frame: pd.DataFrame) -> Iterable[str]:
    kinds = set(frame["bits/dim kind"].dropna())
    for _, entry in frame.iterrows():
        for warning in _warnings(entry):
            yield f"{WARNING} {plain(entry['Model'])} {warning}."
    if kinds:
        meanings = ", ".join(MEANINGS[kind] for kind in MEANINGS if kind in kinds)
        yield f"Kinds of bits/dim, never ranked together: {meanings}."
    if not frame.filter(like=" error").notna().any(axis=None):
        return
    if frame["Seeds"].max() > 1:
        yield "±: standard error of the mean over seeds; of one seed, the measurement's own error."
    else:
        yield "±: error of the measurement within the one seed, as its protocol says."


def _anchors(board: Board) -> Iterable[str]:
    """Return the likelihoods of the row of ``null``, in one sentence, if it has them."""
    figures = [
        f"{name} {prefix}{measured.value:.2f}"
        for row in board.rows[::-1]
        if row.model == "null" and row.metrics.keys() >= ANCHORS.keys()
        for metric, name in ANCHORS.items()
        if (measured := row.metrics[metric]).value is not None
        for prefix in [f"{KINDS[measured.kind]} " if measured.kind in KINDS else ""]
    ]
    if figures:
        yield f"Anchors in bits/dim, of what learns next to nothing: {', '.join(figures)}."


def _protocols(names: Sequence[str] | pd.Series[str], protocols: pd.Series[str]) -> str:
    """Return the protocol if there is one, else each with the names of those it belongs to."""
    by: dict[str, list[str]] = {}
    for name, protocol in zip(names, protocols, strict=True):
        if protocol:
            by.setdefault(plain(protocol).rstrip("."), []).append(plain(name))
    if len(by) == 1:
        return next(iter(by))
    return "; ".join(f"{', '.join(names)}: {protocol}" for protocol, names in by.items())

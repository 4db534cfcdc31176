"""A leaderboard as printed: texts shared by Markdown, LaTeX and the page."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any

import pandas as pd

from harness.results import Results
from harness.row import Row
from harness_reports.boards import Board, boards
from harness_reports.captions import (
    KINDS,
    WITHIN,
    captions,
    legend,
    protocols,
    remarks,
    warnings,
)
from harness_reports.columns import COSTS, GROUPS, METRICS, Column, Group
from harness_reports.leaderboard import LEADING, board_frames
from harness_reports.numbers import decimals, fixed, spread
from harness_reports.statistics.intervals import SEEDS
from harness_reports.text import plain

NOTHING = "–"
GROUP = "Group"


@dataclass(frozen=True)
class Cell:
    """One figure, printed.

    Attributes:
        text: the value.
        prefix: the kind of a likelihood: "≤" for a bound, "~" for an estimate; "≥" of FLOPs that
            were not all counted.
        error: after ±, to the decimals of the value: half of the 95% interval, or the
            measurement's own error where it has no interval.
        standard_error: the same of one standard error.
        interval: the ends of the 95% interval, "0.31 to 0.66"; empty without one.
        within: whether ± is of one training seed alone, beside others that are over several.
        mark: letters of the notes below the table.
        best: whether it is the best among the figures it can be compared with.
        second: whether it is the second best of them.
        group: letters; models that share one cannot be told apart.
        protocol: how it was measured.
        value: the figure itself, to sort by.
    """

    text: str = NOTHING
    prefix: str = ""
    error: str = ""
    standard_error: str = ""
    interval: str = ""
    within: bool = False
    mark: str = ""
    best: bool = False
    second: bool = False
    group: str = ""
    protocol: str = ""
    value: float | None = None

    def __str__(self) -> str:
        prefix = f"{self.prefix} " if self.prefix else ""
        error = f" ± {self.error}{WITHIN * self.within}" if self.error else ""
        mark = f" [{self.mark}]" if self.mark else ""
        return f"{prefix}{self.text}{error}{mark}"


@dataclass(frozen=True)
class Line:
    """One entry: its names, its cells by heading, and its warnings.

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
        """The first line of the reason; the rest, such as a traceback, is for the page."""
        return plain(self.reason.strip().partition("\n")[0])

    @property
    def trained(self) -> bool:
        """Whether it is a model and not a reference."""
        return self.role in ("model", "failed")


@dataclass(frozen=True)
class Table:
    """One printed leaderboard.

    Attributes:
        title: the data set and the budget.
        apart: why it is not one table with an earlier one; empty for the first of a data set.
        columns: by heading, in order.
        lines: in the order of the ranking.
        captions: how the figures of each column were measured, in full.
        protocols: the same, without the column's name.
        remarks: what holds for several columns.
        notes: by mark.
        metric: by which lines are ordered, by its name in rows.
        headline: the heading of its column, where it has one.
        data_kind: image, video, audio or text.
    """

    title: str
    apart: str
    columns: Mapping[str, Column]
    lines: tuple[Line, ...]
    captions: Mapping[str, str]
    protocols: Mapping[str, str]
    remarks: tuple[str, ...]
    notes: Mapping[str, str]
    metric: str
    headline: str
    data_kind: str

    def narrow(self, line: Line, heading: str) -> Cell:
        """Return a cell for paper and terminal: without the spread of speeds."""
        cell = line.cells[heading]
        bare = replace(cell, error="", standard_error="")
        return bare if self.columns[heading].machine else cell

    def group(self, group: Group) -> list[str]:
        """Return the headings of one group of columns."""
        return [heading for heading, column in self.columns.items() if column.group == group]

    def letters(self, line: Line) -> str:
        """Return the group of a line by the metric that orders lines."""
        return line.cells.get(self.headline, Cell()).group

    @property
    def grouped(self) -> bool:
        """Whether pairs of lines were tested for differences."""
        return any(map(self.letters, self.lines))

    def legend(self, headings: Iterable[str]) -> list[str]:
        """Return how some columns were measured, in few sentences."""
        return legend({h: self.protocols[h] for h in headings if h in self.protocols}, self.columns)


def tables(rows: Iterable[Row]) -> list[Table]:
    """Return the printed leaderboards of all tables of the rows."""
    found = boards(rows)
    return [_table(board, frame) for board, frame in zip(found, board_frames(found), strict=True)]


@lru_cache(maxsize=1)
def tables_of(results: Results) -> list[Table]:
    """Return the tables of results; every format asks for them, and they are made once."""
    return tables(results.rows)


def _table(board: Board, frame: pd.DataFrame) -> Table:
    columns = _columns(board, frame)
    texts = {heading: _text(column, frame[heading]) for heading, column in columns.items()}
    places = {heading: _places(column, heading, frame) for heading, column in columns.items()}
    over_seeds = bool((frame.filter(regex=" basis$") == SEEDS).any(axis=None))
    notes: dict[str, str] = {}
    lines = []
    for index, entry in enumerate(frame.to_dict("records")):
        cells = {}
        for heading, column in columns.items():
            cell = _cell(entry, heading, column, texts[heading], notes)
            place = places[heading].get(index, 0)
            within = over_seeds and cell.within
            cells[heading] = replace(cell, best=place == 1, second=place == 2, within=within)
        lines.append(_line(entry, cells))
    return Table(
        title=plain(board.dataset) + (f", {plain(board.budget)}" if board.budget else ""),
        apart=plain(board.apart),
        columns=columns,
        lines=tuple(lines),
        captions=captions(frame, columns),
        protocols=protocols(frame, columns),
        remarks=tuple(remarks(frame, board)),
        notes={mark: note for note, mark in notes.items()},
        metric=board.headline,
        headline=board.column(board.headline).heading,
        data_kind=board.data_kind,
    )


def _columns(board: Board, frame: pd.DataFrame) -> dict[str, Column]:
    every = (*map(board.column, METRICS), *COSTS.values(), *board.columns.values())
    known = {column.heading: column for column in every}
    names = list(frame.columns)
    headings = names[len(LEADING) : names.index("Seeds")]
    columns = {
        heading: known.get(heading) or known.get(heading.rsplit(" (", 1)[0]) or Column(heading)
        for heading in headings
    }
    # The columns of a group side by side: on the page they share one title.
    return dict(sorted(columns.items(), key=lambda item: GROUPS.index(item[1].group)))


def _text(column: Column, values: pd.Series[float]) -> Callable[[float], str]:
    """Return the function that formats the column's values; by default with equal decimals."""
    return column.text or partial(fixed, places=decimals(values.dropna().astype(float)))


def _places(column: Column, heading: str, frame: pd.DataFrame) -> dict[int, int]:
    """Return 1 for the lines with the best value, 2 for the second, for each kind of likelihood.

    References take no part, and a single value is not marked as best.
    """
    values = frame.loc[frame["Role"] == "model", heading].dropna().astype(float)
    values = values[values.map(math.isfinite)]
    places: dict[int, int] = {}
    if column.better is None or values.empty:
        return places
    for _, group in values.groupby(frame[f"{heading} kind"].fillna("")):
        if len(group) > 1:
            ranks = group.rank(method="dense", ascending=column.better == "lower")
            places |= {int(str(i)): int(rank) for i, rank in ranks.items()}
    return places


def _cell(
    entry: Mapping[Any, Any],
    heading: str,
    column: Column,
    text: Callable[[float], str],
    notes: dict[str, str],
) -> Cell:
    value, note = entry[heading], entry.get(f"{heading} note")
    mark = ""
    if isinstance(note, str) and entry["Role"] != "failed":
        mark = notes.setdefault(plain(note), _mark(len(notes)))
    if pd.isna(value):
        return Cell(mark=mark)
    printed = text(float(value))
    error, low, high = (_number(entry, f"{heading} {end}") for end in ("error", "low", "high"))
    bounded = not math.isnan(low)
    half = (high - low) / 2 if bounded else error
    return Cell(
        text=printed,
        prefix=KINDS.get(entry.get(f"{heading} kind") or "", ""),
        error=_error(half, printed, column, text),
        standard_error=_error(error, printed, column, text),
        interval=f"{text(low)} to {text(high)}" if bounded else "",
        within=entry.get(f"{heading} basis") != SEEDS,
        mark=mark,
        group=group if isinstance(group := entry.get(f"{heading} group"), str) else "",
        protocol=plain(entry.get(f"{heading} protocol") or ""),
        value=float(value),
    )


def _number(entry: Mapping[Any, Any], name: str) -> float:
    value = entry.get(name)
    return math.nan if value is None else float(value)


def _error(error: float, printed: str, column: Column, text: Callable[[float], str]) -> str:
    if math.isnan(error) or (error == 0 and not column.per_protocol):
        # Counts are usually the same for every seed.
        return ""
    unit = printed[-1].isalpha()
    return text(error) if unit else spread(error, printed)


def _mark(index: int) -> str:
    """Return a, b, ..., z, aa, ab, ..."""
    letters = ""
    while index >= 0:
        letters = chr(ord("a") + index % 26) + letters
        index = index // 26 - 1
    return letters


def _line(entry: Mapping[Any, Any], cells: Mapping[str, Cell]) -> Line:
    return Line(
        model=plain(entry["Model"]) or "(no name)",
        type=plain(entry["Type"]),
        role=entry["Role"],
        seeds=int(entry["Seeds"]),
        status=plain(entry["Status"]),
        reason=entry["Reason"] if isinstance(entry["Reason"], str) else "",
        trials=entry["Trials"],
        cells=cells,
        warning="; ".join(warnings(entry)),
    )

"""The leaderboard in Markdown, narrow enough for a terminal."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path

from tabulate import tabulate

from harness.results import Results
from harness.row import Row
from harness_reports.captions import WARNING
from harness_reports.table import GROUP, NOTHING, Line, Table, tables, tables_of
from harness_reports.text import plain

WIDTH = 100
WORDS = ("Type", GROUP, "Status")
# Underscores within words and tildes before a space are literal.
_ACTIVE = re.compile(r"[\\`*\[\]|$]|(?<!\w)_|_(?!\w)|~(?=\S)")
# A list, a heading, or the rule below one; numbers begin a list before a dot or a bracket.
_BEGINNING = re.compile(r"^(\d{0,9})([-+=#.)])(?=[-=#\s]|$)")


def write(results: Results, folder: Path) -> Path:
    """Write ``leaderboard.md`` in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "leaderboard.md"
    path.write_text(to_markdown(results), encoding="utf-8")
    return path


def to_markdown(results: Results) -> str:
    """Return the whole report: each leaderboard, what it cost, what failed, how it was measured."""
    parts = [f"# {escape(results.benchmark)}", *_wrapped(escape(results.summary))]
    printed = tables_of(results)
    if not printed:
        parts.append("No trial has ended yet.")
    for table in printed:
        parts += _section(table)
    return "\n\n".join(part for part in parts if part) + "\n"


def terminal_table(rows: Iterable[Row]) -> str:
    """Return the leaderboards alone, with what they cost, in 100 columns."""
    return "\n\n".join(f"{table.title}\n\n{_grids(table)}" for table in tables(rows))


def escape(text: object) -> str:
    """Return text escaped for Markdown, including HTML and the bars of tables."""
    escaped = plain(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _ACTIVE.sub(r"\\\g<0>", escaped)


def _section(table: Table) -> list[str]:
    parts = [f"## {escape(table.title)}"]
    if table.apart:
        parts += _wrapped(escape(f"A table of its own: {table.apart}."))
    parts.append(_grids(table))
    if failures := [line for line in table.lines if line.reason]:
        parts.append("\n".join(_failure(line) for line in failures))
    details = [f"[{mark}] {escape(note)}" for mark, note in table.notes.items()]
    hidden = table.group("details")
    legend = table.legend(heading for heading in table.columns if heading not in hidden)
    details += [escape(text) for text in (*table.remarks, *legend)]
    parts.append("\n".join(map(_item, details)))
    return parts


def _failure(line: Line) -> str:
    name = f"{escape(line.model)} ({escape(line.type)})" if line.type else escape(line.model)
    return _item(f"**{name}: {escape(line.status)}.** {escape(line.brief)}")


def _item(text: str) -> str:
    return "- " + _filled(text, "  ")


def _wrapped(text: str) -> list[str]:
    return [_filled(text)] if text else []


def _filled(text: str, indent: str = "") -> str:
    """Return a paragraph in lines, none of which starts a list, a heading or similar."""
    lines = textwrap.wrap(text, WIDTH - len(indent), break_on_hyphens=False)
    return f"\n{indent}".join(_BEGINNING.sub(r"\1\\\2", line) for line in lines)


def _grids(table: Table) -> str:
    """Return the table in as many grids as needed to fit the width.

    Quality and status stay together; other columns are moved out first, then speed.
    """
    first = ["Type", *table.group("quality"), "Status"]
    if table.grouped:
        first.insert(2, GROUP)
    aside = []
    speeds = [heading for heading in table.group("quality") if table.columns[heading].machine]
    for heading in ("Type", *speeds):
        if _width(_grid(table, first)) > WIDTH and heading in first:
            first.remove(heading)
            aside.append(heading)
    grids = [_grid(table, first)]
    trained = [line for line in table.lines if line.trained]
    grids += _fitting(table, [*aside, *table.group("model")], trained)
    grids += _fitting(table, table.group("used"), trained)
    for group in ("samples", "copies", "further"):
        grids += _fitting(table, table.group(group), table.lines)
    return "\n\n".join(grids)


def _fitting(table: Table, headings: Sequence[str], lines: Sequence[Line]) -> Iterable[str]:
    """Yield grids of some columns, as many as needed to fit the width."""
    taken: list[str] = []
    for heading in headings:
        if taken and _width(_grid(table, [*taken, heading], lines)) > WIDTH:
            yield _grid(table, taken, lines)
            taken = []
        taken.append(heading)
    if taken:
        yield _grid(table, taken, lines)


def _grid(table: Table, headings: Sequence[str], lines: Sequence[Line] | None = None) -> str:
    body = [
        [
            escape(line.model) + f" {WARNING}" * bool(line.warning),
            *(_text(line, table, heading) for heading in headings),
        ]
        for line in (table.lines if lines is None else lines)
    ]
    return tabulate(
        body,
        headers=["Model", *map(escape, headings)],
        tablefmt="pipe",
        colalign=["left", *("left" if heading in WORDS else "right" for heading in headings)],
        disable_numparse=True,
    )


def _text(line: Line, table: Table, heading: str) -> str:
    if heading in WORDS:
        words = {"Type": line.type, GROUP: table.letters(line), "Status": line.status}
        return escape(words[heading] or NOTHING)
    cell = table.narrow(line, heading)
    return f"**{cell}**" if cell.best else str(cell)


def _width(grid: str) -> int:
    return max(map(len, grid.splitlines()))

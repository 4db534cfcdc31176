"""Tables on the terminal, or in files and pipes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.cli.terminal import console, echo, text
from harness.errors import visible

NOTHING = "nothing here"


def print_table(
    lines: Sequence[Mapping[str, str]], title: str | None = None, whole: Sequence[str] = ()
) -> None:
    """Print a table within the width of the terminal; elsewhere, one unwrapped line per row.

    On a terminal long cells wrap onto further lines, within words if necessary, so that nothing is
    cut. Output that is not a terminal is read by other tools.

    Args:
        lines: cells by heading, the same headings in every line.
        title: heading above the table.
        whole: headings of short columns that are wrapped last, so that cells can be copied.
    """
    if console().is_terminal:
        _print_wrapped(lines, title, whole)
    else:
        _print_plain(lines, title)


def _print_wrapped(
    lines: Sequence[Mapping[str, str]], title: str | None, whole: Sequence[str]
) -> None:
    from rich import box
    from rich.table import Table

    heading = text(title, "italic") if title else None
    table = Table(title=heading, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in lines[0] if lines else (NOTHING,):
        table.add_column(text(name), overflow="fold", no_wrap=name in whole)
    for line in lines:
        table.add_row(*map(text, line.values()))
    console().print(table)


def _print_plain(lines: Sequence[Mapping[str, str]], title: str | None) -> None:
    from rich.cells import cell_len

    if title:
        echo(title)
    headings = list(lines[0]) if lines else [NOTHING]
    grid = [headings, *(list(line.values()) for line in lines)]
    cells = [[" ".join(visible(cell).split("\n")) for cell in row] for row in grid]
    widths = [max(map(cell_len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        padded = (cell + " " * (w - cell_len(cell)) for cell, w in zip(row, widths, strict=True))
        echo("  ".join(padded).rstrip())

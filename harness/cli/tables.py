"""Tables on the terminal, or in files and pipes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def print_table(lines: Sequence[Mapping[str, str]], title: str | None = None) -> None:
    """Print a table; without a terminal, one unwrapped line a row that other tools can read.

    Args:
        lines: cells by heading, the same headings in every line.
        title: what stands above it.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    if not console.is_terminal:
        table.box, console.width = None, 10_000
    for heading in lines[0] if lines else ("nothing here",):
        table.add_column(heading)
    for line in lines:
        table.add_row(*map(Text, line.values()))
    console.print(table)

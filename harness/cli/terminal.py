"""All terminal output of the command line.

Labels, reasons, names and paths come from plugins and untrusted files. All that a command prints
goes through this module, which escapes control characters and disables Rich's markup and emoji.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from harness.errors import for_terminal, visible

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

__all__ = ["console", "echo", "for_terminal", "print_trimmed", "text"]


def echo(line: object = "", error: bool = False, flush: bool = False) -> None:
    """Print text, of one line or several, to standard output or to standard error."""
    print(visible(str(line)), file=sys.stderr if error else sys.stdout, flush=flush)


def text(value: object, style: str = "") -> Text:
    """Return text for a table or a line of Rich."""
    from rich.text import Text

    return Text(visible(str(value)), style)


def console(error: bool = False) -> Console:
    """Return Rich's console, for what ``text`` returns, or tables of it."""
    from rich.console import Console

    return Console(stderr=error, markup=False, emoji=False, highlight=False)


def print_trimmed(table: RenderableType, width: int | None = None) -> None:
    """Print a table of Rich's as wide as the terminal.

    Elsewhere it is printed without blanks at the ends of lines, and as wide as ``width``; as
    ``COLUMNS`` says or 80 if there is none.
    """
    out = console()
    if out.is_terminal:
        out.print(table)
        return
    out.width = width or out.width
    with out.capture() as printed:
        out.print(table)
    for line in printed.get().splitlines():
        echo(line.rstrip())

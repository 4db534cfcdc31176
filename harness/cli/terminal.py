"""The one way from the command line to a terminal.

Labels, reasons, names and paths come from plugins, files and rows of anybody. All that a command
prints goes through this module, which writes control characters out, and neither Rich's markup nor
its emoji are read in it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from harness.errors import for_terminal, visible

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

__all__ = ["console", "for_terminal", "print_trimmed", "say", "text"]


def say(line: object = "", error: bool = False, flush: bool = False) -> None:
    """Print text, of one line or several, to standard output or to standard error."""
    print(visible(str(line)), file=sys.stderr if error else sys.stdout, flush=flush)


def text(value: object, style: str = "") -> Text:
    """Return what a table or a line of Rich's holds."""
    from rich.text import Text

    return Text(visible(str(value)), style)


def console(error: bool = False) -> Console:
    """Return Rich's console, which takes what ``text`` returns, or tables of it."""
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
        say(line.rstrip())

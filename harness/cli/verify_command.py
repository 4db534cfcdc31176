"""``harness verify``: does a report follow from its rows?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.terminal import for_terminal, say


def verify_report(
    report: Annotated[Path, typer.Argument(metavar="REPORT", help="A report folder.")],
) -> None:
    """Write everything in a report again from its rows, and compare it byte for byte."""
    from harness.publishing.verification import verify

    found = verify(report)
    for note in found.notes:
        say(for_terminal(f"note: {note}"))
    for fault in found.faults:
        say(for_terminal(f"fault: {fault}"))
    files = f"{found.files} files, {found.rows} rows"
    if found.faults:
        say(f"{report} does not follow from its rows: {len(found.faults)} faults ({files})")
        raise typer.Exit(1)
    say(f"{report} follows from its rows ({files})")

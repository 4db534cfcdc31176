"""``harness verify``: does a report follow from its rows?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.terminal import echo, for_terminal


def verify_report(
    report: Annotated[Path, typer.Argument(metavar="REPORT", help="A report folder.")],
) -> None:
    """Rebuild a report from its rows, and compare it byte for byte."""
    from harness.publishing.verification import verify

    found = verify(report)
    for note in found.notes:
        echo(for_terminal(f"note: {note}"))
    for fault in found.faults:
        echo(for_terminal(f"fault: {fault}"))
    files = f"{found.files} files, {found.rows} rows"
    if found.faults:
        echo(f"{report} does not follow from its rows: {len(found.faults)} faults ({files})")
        raise typer.Exit(1)
    echo(f"{report} follows from its rows ({files})")

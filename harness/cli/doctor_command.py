"""``harness doctor``: what this machine can do, and what would mend what it cannot."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options import ResultsFolder

if TYPE_CHECKING:
    from harness.doctor import Finding

STYLES = {"ok": "green", "warning": "yellow", "problem": "bold red"}


def examine_machine(
    results: ResultsFolder = Path("results"),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Look at Python, torch, devices, disks, plugins, data sets and MLflow, with remedies.

    Exit code 1: there is a problem, which stops 'harness run digits'. Warnings do not.
    """
    from harness.doctor import Verdict, examine

    findings = list(examine(results))
    if as_json:
        _print_json(findings)
    else:
        _print_lines(findings)
    if any(finding.verdict is Verdict.problem for finding in findings):
        raise typer.Exit(1)


def _print_json(findings: list[Finding]) -> None:
    from dataclasses import asdict

    from harness.printing import print_answer

    print_answer([asdict(finding) for finding in findings])


def _print_lines(findings: list[Finding]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    if not console.is_terminal:
        console.width = 10_000
    table = Table.grid(padding=(0, 2))
    for finding in findings:
        found = Text(finding.found)
        if finding.remedy:
            found.append(f" -> {finding.remedy}", "bold")
        table.add_row(Text(finding.verdict, STYLES[finding.verdict]), finding.subject, found)
    console.print(table)

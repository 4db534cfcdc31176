"""``harness doctor``: what works on this machine, and how to fix what does not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options import ResultsFolder
from harness.cli.terminal import console, text

if TYPE_CHECKING:
    from harness.doctor import Finding

VERDICT = 9
SUBJECT = 28
"""Widths of the columns before a finding."""
STYLES = {"ok": "green", "warning": "yellow", "problem": "bold red"}


def examine_machine(
    results: ResultsFolder = Path("results"),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check Python, torch, devices, disks, plugins, data sets and MLflow, and suggest remedies.

    Exit code 1: there is a problem that stops 'harness run digits'; warnings do not.
    """
    from harness.doctor import Severity, examine

    findings = list(examine(results))
    if as_json:
        _print_json(findings)
    else:
        _print_lines(findings)
    if any(finding.verdict is Severity.problem for finding in findings):
        raise typer.Exit(1)


def _print_json(findings: list[Finding]) -> None:
    from dataclasses import asdict

    from harness.machine.printing import print_json

    print_json([asdict(finding) for finding in findings])


def _print_lines(findings: list[Finding]) -> None:
    """Print one line per finding, or several if it is too long for one."""
    for finding in findings:
        _print_finding(finding)


def _print_finding(finding: Finding) -> None:
    out = console()
    verdict = text(f"{finding.verdict:<{VERDICT}}", STYLES[finding.verdict])
    remedy = f"-> {finding.remedy}" if finding.remedy else ""
    line = verdict + text(f"{finding.subject:<{SUBJECT}}  {finding.found} ")
    line += text(remedy, "bold")
    line.rstrip()
    if line.cell_len <= out.width:
        out.print(line)
        return
    parts = [text(finding.subject), text(finding.found), text(remedy, "bold")]
    wrapped = [line for part in parts for line in part.wrap(out, out.width - VERDICT)]
    for number, line in enumerate(filter(None, wrapped)):
        line.rstrip()
        out.print(text(" " * VERDICT) + line if number else verdict + line)

"""``harness reproduce``: run rows of a report again, and compare."""

from __future__ import annotations

from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.terminal import echo, for_terminal

if TYPE_CHECKING:
    from harness.reproduction import Reproduction


def reproduce_rows(
    report: Annotated[
        Path,
        typer.Argument(
            metavar="REPORT|ROW",
            help="A report folder, a results folder, a file of rows (.jsonl), or a row.json.",
        ),
    ],
    trials: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TRIAL]...", help="Trial ids, or unique prefixes of ids; default: all."
        ),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="LABEL", help="Only trials with this label; repeatable."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Only this seed.")] = None,
    results: Annotated[
        Path | None,
        typer.Option(help="Folder for the new results; default: a new temporary one."),
    ] = None,
) -> None:
    """Run rows again; under a FLOP, image or step budget the same machine gives the same bits.

    Exit code: 0 if all agree, 1 if one does not, 2 if nothing could be run.
    """
    from harness.cli.progress_display import open_display
    from harness.publishing.reading import read_results
    from harness.reproduction import choose, prepare_all, run_again

    recorded = read_results(report)
    rows = choose(recorded, trials or (), only or (), seed)
    subjects = prepare_all(rows, recorded)
    runnable = sum(not subject.changed for subject in subjects)
    folder = results or (Path(mkdtemp(prefix="genharness-")) if runnable else Path())
    with open_display(runnable) as display:
        outcomes = run_again(subjects, recorded, folder, display)
    for outcome in outcomes:
        echo("\n" + "\n".join(map(for_terminal, _lines(outcome))))
    agreeing = sum(outcome.agrees for outcome in outcomes)
    where = f"; the new results are in {folder}" if runnable else ""
    echo(f"\n{agreeing} of {len(outcomes)} rows agree{where}")
    if agreeing < len(outcomes):
        raise typer.Exit(1)


def _lines(outcome: Reproduction) -> list[str]:
    row = outcome.row
    title = f"{row.trial}  {row.title}"
    around = [f"  changed: {difference}" for difference in outcome.environment_changes]
    if outcome.again is None:
        reasons = [f"  another trial: {reason}" for reason in outcome.changed]
        return [f"{title}: NOT RUN, it is a different trial now", *reasons, *around]
    how = "within intervals" if outcome.lenient else "bit for bit"
    verdict = f"agrees {how}" if outcome.agrees else f"DOES NOT AGREE {how}"
    lines = [f"{title}: {verdict}"]
    if outcome.lenient:
        lines.append(f"  bits are not expected to agree: {outcome.lenient}")
    same = [check.name for check in outcome.checks if check.agrees]
    if not outcome.lenient and same:
        lines.append(f"  the same: {', '.join(same)}")
    for check in outcome.checks:
        if check.agrees and not outcome.lenient:
            continue
        mark = {True: "agrees", False: "DIFFERS", None: "not asked"}[check.agrees]
        aside = "" if check.decides else " (does not decide)"
        lines.append(f"  {mark}: {check.name}: {check.words}{aside}")
    return lines + around

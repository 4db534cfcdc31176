"""``harness sync``: send MLflow what it did not receive when the trials ended."""

from __future__ import annotations

from pathlib import Path

from harness.cli.options import ResultsFolder
from harness.cli.terminal import echo


def sync_results(results: ResultsFolder = Path("results")) -> None:
    """Send MLflow every trial and every report that it lacks."""
    from harness.errors import UserError
    from harness.tracking import open_tracker, sync, sync_reports

    if not results.is_dir():
        raise UserError(f"there is no folder {results}; name the results folder with --results")
    tracker = open_tracker("auto", results)
    if tracker is None:
        raise UserError("MLflow is not installed; install it with 'pip install mlflow'")
    sent, unsent = sync(results, tracker)
    reports = sync_reports(results, tracker)
    echo(f"trials sent to MLflow at {tracker.address}: {len(sent)}")
    if reports.sent:
        echo(f"reports sent: {', '.join(reports.sent)}")
    missing = [*unsent, *(f"the report of {name}" for name in reports.unsent)]
    if missing:
        raise UserError(f"not sent, for the reasons above: {', '.join(missing)}")

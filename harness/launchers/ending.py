"""What became of a worker, as exactly one row, whether it wrote one or not."""

from __future__ import annotations

import signal
from pathlib import Path

from harness.progress import Progress
from harness.row import Row
from harness.store import read_row
from harness.trial import Trial
from harness.worker import STOPPED


def row_of(
    trial: Trial, folder: Path, code: int, *, hung: bool = False, progress: Progress | None = None
) -> Row:
    """Return the row of a trial whose worker has ended.

    Args:
        trial: what it worked on.
        folder: where it wrote.
        code: its exit code; -n if it died of signal n.
        hung: whether it was ended because it was silent.
        progress: the last that it said.
    """
    where = f"at {progress.fraction:.0%} of the budget" if progress else "at its start"
    if hung:
        return trial.row("timeout", f"silent for {trial.patience_seconds:g} s {where}; ended")
    if code == 0 and (row := read_row(folder / "row.json")) is not None:
        return row
    if code in (STOPPED, -signal.SIGTERM):
        return trial.row("killed", f"stopped on request {where}; run again to resume")
    if code == -signal.SIGKILL:
        return trial.row(
            "killed",
            f"killed {where}, by hand or because the machine ran out of memory; "
            "run again to resume",
        )
    if code < 0:
        return trial.row("error", f"the worker died of {signal.Signals(-code).name} {where}")
    return trial.row("error", f"the worker left with exit code {code} {where}")

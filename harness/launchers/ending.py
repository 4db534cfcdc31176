"""The row of a trial whose worker has ended, whether it wrote one or not."""

from __future__ import annotations

import signal
from contextlib import suppress
from pathlib import Path

from harness.errors import UserError
from harness.files.disk import disk_full_reason
from harness.launchers import log_file
from harness.launchers.memory import MemoryWatch
from harness.launchers.processes import LOST
from harness.machine.exit import FULL, STOPPED
from harness.machine.heartbeat import HANG, STOPPED_PHASE, Progress, read_progress
from harness.planning.trial import Trial
from harness.row import Row, Usage
from harness.storage.row_identity import check_folder
from harness.storage.store import read_row

BY_HAND = frozenset(
    getattr(signal, name)
    for name in ("SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGXCPU", "SIGPWR")
    if hasattr(signal, name)
)
"""Signals that a fault of the worker's own code never raises: users and batch systems send them."""


def row_of(
    trial: Trial,
    folder: Path,
    code: int,
    *,
    hung: bool = False,
    stopped: bool = False,
    asked: bool = False,
    progress: Progress | None = None,
    memory: MemoryWatch | None = None,
) -> Row:
    """Return the row of a trial whose worker has ended.

    Args:
        trial: what it worked on.
        folder: where it wrote.
        code: its exit code; -n if it died of signal n; ``LOST`` if it is unknown.
        hung: whether it was ended because it was silent.
        stopped: whether it was ended because it had been stopped (SIGSTOP) for too long.
        asked: whether it had been asked to stop.
        progress: the last that was read; the final one is read here.
        memory: monitored while it ran.
    """
    progress = read_progress(folder) or progress
    where = f"at {progress.fraction:.0%} of the budget" if progress else "at its start"
    if code in (0, LOST) and (row := _written(folder, trial)) is not None:
        return row
    if _keep_traces(folder) or hung:
        return trial.row("timeout", f"silent for {trial.patience_seconds:g} s {where}; ended")
    if code == FULL:
        return trial.row("killed", disk_full_reason(folder))
    if code == LOST:
        reason = f"the process that forked its worker died {where}; run again to resume"
        return trial.row("killed", reason)
    if stopped:
        reason = f"stopped by a signal {where} for {trial.patience_seconds:g} s, and ended"
        return trial.row("killed", f"{reason}; run again to resume")
    # Only a worker that was asked to stop may exit so; a plugin can choose any exit code.
    left = asked or (progress is not None and progress.phase == STOPPED_PHASE)
    if code == -signal.SIGTERM or (code == STOPPED and left):
        return trial.row("killed", f"stopped on request {where}; run again to resume")
    if code == -signal.SIGKILL:
        return _killed(trial, where, asked, memory)
    if -code in BY_HAND:
        reason = f"ended by signal {_name(-code)} {where}, sent from outside; run again to resume"
        return trial.row("killed", reason)
    if code < 0:
        return trial.row("error", f"the worker died of {_name(-code)} {where}; its log shows where")
    without = " and without a row" if code == 0 else ""
    return trial.row("error", f"the worker exited with code {code}{without} {where}")


def _written(folder: Path, trial: Trial) -> Row | None:
    with suppress(UserError):
        row = read_row(folder / "row.json")
        if row is not None:
            check_folder(row, trial.id, folder)
        return row
    return None


def _keep_traces(folder: Path) -> bool:
    """Move the stack traces of a hung worker to its log; return whether it hung."""
    path = folder / HANG
    traces = path.read_bytes() if path.exists() else b""
    if traces:
        with suppress(OSError):
            log_file.append(folder, traces)
    path.unlink(missing_ok=True)
    return bool(traces)


def _killed(trial: Trial, where: str, asked: bool, memory: MemoryWatch | None) -> Row:
    peak = memory.peak if memory else 0
    usage = Usage(peak_memory=peak)
    held = f"; it held {peak / 2**30:.2f} GiB at most" if peak else ""
    if memory is not None and memory.ran_out:
        reason = f"the system killed the worker {where} because memory ran out{held}"
        return trial.row("out_of_memory", reason, usage=usage)
    if asked:
        reason = f"asked to stop {where}, and killed before it did; run again to resume"
        return trial.row("killed", reason, usage=usage)
    reason = f"killed {where}, by a user or because the machine ran out of memory{held}"
    return trial.row("killed", f"{reason}; run again to resume", usage=usage)


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"

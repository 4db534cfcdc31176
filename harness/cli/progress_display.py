"""One bar per trial on a terminal; plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column

from harness.cli.terminal import console, echo, for_terminal
from harness.errors import visible
from harness.launchers import Observer

if TYPE_CHECKING:
    from harness.machine.heartbeat import Progress as TrialProgress
    from harness.planning.trial import Trial
    from harness.row import Row


@contextmanager
def open_display(trials: int) -> Iterator[Observer]:
    """Yield an observer that shows trials on standard output."""
    terminal = console()
    if not terminal.is_terminal:
        yield Lines(trials)
        return
    bars = Progress(
        _words("{task.description}"),
        BarColumn(bar_width=20),
        TextColumn("{task.percentage:>3.0f}%"),
        _words("{task.fields[note]}"),
        TimeElapsedColumn(),
        console=terminal,
    )
    with bars:
        yield Bars(bars)


def _words(template: str) -> TextColumn:
    """Return a column of untrusted text, printed verbatim, that is shortened if space is short."""
    return TextColumn(template, markup=False, table_column=Column(no_wrap=True, ratio=1))


class Bars(Observer):
    """A Rich progress bar for each trial: budget used, losses, images/s and time left."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}
        self._warned: set[str] = set()

    def started(self, trial: Trial) -> None:
        """Add a bar, unless the trial has one from being held elsewhere."""
        if trial.id in self._tasks:
            self._bars.reset(self._tasks[trial.id], note="starting")
        else:
            self._tasks[trial.id] = self._bars.add_task(
                visible(trial.title), total=1, note="starting"
            )

    def progressed(self, trial: Trial, progress: TrialProgress) -> None:
        """Move the bar."""
        if progress.warning and trial.id not in self._warned:
            self._warned.add(trial.id)
            self._bars.console.print(_warning(trial, progress), markup=False)
        task = self._tasks[trial.id]
        elapsed = self._bars.tasks[self._bars.task_ids.index(task)].elapsed or 0.0
        self._bars.update(task, completed=progress.fraction, note=visible(_note(progress, elapsed)))

    def finished(self, trial: Trial, row: Row) -> None:
        """Show how the trial ended."""
        if trial.id not in self._tasks:
            self.started(trial)
        task = self._tasks[trial.id]
        completed = 1.0 if row.status == "ok" else None
        self._bars.update(task, completed=completed, note=visible(_outcome(row)))
        self._bars.stop_task(task)

    def held(self, trial: Trial) -> None:
        """Show a trial that another run is working on."""
        self._tasks[trial.id] = self._bars.add_task(
            visible(trial.title), total=1, note="in another run"
        )

    def waits(self, trial: Trial, holder: str) -> None:
        """Show which process is working on it."""
        self._bars.update(self._tasks[trial.id], note=for_terminal(f"held by {holder}"))

    def ended_elsewhere(self, trial: Trial, row: Row) -> None:
        """Show how the trial ended."""
        self.finished(trial, row)


class Lines(Observer):
    """A line when a trial starts, and one when it ends."""

    def __init__(self, trials: int) -> None:
        self._trials = trials
        self._ended = 0
        self._warned: set[str] = set()

    def started(self, trial: Trial) -> None:
        """Print which trial starts."""
        _print(f"started   {trial.title}")

    def progressed(self, trial: Trial, progress: TrialProgress) -> None:
        """Print a warning to the user, once."""
        if progress.warning and trial.id not in self._warned:
            self._warned.add(trial.id)
            _print(_warning(trial, progress))

    def held(self, trial: Trial) -> None:
        """Print which trial another run is working on."""
        _print(f"elsewhere {trial.title}: another run is working on it")

    def waits(self, trial: Trial, holder: str) -> None:
        """Print which process is working on it."""
        _print(f"waiting   {trial.title}: held by {for_terminal(holder)}")

    def finished(self, trial: Trial, row: Row) -> None:
        """Print how the trial ended."""
        self._count(trial, _outcome(row))

    def ended_elsewhere(self, trial: Trial, row: Row) -> None:
        """Print how the trial ended."""
        self._count(trial, f"{_outcome(row)}, in another run")

    def _count(self, trial: Trial, outcome: str) -> None:
        self._ended += 1
        count = f"[{self._ended}/{self._trials}]"
        _print(for_terminal(f"{count:<9} {trial.title}: {outcome}"))


def _print(line: str) -> None:
    """Print a line; a closed pipe or a full disk is no reason to stop."""
    with suppress(OSError):
        echo(line, flush=True)


def _warning(trial: Trial, progress: TrialProgress) -> str:
    return for_terminal(f"{trial.title}: {progress.warning}")


def _note(progress: TrialProgress, elapsed: float) -> str:
    if progress.phase != "train":
        return progress.phase
    losses = "  ".join(f"{name} {value:.4g}" for name, value in progress.losses.items())
    left = elapsed * (1 / progress.fraction - 1) if progress.fraction else 0.0
    return f"{losses}  {progress.images_per_second:,.0f} images/s  {left:.0f} s left"


def _outcome(row: Row) -> str:
    bits = "bits/char" if row.data_kind == "text" else "bits/dim"
    figures = [
        f"{name} {row.metrics[key].value:.4g}"
        for key, name in (("fid", "FID"), ("is", "IS"), ("bits_per_dim", bits))
        if key in row.metrics and row.metrics[key].value is not None
    ]
    return " ".join([row.status, *figures]) + (f" ({row.reason})" if row.reason else "")

"""Where trials run. A launcher takes trials from an agenda until it is empty, and ends each one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from harness.launchers.agenda import Agenda
    from harness.machine.heartbeat import Progress
    from harness.planning.trial import Trial
    from harness.row import Row


class Observer:
    """Hears of trials while they run; each method may be overridden."""

    def started(self, trial: Trial) -> None:
        """Hear that a worker was started on a trial."""

    def progressed(self, trial: Trial, progress: Progress) -> None:
        """Hear where a trial is."""

    def finished(self, trial: Trial, row: Row) -> None:
        """Hear that a trial ended, with its row."""

    def held(self, trial: Trial) -> None:
        """Hear that another run holds a trial; this one waits for it."""

    def waits(self, trial: Trial, holder: str) -> None:
        """Hear who holds a trial that this run waits for, and since when; again if it changes."""

    def ended_elsewhere(self, trial: Trial, row: Row) -> None:
        """Hear that another run ended a trial, with its row."""


class Launcher(Protocol):
    """Runs trials somewhere: on this machine, on a cluster."""

    def check(self, trials: Sequence[Trial]) -> None:
        """Make sure that each trial could run, before any does.

        Raises:
            UserError: one needs more than there is.
        """

    def run(self, agenda: Agenda) -> None:
        """Take trials from the agenda until it is empty, and end each with exactly one row.

        Ctrl-C (``KeyboardInterrupt``) stops the workers so that the next run resumes their trials.
        """

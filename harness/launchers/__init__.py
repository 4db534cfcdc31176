"""Launchers: where trials run. One takes trials from an agenda until it is empty, and ends each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from harness.launchers.agenda import Agenda
    from harness.machine.heartbeat import Progress
    from harness.planning.trial import Trial
    from harness.row import Row


class Observer:
    """Receives events of trials while they run; each method may be overridden."""

    def started(self, trial: Trial) -> None:
        """Called when a worker was started on a trial."""

    def progressed(self, trial: Trial, progress: Progress) -> None:
        """Called with the progress of a trial."""

    def finished(self, trial: Trial, row: Row) -> None:
        """Called when a trial has ended, with its row."""

    def held(self, trial: Trial) -> None:
        """Called when another run holds a trial that this one waits for."""

    def waits(self, trial: Trial, holder: str) -> None:
        """Called with the holder of a trial that this run waits for; again if it changes."""

    def ended_elsewhere(self, trial: Trial, row: Row) -> None:
        """Called when another run has ended a trial, with its row."""


class Launcher(Protocol):
    """Runs trials on this machine or on a cluster."""

    def check(self, trials: Sequence[Trial]) -> None:
        """Check that each trial can run, before any does.

        Raises:
            UserError: one needs more than is available.
        """

    def run(self, agenda: Agenda) -> None:
        """Run trials from the agenda until it is empty; each ends with exactly one row.

        Ctrl-C (``KeyboardInterrupt``) stops the workers so that the next run resumes their trials.
        """

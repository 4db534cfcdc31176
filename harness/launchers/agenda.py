"""The work queue of a run, shared with other runs on the same results folder."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.files.locks import Lock
from harness.launchers import Observer
from harness.planning.benchmark import Needs
from harness.planning.trial import Trial
from harness.row import Row
from harness.storage.store import FAILED, RESUMABLE, Store

LOOK_SECONDS = 0.5
"""Seconds between two polls of the trials that other runs hold."""
NAME_SECONDS = 60.0
"""Seconds between two polls of their holders."""


@dataclass(frozen=True)
class Assignment:
    """A trial that this run has claimed, until ``Agenda.finish``.

    Attributes:
        folder: where its worker writes; it may hold a checkpoint.
        lock: excludes other runs; a worker that inherits it keeps the trial if the driver dies.
    """

    trial: Trial
    folder: Path
    lock: Lock


class Agenda:
    """The trials of a run. Each is claimed before it starts, so that it runs once.

    Trials with the largest needs come first, so that they are not left for the end. Trials that
    another run holds are polled until that run has ended them, or has died and left them to this
    one.

    Args:
        trials: those without a final row.
        store: where folders, rows and locks are.
        observer: receives all events.
    """

    def __init__(self, trials: Iterable[Trial], store: Store, observer: Observer) -> None:
        self.store = store
        self.observer = observer
        self._queues: dict[Needs, deque[Trial]] = {}
        self._elsewhere: deque[Trial] = deque()
        self._looked = 0.0
        self._named = time.monotonic()
        self._holders: dict[str, str] = {}
        self._stamps: dict[str, int | None] = {}
        for trial in sorted(trials, key=lambda trial: trial.needs, reverse=True):
            self.add(trial)

    def add(self, trial: Trial) -> None:
        """Add a trial; those of equal needs run in the order in which they were added."""
        self._stamps[trial.id] = self.store.stamp(trial.id)
        self._queues.setdefault(trial.needs, deque()).append(trial)

    def __bool__(self) -> bool:
        """Whether trials are left to take or to wait for."""
        return bool(self._elsewhere) or any(self._queues.values())

    def take(self, fits: Callable[[Needs], bool] = lambda needs: True) -> Assignment | None:
        """Claim the next trial whose needs fit; None if there is none now."""
        for needs, queue in self._queues.items():
            while queue and fits(needs):
                assignment = self._claim(queue.popleft())
                if assignment is not None:
                    return assignment
        return self._look_elsewhere(fits)

    def finish(self, assignment: Assignment, row: Row) -> None:
        """Write the row of a trial, and release it."""
        self.store.finish(row)
        assignment.lock.release()
        self.observer.finished(assignment.trial, row)

    def _look_elsewhere(self, fits: Callable[[Needs], bool]) -> Assignment | None:
        """Claim a trial that another run held and did not end."""
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS:
            return None
        for _ in range(len(self._elsewhere)):
            trial = self._elsewhere.popleft()
            if not fits(trial.needs):
                self._elsewhere.append(trial)
            elif (assignment := self._claim(trial, known=True)) is not None:
                return assignment
        self._looked = now
        if now - self._named >= NAME_SECONDS:
            self._named = now
            for trial in self._elsewhere:
                self._name_holder(trial)
        return None

    def _name_holder(self, trial: Trial) -> None:
        """Report who holds a trial, unless already reported."""
        holder = self.store.holder(trial.id)
        if self._holders.get(trial.id) != holder:
            self._holders[trial.id] = holder
            self.observer.waits(trial, holder)

    def _claim(self, trial: Trial, known: bool = False) -> Assignment | None:
        """Claim a trial, unless another run holds it or has ended it."""
        lock = self.store.claim(trial.id)
        if lock is None:
            self._elsewhere.append(trial)
            if not known:
                self.observer.held(trial)
                self._name_holder(trial)
            return None
        try:
            row = self._ended_meanwhile(trial)
            if row is None:
                assignment = Assignment(trial, self.store.begin(trial), lock)
        except BaseException:
            lock.release()
            raise
        if row is not None:
            lock.release()
            self.observer.ended_elsewhere(trial, row)
            return None
        if trial.unsupported is not None:
            self.finish(assignment, trial.row("skipped", trial.unsupported))
            return None
        if trial.fault is not None:
            self.finish(assignment, trial.row("error", trial.fault))
            return None
        return assignment

    def _ended_meanwhile(self, trial: Trial) -> Row | None:
        """Return the row that another run wrote since this one started, if it is final."""
        row = self.store.row(trial.id)
        if row is None or row.status in RESUMABLE:
            return None
        untouched = self.store.stamp(trial.id) == self._stamps[trial.id]
        return None if row.status in FAILED and untouched else row

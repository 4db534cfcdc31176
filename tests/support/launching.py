"""Workers that end at once, and observers that remember, for tests of launchers."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from harness.files.disk import write_atomically
from harness.files.locks import Lock
from harness.launchers import Observer
from harness.launchers.processes import Process, Starter
from harness.planning.trial import Trial
from harness.row import Row


class Ended:
    """A process that has ended."""

    pid = 2**30  # beyond what a system gives

    def __init__(self, code: int, polls: int) -> None:
        self.code = code
        self.polls = polls

    def poll(self) -> int | None:
        self.polls -= 1
        return None if self.polls >= 0 else self.code

    def wait(self, timeout: float | None = None) -> int:
        self.polls = 0
        return self.code

    def terminate(self) -> None:
        pass


class Instant:
    """Starts workers that write their row at once and are seen to run for some polls.

    Attributes:
        started: the trial, and the worker's environment, of each in order.
    """

    def __init__(
        self,
        polls: int = 0,
        during: Callable[[Trial], None] = lambda trial: None,
        row: Callable[[Trial], Row] = lambda trial: trial.row("ok"),
    ) -> None:
        self.polls = polls
        self.during = during
        self.row = row
        self.started: list[tuple[Trial, dict[str, str]]] = []
        self.closed = False

    def start(self, arguments, environment, log, lock) -> Ended:
        folder = Path(arguments[0])
        trial = Trial.model_validate(json.loads((folder / "trial.json").read_text()))
        self.started.append((trial, environment))
        self.during(trial)
        write_atomically(folder / "row.json", self.row(trial).model_dump_json().encode())
        return Ended(0, self.polls)

    def close(self) -> None:
        self.closed = True


def start_task(
    starter: Starter, folder: Path, task: str, arguments: Sequence[str], **environment: str
) -> Process:
    """Start a worker that finds modules in ``folder``, which gets the log and lock of its task."""
    environment = os.environ | {"PYTHONPATH": str(folder)} | environment
    with open(folder / f"{task}.log", "ab") as log:
        lock = Lock(folder / f"{task}.lock")
        process = starter.start(arguments, environment, log, lock)
    os.close(lock.fileno())  # the worker holds it alone now
    return process


class Heard(Observer):
    """Remembers what happened to which seed."""

    def __init__(self) -> None:
        self.events: list[tuple] = []

    def started(self, trial) -> None:
        self.events.append(("started", trial.seed))

    def finished(self, trial, row) -> None:
        self.events.append(("finished", trial.seed, row.status))

    def held(self, trial) -> None:
        self.events.append(("held", trial.seed))

    def waits(self, trial, holder) -> None:
        self.events.append(("waits", trial.seed, holder))

    def ended_elsewhere(self, trial, row) -> None:
        self.events.append(("ended elsewhere", trial.seed, row.status))

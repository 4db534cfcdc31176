"""A worker forked from the tests: what a spawned one does, without its seconds of imports."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from harness.files.locks import Lock
from harness.launchers.ending import row_of
from harness.launchers.memory import MemoryWatch
from harness.planning.trial import Trial
from harness.row import Row
from harness.storage.store import Store
from harness.worker import __main__ as worker


@dataclass
class Forked:
    """One worker on one trial, in a session of its own."""

    trial: Trial
    folder: Path
    pid: int
    memory: MemoryWatch

    def row(self, patience: float = 120.0) -> Row:
        """Wait for the end; return the row, as the launcher would write it."""
        return row_of(self.trial, self.folder, self.code(patience), memory=self.memory)

    def code(self, patience: float = 120.0) -> int:
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                with suppress(ProcessLookupError):
                    os.killpg(self.pid, signal.SIGKILL)
                return os.waitstatus_to_exitcode(status)
            self.memory.look()
            time.sleep(0.01)
        os.killpg(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        raise AssertionError(f"the worker on {self.trial.model} did not end")

    @property
    def log(self) -> str:
        return (self.folder / "log.txt").read_text(errors="replace")


def fork(store: Store, trial: Trial, lock: Lock | None = None, **more: object) -> Forked:
    """Start a worker on a trial, which may hold its lock."""
    folder = store.begin(trial)
    pid = os.fork()
    if pid == 0:
        _be_worker(folder, ["--lock", str(lock.fileno())] if lock else [])
    return Forked(trial, folder, pid, MemoryWatch(pid, **more))


def _be_worker(folder: Path, more: list[str]) -> None:
    try:
        os.setsid()
        log = os.open(folder / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        sys.stdout = open(1, "w", closefd=False)
        sys.stderr = open(2, "w", closefd=False)
        sys.argv = ["worker", str(folder), "--threads", "1", *more]
        worker.main()
    finally:
        os._exit(1)

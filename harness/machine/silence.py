"""Duration of a worker's silence, by a clock that runs only while the watching process does.

A machine, a container or a group of processes may be paused for hours, which is not silence. So the
time between two polls counts as a moment at most.

Nothing slow is imported: ``harness.machine.watcher`` is an interpreter with only this file.
"""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

FILE = "progress.json"
"""File in which a worker reports its progress."""

LONGEST_GAP = 1.0
"""Maximum seconds that the time between two polls counts; polls are far more frequent."""


class RunningClock:
    """Seconds in which this process was running and the watched one not stopped.

    Args:
        stopped: whether the watched process is stopped (SIGSTOP).
        now: seconds of a monotonic clock.

    Attributes:
        stopped_for: seconds since the process was stopped, 0 while it is not.
    """

    def __init__(
        self,
        stopped: Callable[[], bool] = lambda: False,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.stopped_for = 0.0
        self._stopped = stopped
        self._now = now
        self._looked = now()
        self._awake = 0.0

    def __call__(self) -> float:
        """Return the seconds, as of this poll."""
        now = self._now()
        gap = min(now - self._looked, LONGEST_GAP)
        self._looked = now
        if self._stopped():
            self.stopped_for += gap
        else:
            self.stopped_for = 0.0
            self._awake += gap
        return self._awake


class Silence:
    """Duration of a worker's silence, by a clock that does not jump as the wall clock may.

    Args:
        folder: of the trial.
        now: seconds of a clock; by default of one that runs only while this process does.
    """

    def __init__(
        self, folder: str | os.PathLike[str], now: Callable[[], float] | None = None
    ) -> None:
        self._path = os.path.join(folder, FILE)
        self._now = now or RunningClock()
        self._seen = self._look()
        self._last_report = self._now()

    @property
    def seconds(self) -> float:
        """Seconds since the worker's last report was first seen, or since the beginning."""
        now = self._now()
        if (seen := self._look()) != self._seen:
            self._seen = seen
            self._last_report = now
        return now - self._last_report

    def _look(self) -> tuple[int, int]:
        try:
            found = os.stat(self._path)
        except OSError:
            return 0, 0
        return found.st_mtime_ns, found.st_size


def is_stopped(pid: int) -> bool:
    """Return whether a process is stopped, by SIGSTOP or a debugger; only on Linux."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The program name, in parentheses, may contain anything.
            return file.read().rpartition(b")")[2].split()[0] in (b"T", b"t")
    except (OSError, IndexError):
        return False

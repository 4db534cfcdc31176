"""How long a worker has said nothing, by a clock that runs only while the one who watches does.

A machine, a container or a group of processes may be paused for hours: when it goes on, nobody was
silent. So the time between two looks counts for a moment at most.

Nothing is imported that takes time: ``harness.machine.watcher`` is an interpreter with this file
alone.
"""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

FILE = "progress.json"
"""Where a worker says that it is alive, and where it is."""

LONGEST_GAP = 1.0
"""Seconds that the time between two looks counts at most; one looks far more often."""


class WakingClock:
    """Seconds while this process was awake, and that which it watches not stopped.

    Args:
        stopped: whether somebody has stopped the process that is watched (SIGSTOP).
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
        """Return the seconds, as of this look."""
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
    """How long a worker has said nothing, by a clock that does not jump as the wall clock may.

    Args:
        folder: of the trial.
        now: seconds of a clock; by default of one that runs only while this process does.
    """

    def __init__(
        self, folder: str | os.PathLike[str], now: Callable[[], float] | None = None
    ) -> None:
        self._path = os.path.join(folder, FILE)
        self._now = now or WakingClock()
        self._seen = self._look()
        self._heard = self._now()

    @property
    def seconds(self) -> float:
        """Seconds since this was first seen of the worker's last word, or since the beginning."""
        now = self._now()
        if (seen := self._look()) != self._seen:
            self._seen = seen
            self._heard = now
        return now - self._heard

    def _look(self) -> tuple[int, int]:
        try:
            found = os.stat(self._path)
        except OSError:
            return 0, 0
        return found.st_mtime_ns, found.st_size


def is_stopped(pid: int) -> bool:
    """Return whether a process is stopped, by SIGSTOP or a debugger, as far as Linux tells."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The name of the program, in parentheses, may hold anything.
            return file.read().rpartition(b")")[2].split()[0] in (b"T", b"t")
    except (OSError, IndexError):
        return False

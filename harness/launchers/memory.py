"""Detection of a worker that the kernel killed because memory ran out."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

CGROUPS = Path("/sys/fs/cgroup")
PROC = Path("/proc")


class MemoryWatch:
    """Monitors the memory of a worker, to distinguish the OOM killer from other kills.

    Args:
        pid: of the worker.
        kills: number of OOM kills so far, or None where the kernel does not report it.

    Attributes:
        peak: maximum observed resident bytes of the worker.
    """

    def __init__(self, pid: int, kills: Callable[[], int | None] | None = None) -> None:
        self._kills = kills or oom_kills
        self._counts = deque([self._kills()], maxlen=2)
        self._process: psutil.Process | None = None
        with suppress(psutil.Error):
            self._process = psutil.Process(pid)
        self.peak = 0

    def look(self) -> None:
        """Sample the memory of the worker and the number of kills.

        A dying process has released its memory, though it may take a while to end.
        """
        kills = self._kills()
        with suppress(psutil.Error):
            resident = self._process.memory_info().rss if self._process else 0
            if resident:
                self._counts.append(kills)
                self.peak = max(self.peak, resident)

    @property
    def ran_out(self) -> bool:
        """Whether an OOM kill coincided with the worker's end.

        That is since the last look but one at which it had memory, for the last may have fallen
        between the kill and the death. What was killed earlier in the control group was another's.
        """
        now, before = self._kills(), self._counts[0]
        return now is not None and before is not None and now > before


def oom_kills(cgroups: Path = CGROUPS, proc: Path = PROC) -> int | None:
    """Return the number of OOM kills in this process's control group.

    Without a control group: of the machine. None if it is not reported.
    """
    for path in (*_counters(cgroups, proc), proc / "vmstat"):
        with suppress(OSError):
            for line in path.read_text().splitlines():
                name, _, count = line.partition(" ")
                if name == "oom_kill":
                    return int(count)
    return None


def _counters(cgroups: Path, proc: Path) -> list[Path]:
    """Return the files of this process's control group that count: of version 2, of version 1."""
    found = []
    with suppress(OSError):
        for line in (proc / "self/cgroup").read_text().splitlines():
            _, controllers, group = line.split(":", 2)
            if not controllers:
                found.append(cgroups / group.lstrip("/") / "memory.events")
            elif "memory" in controllers.split(","):
                found.append(cgroups / "memory" / group.lstrip("/") / "memory.oom_control")
    return found

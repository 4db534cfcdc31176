"""What a worker says while it works: a small file that the driver and ``harness status`` read."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

FILE = "progress.json"
INTERVAL = 0.2
"""Seconds between two writings; more often is not seen by anybody."""


@dataclass(frozen=True)
class Progress:
    """Where a trial is.

    Attributes:
        phase: "setup", "train", "eval" and so on.
        fraction: of the budget used.
        losses: means over the last timed window.
        images_per_second: of training, on the clock.
        pid: process of the worker.
    """

    phase: str = "setup"
    fraction: float = 0.0
    losses: dict[str, float] = field(default_factory=dict)
    images_per_second: float = 0.0
    pid: int = 0


class Interrupted(Exception):
    """The trial was asked to stop; it can be resumed."""


class Heartbeat:
    """Tells from the worker that it is alive, and where it is.

    Args:
        folder: of the trial.
        stopped: whether the worker has been asked to stop.
    """

    def __init__(self, folder: Path, stopped: Callable[[], bool] = lambda: False) -> None:
        self.stopped = stopped
        self._path = folder / FILE
        self._last = Progress(pid=os.getpid())
        self._written = 0.0

    def tell(self, progress: Progress) -> None:
        """Say where the trial is now."""
        self._last = progress
        self._write(force=True)

    def beat(self) -> None:
        """Say that the trial is alive where it was; raises ``Interrupted`` if it shall stop."""
        if self.stopped():
            raise Interrupted
        self._write()

    def _write(self, force: bool = False) -> None:
        now = time.monotonic()
        if force or now - self._written >= INTERVAL:
            self._path.write_text(json.dumps(asdict(self._last) | {"pid": os.getpid()}))
            self._written = now


def read_progress(folder: Path) -> Progress | None:
    """Return what the worker on ``folder`` said last, or None if it has said nothing yet."""
    try:
        return Progress(**json.loads((folder / FILE).read_text()))
    except (OSError, ValueError, TypeError):
        # Not there yet, or caught in the middle of being written.
        return None


def last_heartbeat(folder: Path) -> float:
    """Return the time of the last word from the worker, in seconds of ``time.time``, or 0."""
    try:
        return (folder / FILE).stat().st_mtime
    except OSError:
        return 0.0

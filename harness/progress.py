"""What a worker says while it works: a small file that the driver and ``harness status`` read."""

from __future__ import annotations

import faulthandler
import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import IO

FILE = "progress.json"
HANG = "hang.txt"
"""Where a worker that was silent for too long leaves what each of its threads was doing."""

STOPPED_PHASE = "stopped"
"""Phase of a worker that was asked to stop, and has."""

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
        self._folder = folder
        self._last = Progress(pid=os.getpid())
        self._written = 0.0
        self._patience = 0.0
        self._hang: IO[str] | None = None

    def watch(self, patience: float) -> None:
        """End this process when it has been silent for ``patience`` seconds from now on.

        A thread without the GIL counts the time, so it also ends a worker that holds it for ever,
        or whose driver is dead, and the wall clock may jump. It leaves ``hang.txt``.
        """
        self._hang = open(self._folder / HANG, "w")  # noqa: SIM115 - open as long as the process
        self._patience = patience
        self._rearm()

    def tell(self, progress: Progress) -> None:
        """Say where the trial is now."""
        self._last = progress
        self._write(force=True)

    def beat(self) -> None:
        """Say that the trial is alive where it was; raises ``Interrupted`` if it shall stop."""
        if self.stopped():
            raise Interrupted
        self._write()

    def tell_stopped(self) -> None:
        """Say that the trial was stopped where it was, as it was asked to."""
        self.tell(replace(self._last, phase=STOPPED_PHASE))

    def _write(self, force: bool = False) -> None:
        now = time.monotonic()
        if force or now - self._written >= INTERVAL:
            # A full disk must not end the trial here, nor a folder that somebody removed.
            with suppress(OSError):
                self._folder.mkdir(parents=True, exist_ok=True)
                content = json.dumps(asdict(self._last) | {"pid": os.getpid()})
                (self._folder / FILE).write_text(content)
            self._written = now
            self._rearm()

    def _rearm(self) -> None:
        if self._hang is not None:
            faulthandler.dump_traceback_later(self._patience, exit=True, file=self._hang)


def read_progress(folder: Path) -> Progress | None:
    """Return what the worker on ``folder`` said last, or None if it has said nothing yet."""
    try:
        return Progress(**json.loads((folder / FILE).read_text()))
    except (OSError, ValueError, TypeError):
        # Not there yet, or caught in the middle of being written.
        return None


class Silence:
    """How long a worker has said nothing, by a clock that does not jump as the wall clock may.

    Args:
        folder: of the trial.
        now: seconds of a monotonic clock.
    """

    def __init__(self, folder: Path, now: Callable[[], float] = time.monotonic) -> None:
        self._path = folder / FILE
        self._now = now
        self._seen = self._look()
        self._heard = now()

    @property
    def seconds(self) -> float:
        """Seconds since this was first seen of the worker's last word, or since the beginning."""
        if (seen := self._look()) != self._seen:
            self._seen = seen
            self._heard = self._now()
        return self._now() - self._heard

    def _look(self) -> tuple[int, int]:
        try:
            found = self._path.stat()
        except OSError:
            return 0, 0
        return found.st_mtime_ns, found.st_size

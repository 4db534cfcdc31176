"""What a worker says while it works: a small file that the driver and ``harness status`` read."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from harness.machine.silence import FILE as FILE
from harness.machine.silence import Silence as Silence
from harness.machine.watch import Watch
from harness.machine.watcher import HANG as HANG

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
        warning: what the user should hear once.
    """

    phase: str = "setup"
    fraction: float = 0.0
    losses: dict[str, float] = field(default_factory=dict)
    images_per_second: float = 0.0
    pid: int = 0
    warning: str = ""


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
        self._watch: Watch | None = None

    def watch(self, patience: float) -> None:
        """End this process when it has been silent for ``patience`` seconds from now on."""
        self._watch = Watch(self._folder, patience)

    def paused(self, begin: float, end: float) -> float:
        """Return for how many seconds between two monotonic times this process was paused.

        That is 0 where it is not watched.
        """
        return self._watch.paused(begin, end) if self._watch else 0.0

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


def read_progress(folder: Path) -> Progress | None:
    """Return what the worker on ``folder`` said last, or None if it has said nothing yet."""
    try:
        return Progress(**json.loads((folder / FILE).read_text()))
    except (OSError, ValueError, TypeError):
        # Not there yet, or caught in the middle of being written.
        return None

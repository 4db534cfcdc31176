"""The progress of a worker: a small file that the driver and ``harness status`` read."""

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
"""Phase of a worker that has stopped on request."""

INTERVAL = 0.2
"""Seconds between two writes."""


@dataclass(frozen=True)
class Progress:
    """The progress of a trial.

    Attributes:
        phase: "setup", "train", "eval" and so on.
        fraction: of the budget used.
        losses: means over the last timed window.
        images_per_second: of training, on the clock.
        pid: process of the worker.
        warning: to be printed to the user once.
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
    """Reports from the worker that it is alive, and its progress.

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
        """From now on, end this process when it has been silent for ``patience`` seconds."""
        self._watch = Watch(self._folder, patience)

    def paused(self, begin: float, end: float) -> float:
        """Return for how many seconds between two monotonic times this process was paused.

        That is 0 if there is no watcher.
        """
        return self._watch.paused(begin, end) if self._watch else 0.0

    def report(self, progress: Progress) -> None:
        """Report the progress of the trial."""
        self._last = progress
        self._write(force=True)

    def beat(self) -> None:
        """Report that the trial is alive; raises ``Interrupted`` if it is to stop."""
        if self.stopped():
            raise Interrupted
        self._write()

    def report_stopped(self) -> None:
        """Report that the trial was stopped on request."""
        self.report(replace(self._last, phase=STOPPED_PHASE))

    def _write(self, force: bool = False) -> None:
        now = time.monotonic()
        if force or now - self._written >= INTERVAL:
            # Neither a full disk nor a removed folder must end the trial here.
            with suppress(OSError):
                self._folder.mkdir(parents=True, exist_ok=True)
                content = json.dumps(asdict(self._last) | {"pid": os.getpid()})
                (self._folder / FILE).write_text(content)
            self._written = now


def read_progress(folder: Path) -> Progress | None:
    """Return the last progress of the worker on ``folder``, or None if there is none yet."""
    try:
        return Progress(**json.loads((folder / FILE).read_text()))
    except (OSError, ValueError, TypeError):
        # Missing, or in the middle of being written.
        return None

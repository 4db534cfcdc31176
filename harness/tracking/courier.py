"""Sends rows to MLflow while trials run, so that no trial waits for a server."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Self

from harness.row import Row
from harness.tracking.tracker import Tracker

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 30.0
"""How long the end of a run waits for a store that takes nothing."""


class Courier:
    """Takes rows to a tracker in a thread of its own, in order, from ``with`` to its end.

    What a busy store refuses is tried once more, after all others. The end waits until that is
    done, or until nothing happened for ``PATIENCE_SECONDS``; the rest is left to ``harness sync``.
    """

    def __init__(self, tracker: Tracker, patience: float = PATIENCE_SECONDS) -> None:
        self._tracker = tracker
        self._patience = patience
        self._waiting: SimpleQueue[tuple[Row, Path] | None] = SimpleQueue()
        self._delivered = threading.Event()
        self._thread = threading.Thread(target=self._deliver, name="MLflow", daemon=True)

    def send(self, row: Row, folder: Path) -> None:
        """Leave a trial to be sent; see ``Tracker.log``."""
        self._waiting.put((row, folder))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._waiting.put(None)
        while self._thread.is_alive():
            self._delivered.clear()
            self._thread.join(0.01)
            if self._thread.is_alive() and not self._delivered.wait(self._patience):
                log.warning(
                    "MLflow at %s took nothing for %g s: %d trials or more are left to "
                    "'harness sync'",
                    self._tracker.address,
                    self._patience,
                    max(1, self._waiting.qsize() - 1),
                )
                return

    def _deliver(self) -> None:
        refused = []
        while (trial := self._waiting.get()) is not None:
            if not self._tracker.log(*trial):
                refused.append(trial)
            self._delivered.set()
        for trial in refused:
            if not self._tracker.log(*trial):
                break
            self._delivered.set()
        self._delivered.set()

"""Sends rows to MLflow in the background, so that no trial waits for a server."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Self

from harness.row import Row
from harness.tracking.tracker import Tracker

log = logging.getLogger(__name__)

END_SECONDS = 45.0
"""Maximum seconds that the end of a run waits for MLflow."""


class BackgroundSender:
    """Sends rows and the report to a tracker in a background thread, in order.

    What a busy store refuses is retried once, after all others. ``close`` waits until that is done,
    for at most ``patience``; the rest is left to ``harness sync``.

    Args:
        tracker: sends them.
        patience: seconds for everything that is left at the end.
    """

    def __init__(self, tracker: Tracker, patience: float = END_SECONDS) -> None:
        self._tracker = tracker
        self._patience = patience
        self._waiting: SimpleQueue[Callable[[], bool] | None] = SimpleQueue()
        self._left, self._sent = 0, 0
        self._thread = threading.Thread(target=self._deliver, name="MLflow", daemon=True)
        self._thread.start()

    def send(self, row: Row, folder: Path) -> None:
        """Queue a trial to be sent; see ``Tracker.log``."""
        self._leave(lambda: self._tracker.log(row, folder))

    def send_report(self, benchmark: str, folder: Path) -> None:
        """Queue a report to be sent; see ``Tracker.log_report``."""
        self._leave(lambda: self._tracker.log_report(benchmark, folder))

    def close(self) -> None:
        """Wait for what is queued, and warn about what was not sent."""
        self._waiting.put(None)
        self._thread.join(self._patience)
        if late := self._thread.is_alive():
            self._tracker.give_up()
        if unsent := self._left - self._sent:
            log.warning(
                "MLflow at %s %s: %d trials or reports are left to 'harness sync'",
                self._tracker.address,
                f"needs more than {self._patience:g} s" if late else "did not take everything",
                unsent,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _leave(self, send: Callable[[], bool]) -> None:
        self._left += 1
        self._waiting.put(send)

    def _deliver(self) -> None:
        refused = []
        while (send := self._waiting.get()) is not None:
            if send():
                self._sent += 1
            else:
                refused.append(send)
        for send in refused:
            if not send():
                break
            self._sent += 1

"""Where trials run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.progress import Progress
    from harness.row import Row
    from harness.trial import Trial


class Observer:
    """Hears of trials while they run; each method may be overridden."""

    def started(self, trial: Trial) -> None:
        """Hear that a worker was started on a trial."""

    def progressed(self, trial: Trial, progress: Progress) -> None:
        """Hear where a trial is."""

    def finished(self, trial: Trial, row: Row) -> None:
        """Hear that a trial ended, with its row."""

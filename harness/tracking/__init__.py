"""MLflow tracking of results; the folders are the source of truth and do not need it."""

from __future__ import annotations

from harness.tracking.database import ARTIFACTS, DATABASE
from harness.tracking.frame import tracked_frame
from harness.tracking.marker import MARKER
from harness.tracking.sender import BackgroundSender
from harness.tracking.tracker import Tracker, open_tracker
from harness.tracking.unsent import SyncResult, sync, sync_reports

__all__ = [
    "ARTIFACTS",
    "DATABASE",
    "MARKER",
    "BackgroundSender",
    "SyncResult",
    "Tracker",
    "open_tracker",
    "sync",
    "sync_reports",
    "tracked_frame",
]

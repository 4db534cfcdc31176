"""MLflow, where people look at results; the folders are the truth and can do without it."""

from __future__ import annotations

from harness.tracking.courier import Courier
from harness.tracking.database import ARTIFACTS, DATABASE
from harness.tracking.frame import tracked_frame
from harness.tracking.marker import MARKER
from harness.tracking.tracker import Tracker, open_tracker
from harness.tracking.unsent import Synced, sync, sync_reports

__all__ = [
    "ARTIFACTS",
    "DATABASE",
    "MARKER",
    "Courier",
    "Synced",
    "Tracker",
    "open_tracker",
    "sync",
    "sync_reports",
    "tracked_frame",
]

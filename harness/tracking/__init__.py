"""MLflow, where people look at results; the folders are the truth and can do without it."""

from __future__ import annotations

from harness.tracking.courier import Courier
from harness.tracking.frame import tracked_frame
from harness.tracking.tracker import (
    ARTIFACTS,
    DATABASE,
    MARKER,
    Synced,
    Tracker,
    open_tracker,
    sync,
)

__all__ = [
    "ARTIFACTS",
    "DATABASE",
    "MARKER",
    "Courier",
    "Synced",
    "Tracker",
    "open_tracker",
    "sync",
    "tracked_frame",
]

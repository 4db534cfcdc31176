"""The marker beside a trial or a report that records its run in MLflow."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from harness.errors import UserError
from harness.files.disk import write_json
from harness.files.untrusted import read_regular

MARKER = "tracked.json"


def mark(folder: Path, address: str, run: str, sent: Path) -> None:
    """Record in a folder that a run has the current content of a file.

    Args:
        folder: where the marker is left.
        address: of the store, for display.
        run: its id, which no other run of any store has.
        sent: the file by which a change is detected: row.json, or a report's manifest.
    """
    write_json(folder / MARKER, {"uri": address, "run": run, _kind(sent): _digest(sent)})


def marked_run(folder: Path, sent: Path) -> str | None:
    """Return the run that has the current content of a file; None if none is known."""
    try:
        marker = json.loads(read_regular(folder / MARKER))
        if not isinstance(marker, dict) or marker.get(_kind(sent)) != _digest(sent):
            return None
    except (UserError, ValueError, RecursionError):
        return None
    run = marker.get("run")
    return run if isinstance(run, str) else None


def _kind(sent: Path) -> str:
    return sent.stem.lower()


def _digest(path: Path) -> str:
    return hashlib.sha256(read_regular(path)).hexdigest()

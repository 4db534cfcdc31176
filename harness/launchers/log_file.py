"""A worker's log, bounded in size."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

FILE = "log.txt"
LIMIT = 16 * 2**20
KEPT = 2**20
"""Bytes kept of the beginning and of the end of a log that grew beyond ``LIMIT``."""


def bound(folder: Path, limit: int = LIMIT, kept: int = KEPT) -> None:
    """Cut the middle out of the log in ``folder`` if it is longer than ``limit`` bytes.

    The worker may continue to append; a little of what it writes during the cut may be lost.
    """
    path = folder / FILE
    with suppress(OSError):
        size = path.stat().st_size
        if size <= limit:
            return
        with open(path, "rb") as file:
            file.seek(size - kept)
            end = file.read()
        os.truncate(path, kept)
        append(folder, f"\n... {size - 2 * kept} bytes are left out here ...\n".encode() + end)


def append(folder: Path, content: bytes) -> None:
    """Add to the end of the log."""
    with open(folder / FILE, "ab") as file:
        file.write(content)

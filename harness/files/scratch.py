"""Temporary folders that are written first and then moved into place, and their cleanup."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

_RANDOM = "[a-z0-9_]{8}"
"""What ``mkdtemp`` puts after a prefix."""


@contextmanager
def scratch_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """Yield an empty folder in ``parent``, removed at the end; first remove leftovers of kills.

    Each is locked as long as its process lives, and the parent is locked while one is created, so
    that no other process takes a new one for a leftover. Where folders cannot be locked, as on some
    network file systems, leftovers are not removed.
    """
    shared = _lock(parent, wait=True)
    try:
        if shared is not None:
            _remove_left(parent, prefix)
        folder = Path(mkdtemp(dir=parent, prefix=prefix))
        own = _lock(folder)
    finally:
        _release(shared)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        _release(own)


def _remove_left(parent: Path, prefix: str) -> None:
    for place in parent.iterdir():
        if not re.fullmatch(re.escape(prefix) + _RANDOM, place.name):
            continue
        lock = _lock(place)
        if lock is not None:
            shutil.rmtree(place, ignore_errors=True)
            _release(lock)


def _lock(folder: Path, wait: bool = False) -> int | None:
    """Return the descriptor of a locked folder; None if that is held, or not a folder."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(folder, flags)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _release(descriptor: int | None) -> None:
    if descriptor is not None:
        os.close(descriptor)

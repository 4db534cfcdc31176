"""Locks between drivers that share a results folder, and between a dead driver and the next."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Self


class Lock:
    """Holds a file for one process and those that inherit it; a holder that dies lets go.

    It is flock(2), which belongs to the open file: a worker that inherits the descriptor holds the
    lock on after its driver was killed, so that nobody else begins where it still writes. (That is
    why this is not ``filelock``, which keeps its descriptor to itself.)

    Args:
        path: made if it is missing and never removed, for another may be waiting for it.
        wait: whether to wait for the one who holds it.

    Raises:
        BlockingIOError: somebody holds it, and ``wait`` is false.
    """

    def __init__(self, path: Path, wait: bool = False) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BaseException:
            os.close(self._descriptor)
            raise

    def fileno(self) -> int:
        """Return the descriptor, for a process that shall hold the lock too."""
        return self._descriptor

    def release(self) -> None:
        """Let go, for every process that inherited the lock."""
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.release()


def is_held(path: Path) -> bool:
    """Return whether somebody holds a lock; the file is made if it is missing."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False

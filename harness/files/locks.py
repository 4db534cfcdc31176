"""Locks between drivers that share a results folder, and between a dead driver and the next."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import platform
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Self

log = logging.getLogger(__name__)

SILENT_SECONDS = 5.0
"""Seconds of waiting for a lock before a warning."""
POLL_SECONDS = 0.05


class Lock:
    """An exclusive lock on a file, shared with processes that inherit it, released when they die.

    It is flock(2), which belongs to the open file: a worker that inherits the descriptor holds the
    lock on after its driver was killed, so that no other run starts where it still writes. (That is
    why this is not ``filelock``, which keeps its descriptor to itself.)

    The file records who took it, and when; ``holder`` describes it.

    Args:
        path: created if it is missing and never removed, because another process may wait for it.
        wait: whether to wait for its holder, who is named in a warning.

    Raises:
        BlockingIOError: it is held, and ``wait`` is false.
    """

    def __init__(self, path: Path, wait: bool = False) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            self._take(path, wait)
        except BaseException:
            os.close(self._descriptor)
            raise
        self._sign()

    def _take(self, path: Path, wait: bool) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not wait:
                raise
            self._await(path)

    def _await(self, path: Path) -> None:
        deadline = time.monotonic() + SILENT_SECONDS
        while time.monotonic() < deadline:
            with suppress(BlockingIOError):
                return fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            time.sleep(POLL_SECONDS)
        log.warning("waiting for %s, which is held by %s", path, holder(path))
        return fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def _sign(self) -> None:
        now = datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
        record = {"process": os.getpid(), "host": platform.node(), "since": now}
        # The lock works without it, on a full disk for instance.
        with suppress(OSError):
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, json.dumps(record).encode(), 0)

    def fileno(self) -> int:
        """Return the descriptor, for a process that is to hold the lock too."""
        return self._descriptor

    def release(self) -> None:
        """Release the lock, for every process that inherited it."""
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.release()


def is_held(path: Path) -> bool:
    """Return whether a lock is held; the file is created if it is missing."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def holder(path: Path) -> str:
    """Describe who holds a lock: "process 42 (sleep 600) since 2026-01-31 12:00:00".

    On Linux these are the processes that hold it now, such as a worker whose driver was killed;
    elsewhere, and for locks of other machines or users, the process that took it.
    """
    record = _record(path)
    since = f" since {record['since']}" if "since" in record else ""
    taker = record.get("process")
    pids = list(_holders(path))
    if not pids:
        host = record.get("host", platform.node())
        place = "" if host == platform.node() else f" of {host}"
        return f"process {taker}{place}{since}" if taker else "a process that cannot be seen here"
    names = ", ".join(map(_describe_process, pids[:3])) + (", ..." if len(pids) > 3 else "")
    gone = taker is not None and taker not in pids
    return f"{names}{since}" + (f"; process {taker}, which took it, has ended" if gone else "")


def _record(path: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        record = json.loads(path.read_bytes())
        return record if isinstance(record, dict) else {}
    return {}


def _holders(path: Path) -> Iterator[int]:
    """Yield the processes whose descriptors hold a lock, as far as Linux shows them."""
    with suppress(OSError):
        inode = path.stat().st_ino
        for process in sorted(int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit()):
            with suppress(OSError):
                for descriptor in Path(f"/proc/{process}/fd").iterdir():
                    # Waiting processes have it open too.
                    if descriptor.stat().st_ino == inode and _holds(process, descriptor.name):
                        yield process
                        break


def _holds(process: int, descriptor: str) -> bool:
    return "FLOCK" in Path(f"/proc/{process}/fdinfo/{descriptor}").read_text()


def _describe_process(pid: int) -> str:
    import psutil

    command = ""
    with suppress(psutil.Error):
        command = " ".join(psutil.Process(pid).cmdline())
    if len(command) > 80:
        command = f"{command[:77]}..."
    return f"process {pid} ({command})" if command else f"process {pid}"

"""Writing to disks: whole files or none, and what is said of a disk that takes no more."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.errors import Unwritable


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file atomically: a reader sees all of it or its predecessor, even after a crash.

    A missing folder, removed by a plugin or a user, is recreated.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_json(path: Path, content: Any) -> None:
    """Write ``content`` as indented JSON, atomically."""
    write_atomically(path, (json.dumps(content, indent=2) + "\n").encode())


def sync_names(folder: Path) -> None:
    """Flush the entries of a folder to the disk, if its file system supports it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def is_disk_full(error: BaseException) -> bool:
    """Return whether an error means a full file system or quota."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def disk_full_reason(folder: Path) -> str:
    """Return the reason, with a remedy, that the disk of ``folder`` is full."""
    return f"no space is left for {folder}; free some and run again to resume"


@contextmanager
def writing(folder: Path, remedy: str = "fix that and run again to resume") -> Iterator[None]:
    """Convert errors of writing to ``folder`` into ``Unwritable``."""
    try:
        yield
    except OSError as error:
        if is_disk_full(error):
            raise Unwritable(disk_full_reason(folder)) from None
        raise Unwritable(
            f"cannot write to {error.filename or folder}: {error.strerror}; {remedy}"
        ) from None

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
    """Write a file so that a reader sees all of it or its predecessor, also after a crash.

    A folder that is missing, because a plugin or a hand removed it, is made.
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
    """Put on the disk which files a folder holds, where its file system can be told to."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def is_disk_full(error: BaseException) -> bool:
    """Return whether a file system or a quota was full."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def disk_full_reason(folder: Path) -> str:
    """Return what happened when ``folder`` could not take more, and what to do."""
    return f"no space is left for {folder}; free some and run again to resume"


@contextmanager
def writing(folder: Path, remedy: str = "mend that and run again to resume") -> Iterator[None]:
    """Say as ``Unwritable`` what keeps the block from writing to ``folder``."""
    try:
        yield
    except OSError as error:
        if is_disk_full(error):
            raise Unwritable(disk_full_reason(folder)) from None
        raise Unwritable(
            f"cannot write to {error.filename or folder}: {error.strerror}; {remedy}"
        ) from None

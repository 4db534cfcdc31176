"""A control group whose processes have only so much memory; a test skips where none can be."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOTS = {
    Path("/sys/fs/cgroup/memory"): "memory.limit_in_bytes",
    Path("/sys/fs/cgroup"): "memory.max",
}
"""Where the groups of version 1 and of version 2 are, and what the limit is called there."""


@contextmanager
def memory_limit(limit: int) -> Iterator[Path]:
    """Yield the file which a process's number is written to, that it may use ``limit`` bytes."""
    name = f"genharness-test-{os.getpid()}"
    for root, file in ROOTS.items():
        group = root / name
        try:
            group.mkdir()
        except OSError as error:
            reason = error
            continue
        try:
            if (group / file).exists():
                (group / file).write_text(str(limit))
                yield group / "cgroup.procs"
                return
            reason = FileNotFoundError(group / file)
        finally:
            group.rmdir()
    pytest.skip(f"no control group can limit memory here: {reason}")

"""The end of a process of ours, whatever libraries and plugins left running in it."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import NoReturn

STOPPED = 75
"""Exit code of a worker that was asked to stop (EX_TEMPFAIL: try again later)."""

FULL = 74
"""Exit code of a worker that has no space for its row (EX_IOERR)."""


def leave(code: int) -> NoReturn:
    """End this process now: no thread or handler that others left may hold it up or break it."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit(code)

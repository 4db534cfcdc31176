"""Immediate exit of a process, whatever libraries and plugins left running in it."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import NoReturn

STOPPED = 75
"""Exit code of a worker that was asked to stop (EX_TEMPFAIL: try again later)."""

FULL = 74
"""Exit code of a worker without disk space for its row (EX_IOERR)."""


def exit_now(code: int) -> NoReturn:
    """End this process now, without waiting for threads or handlers that others left."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit(code)

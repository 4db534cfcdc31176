"""Standard input, output and error, which a shell may have closed (``2>&-``)."""

from __future__ import annotations

import os
import sys


def ensure_open() -> None:
    """Open the null device in place of each standard stream that is closed.

    Otherwise the next opened files, locks and sockets among them, get their numbers, and child
    processes use these as input and output; and Python has no ``sys.stderr``.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            descriptor = os.open(os.devnull, os.O_RDWR)
            if descriptor != number:
                os.dup2(descriptor, number)
                os.close(descriptor)
            os.set_inheritable(number, True)
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))

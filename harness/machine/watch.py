"""The worker's side of its watcher: starts it, and queries pauses."""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from harness.machine.watcher import HANG

log = logging.getLogger(__name__)

ANSWER_SECONDS = 2.0
"""Seconds that an answer may take; the watcher wakes up on a query."""

_TRACE = getattr(signal, "SIGRTMAX", signal.SIGUSR2)
"""Signal on which this process dumps the stack traces of its threads, whoever holds the GIL."""

_PROGRAM = (
    "import sys; sys.path.append(sys.argv.pop(1)); from harness.machine.watcher import main; main()"
)


class Watch:
    """From now on, ends this process when it has been silent for ``patience`` seconds.

    The watcher is a separate process (``harness.machine.watcher``), so it also ends a worker that
    holds the GIL forever, or whose driver is dead. It leaves ``hang.txt``.

    Args:
        folder: of the trial.
        patience: seconds, without those in which the machine, or both processes, were paused.
    """

    def __init__(self, folder: Path, patience: float) -> None:
        (folder / HANG).unlink(missing_ok=True)
        self._hang = open(folder / HANG, "a")  # noqa: SIM115 - open as long as the process
        faulthandler.register(_TRACE, file=self._hang, all_threads=True)
        self._channel, theirs = socket.socketpair()
        self._channel.settimeout(ANSWER_SECONDS)
        self._own = os.fstat(self._channel.fileno())
        root = str(Path(__file__).parents[2])
        arguments = [str(folder), str(os.getpid()), repr(patience), str(int(_TRACE))]
        with theirs:
            try:
                # It exists when this returns: the started process has forked it.
                subprocess.run(
                    [sys.executable, "-I", "-S", "-c", _PROGRAM, root, *arguments],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    check=True,
                )
            except (OSError, subprocess.SubprocessError) as error:
                # The driver watches too.
                log.warning("no watcher could be started: %s", error)
                self._channel.close()

    def paused(self, begin: float, end: float) -> float:
        """Return for how many seconds between two times the watcher or this process did not run.

        That is 0 if it is unknown.

        Args:
            begin: of ``time.monotonic()``.
            end: later.
        """
        with suppress(OSError, ValueError):
            # A plugin may have closed the channel, and reused its number.
            if not os.path.samestat(os.fstat(self._channel.fileno()), self._own):
                return 0.0
            self._channel.sendall(f"{begin!r} {end!r}".encode())
            return float(self._channel.recv(100))
        self._channel.close()
        return 0.0

"""The worker's side of its watcher: starts it, and asks it how long both were paused."""

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
"""How long an answer may take; the watcher is awake as soon as it is asked."""

_TRACE = getattr(signal, "SIGRTMAX", signal.SIGUSR2)
"""Signal upon which this process writes down what its threads do, whoever holds the GIL."""

_PROGRAM = (
    "import sys; sys.path.append(sys.argv.pop(1)); from harness.machine.watcher import main; main()"
)


class Watch:
    """Ends this process when it has been silent for ``patience`` seconds from now on.

    The watcher is a process of its own (``harness.machine.watcher``), so it also ends a worker that
    holds the GIL for ever, or whose driver is dead. It leaves ``hang.txt``.

    Args:
        folder: of the trial.
        patience: seconds; those do not count in which the machine, or both processes, were paused.
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
                # It is there when this returns: what was started has forked it.
                subprocess.run(
                    [sys.executable, "-I", "-S", "-c", _PROGRAM, root, *arguments],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    check=True,
                )
            except (OSError, subprocess.SubprocessError) as error:
                # The driver watches, too.
                log.warning("no watcher could be started: %s", error)
                self._channel.close()

    def paused(self, begin: float, end: float) -> float:
        """Return for how many seconds between two times the watcher did not run, or this process.

        That is 0 where nobody can tell.

        Args:
            begin: of ``time.monotonic()``.
            end: later.
        """
        with suppress(OSError, ValueError):
            # A plugin may have closed the channel, and opened something else by its number.
            if not os.path.samestat(os.fstat(self._channel.fileno()), self._own):
                return 0.0
            self._channel.sendall(f"{begin!r} {end!r}".encode())
            return float(self._channel.recv(100))
        self._channel.close()
        return 0.0

"""Watches one worker from a separate process: ends it when it has been silent for too long.

No thread of the worker can do this. A Python thread does not run while a model holds the GIL; one
without it (``faulthandler.dump_traceback_later``) counts the time in which the machine was paused,
too, and ends a healthy worker as soon as it continues. And the driver may be dead.

The watcher also knows when both were paused together, because it sleeps for a moment at a time: to
a query "BEGIN END", times of the monotonic clock, it replies with the seconds between them in which
it did not run, or saw the worker stopped.

It is an interpreter of a few MiB without any library, so nothing is imported here that takes time.
"""

from __future__ import annotations

import os
import select
import sys
import time

from harness.machine.silence import LONGEST_GAP, RunningClock, Silence, is_stopped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

HANG = "hang.txt"
"""File with the stack traces of a worker that was silent for too long."""

LOOK_SECONDS = 0.25
"""Seconds between two polls."""
TRACE_SECONDS = 2.0
"""Seconds that a worker has to dump its stack traces before it is killed."""

KILL = 9
MOST_PAUSES = 1_000
"""Number of pauses that are remembered; a worker queries those of the last second or so."""


class Pauses:
    """Times at which this process was suspended, or the watched one stopped."""

    def __init__(self) -> None:
        self._found: list[tuple[float, float]] = []
        self._looked = time.monotonic()

    def look(self, stopped: bool) -> None:
        """Record whether there was a pause since the last poll."""
        now = time.monotonic()
        if stopped or now - self._looked > LONGEST_GAP:
            self._found.append((self._looked, now))
            del self._found[:-MOST_PAUSES]
        self._looked = now

    def between(self, begin: float, end: float) -> float:
        """Return the seconds of pauses between two times."""
        return sum(max(0.0, min(end, last) - max(begin, first)) for first, last in self._found)


def main() -> None:
    """Watch until the worker has ended."""
    folder, worker, patience, signal = sys.argv[1:]
    # An orphan, so that a plugin that waits for any child does not wait for this one.
    if os.fork():
        os._exit(0)
    os.chdir("/")
    watch(folder, int(worker), float(patience), int(signal))


def watch(folder: str, worker: int, patience: float, signal: int) -> None:
    """Watch a worker, and end it when it has been silent for ``patience`` seconds.

    Args:
        folder: of the trial.
        worker: its process.
        patience: seconds, without those in which this process did not run.
        signal: makes the worker dump its stack traces.
    """
    stopped = False
    silence = Silence(folder, RunningClock(lambda: stopped, time.monotonic))
    pauses = Pauses()
    for asked in _looks(worker):
        was_stopped, stopped = stopped, is_stopped(worker)
        pauses.look(stopped or was_stopped)
        if asked:
            begin, end = map(float, asked.split())
            _answer(pauses.between(begin, end))
        if silence.seconds > patience:
            _end(folder, worker, patience, signal)


def _looks(worker: int) -> Iterator[bytes]:
    """Yield queries of the worker, or an empty one after a moment, until it has ended."""
    waited = [0]
    ended = os.pidfd_open(worker) if hasattr(os, "pidfd_open") else None
    if ended is not None:
        waited.append(ended)
    while True:
        ready = select.select(waited, [], [], LOOK_SECONDS)[0]
        if ended in ready or (ended is None and not _lives(worker)):
            return
        asked = b""
        if 0 in ready:
            asked = os.read(0, 100)
            if not asked:
                # A plugin may close all descriptors of its process.
                waited.remove(0)
        yield asked


def _lives(worker: int) -> bool:
    try:
        os.kill(worker, 0)
    except OSError:
        return False
    return True


def _answer(seconds: float) -> None:
    try:
        os.write(0, repr(seconds).encode())
    except OSError:
        pass


def _end(folder: str, worker: int, patience: float, signal: int) -> None:
    """Save the stack traces of the worker, and kill it."""
    path = os.path.join(folder, HANG)
    try:
        with open(path, "a") as file:
            file.write(f"The worker was silent for {patience:g} s.\n")
        os.kill(worker, signal)
        size = os.stat(path).st_size
        for _ in range(int(TRACE_SECONDS / 0.1)):
            time.sleep(0.1)
            before, size = size, os.stat(path).st_size
            if before == size > 100:
                break
    except OSError:  # the disk is full, or the worker has ended
        pass
    finally:
        try:
            os.kill(worker, KILL)
        except OSError:
            pass

"""What child processes of a worker, started by a plugin, must not inherit."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def isolate_children(lock: int | None) -> None:
    """Reset signal handlers in forks of this process, and let no child hold the trial's lock.

    Forks get the default handlers of signals: with the worker's own, ``terminate()`` and ``join()``
    of multiprocessing would wait forever. A daemon that a model leaves behind would hold the trial
    for as long as it lives, so forks close the lock, and executed programs do not inherit it.

    Args:
        lock: descriptor, if this process has one.
    """
    if lock is not None:
        os.set_inheritable(lock, False)
    file = None if lock is None else _file(lock)
    masks: list[set[int | signal.Signals]] = []

    def before() -> None:
        # Signals sent to a fork before it has its handlers are blocked until it has.
        masks.append(signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS))

    def in_parent() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, masks.pop())

    def in_child() -> None:
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        # A plugin may have closed it, and reused its number.
        if lock is not None and file is not None and _file(lock) == file:
            os.close(lock)
        in_parent()
        # Last: an exception in here, such as KeyboardInterrupt, would be ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)

    os.register_at_fork(before=before, after_in_parent=in_parent, after_in_child=in_child)


def _file(descriptor: int) -> tuple[int, int] | None:
    """Return the identity of a descriptor's file, or None if it is closed."""
    with suppress(OSError):
        found = os.fstat(descriptor)
        return found.st_dev, found.st_ino
    return None

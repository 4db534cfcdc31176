"""Imports what all workers import, and forks one for each order.

``python -m harness.launchers.fork_server LIBRARY...``, with the driver's socket as standard input.
"""

from __future__ import annotations

import ctypes
import errno
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
from dataclasses import dataclass

from harness.machine.standard_streams import ensure_open

PR_SET_PDEATHSIG = 1
"""Of <linux/prctl.h>."""


@dataclass(frozen=True)
class _Order:
    """A worker to be, as the driver sent it."""

    arguments: list[str]
    environment: dict[str, str]
    folder: str
    server: int
    log: int
    tell: int
    lock: int


def main() -> None:
    """Fork until the driver hangs up; become the worker in each fork."""
    ensure_open()
    channel = socket.socket(fileno=os.dup(0))
    for name in sys.argv[1:]:
        importlib.import_module(name)
    # What lives now lives in all forks: collecting it would copy its memory.
    gc.collect()
    gc.freeze()
    order = _serve(channel)
    if order is not None:
        _work(order)
    # Nothing is left to do or to write, and some libraries complain of what was frozen.
    os._exit(0)


def _serve(channel: socket.socket) -> _Order | None:
    """Return an order in the process that was forked for it, and None where the driver hung up."""
    workers: dict[int, tuple[int, int]] = {}
    while True:
        ready = select.select([channel.fileno(), *workers], [], [])[0]
        for descriptor in workers.keys() & ready:
            pid, tell = workers.pop(descriptor)
            _, status = os.waitpid(pid, 0)
            _say(tell, os.waitstatus_to_exitcode(status))
            _close(tell, descriptor)
        if channel.fileno() not in ready:
            continue
        message, descriptors, _, _ = socket.recv_fds(channel, 2**20, 3)
        if not message:
            return None
        log, tell, lock = descriptors
        order = _Order(**json.loads(message), server=os.getpid(), log=log, tell=tell, lock=lock)
        try:
            pid = os.fork()
        except OSError as error:
            _say(tell, -(error.errno or errno.EAGAIN))
            _close(log, tell, lock)
            continue
        if pid == 0:
            # The ends of others: they tell of a server's death by being closed.
            for descriptor, (_, told) in workers.items():
                _close(descriptor, told)
            channel.close()
            return order
        workers[os.pidfd_open(pid)] = pid, order.tell
        _close(log, lock)


def _work(order: _Order) -> None:
    """Be a worker that ends with this server, has another environment and seeds of its own."""
    import numpy as np

    _stop_with(order.server)
    os.setsid()
    _say(order.tell, os.getpid())
    os.close(order.tell)
    os.environ.clear()
    os.environ.update(order.environment)
    os.chdir(order.folder)
    # The one generator that a fork would share with its siblings: random's own is seeded anew.
    np.random.seed()
    be_worker(order.arguments, order.log, order.lock)


def be_worker(arguments: list[str], log: int, lock: int) -> None:
    """Be what ``python -m harness.worker`` would be with these arguments, output and lock."""
    from harness.worker import __main__ as worker

    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    sys.argv = [worker.__file__, *arguments, "--lock", str(lock)]
    worker.main()


def _stop_with(server: int) -> None:
    """Have the kernel ask this process to stop when the server dies, even before it can look."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != server:
        os._exit(1)


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _say(tell: int, number: int) -> None:
    """Tell the driver, unless it is dead."""
    try:
        os.write(tell, f"{number}\n".encode())
    except BrokenPipeError:
        pass


if __name__ == "__main__":
    main()

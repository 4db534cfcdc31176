"""Imports what all workers import, and forks one worker per request.

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
    """A request for a worker, as the driver sent it."""

    arguments: list[str]
    environment: dict[str, str]
    folder: str
    server: int
    log: int
    reply: int
    lock: int


def main() -> None:
    """Fork until the driver disconnects; become the worker in each fork."""
    ensure_open()
    channel = socket.socket(fileno=os.dup(0))
    for name in sys.argv[1:]:
        importlib.import_module(name)
    # Objects that exist now are shared by all forks: collecting them would copy their memory.
    gc.collect()
    gc.freeze()
    order = _serve(channel)
    if order is not None:
        _work(order)
    # Nothing is left to do or to write, and some libraries complain about frozen objects.
    os._exit(0)


def _serve(channel: socket.socket) -> _Order | None:
    """Return a request in the process forked for it, and None once the driver disconnected."""
    workers: dict[int, tuple[int, int]] = {}
    while True:
        ready = select.select([channel.fileno(), *workers], [], [])[0]
        for descriptor in workers.keys() & ready:
            pid, reply = workers.pop(descriptor)
            _, status = os.waitpid(pid, 0)
            _send(reply, os.waitstatus_to_exitcode(status))
            _close(reply, descriptor)
        if channel.fileno() not in ready:
            continue
        message, descriptors, _, _ = socket.recv_fds(channel, 2**20, 3)
        if not message:
            return None
        log, reply, lock = descriptors
        order = _Order(**json.loads(message), server=os.getpid(), log=log, reply=reply, lock=lock)
        try:
            pid = os.fork()
        except OSError as error:
            _send(reply, -(error.errno or errno.EAGAIN))
            _close(log, reply, lock)
            continue
        if pid == 0:
            # Pipes of other workers: closing them signals the server's death.
            for descriptor, (_, pipe) in workers.items():
                _close(descriptor, pipe)
            channel.close()
            return order
        workers[os.pidfd_open(pid)] = pid, order.reply
        _close(log, lock)


def _work(order: _Order) -> None:
    """Run a worker that ends with this server, with its own environment and seeds."""
    import numpy as np

    _stop_with(order.server)
    os.setsid()
    _send(order.reply, os.getpid())
    os.close(order.reply)
    os.environ.clear()
    os.environ.update(order.environment)
    os.chdir(order.folder)
    # The one generator that forks would share: random's own is reseeded on fork.
    np.random.seed()
    be_worker(order.arguments, order.log, order.lock)


def be_worker(arguments: list[str], log: int, lock: int) -> None:
    """Run as ``python -m harness.worker`` would with these arguments, output and lock."""
    from harness.worker import __main__ as worker

    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    sys.argv = [worker.__file__, *arguments, "--lock", str(lock)]
    worker.main()


def _stop_with(server: int) -> None:
    """Have the kernel ask this process to stop when the server dies."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != server:
        os._exit(1)


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _send(reply: int, number: int) -> None:
    """Send a number to the driver, unless it is dead."""
    try:
        os.write(reply, f"{number}\n".encode())
    except BrokenPipeError:
        pass


if __name__ == "__main__":
    main()

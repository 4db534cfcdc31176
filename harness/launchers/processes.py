"""Starting a worker's process: spawned, spawned with imports made ahead, or forked after them."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import BinaryIO, Protocol

from harness.files.locks import Lock
from harness.machine import interpreters

LIBRARIES = (
    "harness.worker.__main__",
    "harness.worker.trial_run",
    "harness.features.classifier",
    "harness.metrics.inception_score",
    "pyarrow.parquet",
    "sklearn.datasets",
)
"""Including what they import: nearly everything that takes a worker seconds to start."""

LOST = 256
"""Code of a worker whose exit code is unknown because its server died first; no process has it."""


class Process(Protocol):
    """A worker's process, a session leader."""

    @property
    def pid(self) -> int:
        """Its number."""

    def poll(self) -> int | None:
        """Return its exit code, -n if it died of signal n, ``LOST``, or None while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code once it has ended; raises ``subprocess.TimeoutExpired``."""

    def terminate(self) -> None:
        """Ask it to stop."""


class Starter(Protocol):
    """Starts workers."""

    def start(
        self, arguments: Sequence[str], environment: Mapping[str, str], log: BinaryIO, lock: Lock
    ) -> Process:
        """Start ``python -m harness.worker`` with these arguments.

        Args:
            arguments: of the command line.
            environment: complete; the first worker's determines the threads of libraries.
            log: receives its output.
            lock: to be held by it too.

        Raises:
            OSError: it cannot be started.
        """

    def close(self) -> None:
        """End helper processes; no worker runs any more."""


class Spawner:
    """Starts a new interpreter for each worker."""

    def start(
        self, arguments: Sequence[str], environment: Mapping[str, str], log: BinaryIO, lock: Lock
    ) -> Process:
        """Start a worker."""
        return subprocess.Popen(
            interpreters.command("harness.worker", *arguments, "--lock", str(lock.fileno())),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            pass_fds=(lock.fileno(),),
            # Ctrl-C in the terminal is the driver's alone.
            start_new_session=True,
        )

    def close(self) -> None:
        """Do nothing: there are no helper processes."""


class Spares:
    """Starts each worker in a spare interpreter that has already made the common imports.

    With each worker a spare is started, in the same folder and with the same complete environment,
    which libraries read when imported. It becomes the next worker with these, the next on the same
    device. The first worker has no spare, nor has one whose spare has died.

    Args:
        libraries: what a spare imports. No plugins: their changes must not precede a trial.
    """

    def __init__(self, libraries: Sequence[str] = LIBRARIES) -> None:
        self._libraries = libraries
        self._spares: dict[str, _Spare] = {}

    def start(
        self, arguments: Sequence[str], environment: Mapping[str, str], log: BinaryIO, lock: Lock
    ) -> Process:
        """Start a worker."""
        key = json.dumps([os.getcwd(), dict(environment)], sort_keys=True)
        spare = self._spares.pop(key, None)
        process: Process
        if spare is not None and spare.take(arguments, log, lock):
            process = spare.process
        else:
            process = Spawner().start(arguments, environment, log, lock)
        # While the worker sets up, off the clock; failing to start one is harmless.
        with suppress(OSError):
            self._spares[key] = _Spare(self._libraries, environment)
        return process

    def close(self) -> None:
        """End the spares."""
        while self._spares:
            self._spares.popitem()[1].end()


class _Spare:
    """An interpreter that makes imports, then waits for its request."""

    def __init__(self, libraries: Sequence[str], environment: Mapping[str, str]) -> None:
        self._channel, theirs = _channel()
        with theirs:
            self.process = subprocess.Popen(
                interpreters.command("harness.launchers.spare", *libraries),
                stdin=theirs.fileno(),
                # Its messages would be repeated by the worker in its log.
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=environment,
                start_new_session=True,
            )

    def take(self, arguments: Sequence[str], log: BinaryIO, lock: Lock) -> bool:
        """Make it a worker with these arguments; return whether it was still alive."""
        try:
            order = json.dumps(list(arguments)).encode()
            socket.send_fds(self._channel, [order], [log.fileno(), lock.fileno()])
        except OSError:
            self.end()
            return False
        self._channel.close()
        return True

    def end(self) -> None:
        """End it unused."""
        self._channel.close()
        self.process.terminate()
        self.process.wait()


class ForkServer:
    """Starts each worker as a fork of one process that has made the common imports.

    The server (``harness.launchers.fork_server``) starts with the first worker, with its
    environment, and again after it was killed. It ends when it is closed, or when its driver dies;
    workers that have lost their server stop, like those that have lost their driver.

    Args:
        libraries: what the server imports. No plugins: their changes would affect all workers.
    """

    def __init__(self, libraries: Sequence[str] = LIBRARIES) -> None:
        self._libraries = libraries
        self._server: subprocess.Popen[bytes] | None = None

    def start(
        self, arguments: Sequence[str], environment: Mapping[str, str], log: BinaryIO, lock: Lock
    ) -> Process:
        """Start a worker; a server that dies meanwhile is started once more.

        Raises:
            ChildProcessError: the second server died too.
            OSError: the server cannot fork.
        """
        with suppress(ChildProcessError):
            return self._order(arguments, environment, log, lock)
        self.close()
        return self._order(arguments, environment, log, lock)

    def _order(
        self, arguments: Sequence[str], environment: Mapping[str, str], log: BinaryIO, lock: Lock
    ) -> Process:
        if self._server is None or self._server.poll() is not None:
            self.close()
            self._open(environment)
        replies, reply = os.pipe()
        order = {
            "arguments": list(arguments),
            "environment": dict(environment),
            "folder": os.getcwd(),
        }
        try:
            descriptors = [log.fileno(), reply, lock.fileno()]
            with suppress(BrokenPipeError):
                socket.send_fds(self._channel, [json.dumps(order).encode()], descriptors)
        finally:
            os.close(reply)
        return _Forked(replies)

    def close(self) -> None:
        """Let the server end."""
        if self._server is not None:
            self._channel.close()
            # It may still be importing.
            self._server.terminate()
            self._server.wait()
            self._server = None

    def _open(self, environment: Mapping[str, str]) -> None:
        self._channel, theirs = _channel()
        with theirs:
            self._server = subprocess.Popen(
                interpreters.command("harness.launchers.fork_server", *self._libraries),
                stdin=theirs.fileno(),
                env=environment,
                start_new_session=True,
            )


class _Forked:
    """A process that the server forked and reports on: first its pid, then its exit code.

    The server sends -n instead of the pid if the fork failed with error n.
    """

    def __init__(self, replies: int) -> None:
        self._pipe = os.fdopen(replies, "rb", buffering=0)
        self._code: int | None = None
        number = int(self._line() or 0)
        if number <= 0:
            self._pipe.close()
            if number:
                raise OSError(-number, os.strerror(-number))
            raise ChildProcessError("the server that forks workers died; its output is above")
        self.pid = number
        self._sentinel = sentinel(number)

    def poll(self) -> int | None:
        if self._code is None and select.select([self._pipe], [], [], 0)[0]:
            code = self._line()
            if code:
                self._code = int(code)
            elif self._has_ended():
                self._code = LOST
            if self._code is not None:
                self._forget()
        return self._code

    def wait(self, timeout: float | None = None) -> int:
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if deadline is not None and time.monotonic() >= deadline:
                raise subprocess.TimeoutExpired(["harness.worker"], timeout or 0.0)
            time.sleep(0.01)
        return code

    def terminate(self) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)

    def _has_ended(self) -> bool:
        """Whether it has, if the server that would report it is dead."""
        if self._sentinel is None:
            return True
        if not select.select([self._sentinel], [], [], 0)[0]:
            return False
        # Orphans are adopted by process 1, which may be a driver in a container.
        with suppress(ChildProcessError):
            os.waitid(os.P_PIDFD, self._sentinel, os.WEXITED | os.WNOHANG)
        return True

    def _forget(self) -> None:
        self._pipe.close()
        if self._sentinel is not None:
            os.close(self._sentinel)

    def _line(self) -> bytes:
        line = b""
        while not line.endswith(b"\n") and (byte := self._pipe.read(1)):
            line += byte
        return line


def sentinel(pid: int) -> int | None:
    """Return a descriptor that becomes readable once the process has ended, if supported.

    It works for a process that has ended and is not yet reaped, unlike its pid.
    """
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:  # it has ended already
        return None


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def starter_for(devices: Sequence[str]) -> Starter:
    """Return the fastest safe starter of workers on these devices.

    On Linux these are forks where no device but the CPU is used: nothing that the server imports
    starts a thread that a fork would lose. Elsewhere they are spares, if there is a core for one
    beside those that feed the devices: its imports must not slow a trial on the clock.
    """
    if sys.platform != "linux":
        return Spawner()
    if set(devices) == {"cpu"}:
        return ForkServer()
    return Spares() if cores() > len(devices) else Spawner()


def _channel() -> tuple[socket.socket, socket.socket]:
    """Return a socket pair for messages, each read whole with its descriptors."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2**20)
    return ours, theirs

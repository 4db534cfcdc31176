"""The first process of a trial on several devices: starts the others and reports failures."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import torch
from torch._C._distributed_c10d import TCPStore

from harness.machine import interpreters
from harness.machine.silence import RunningClock
from harness.row import Status
from harness.training.parallel.replicas import LOOPBACK, Replicas, SingleProcess

POLL_SECONDS = 0.05
LAST_WORDS_SECONDS = 10.0
"""Seconds that a process has to end after another did, or after the last step."""


class ReplicaLost(Exception):
    """A process of the trial ended prematurely.

    Attributes:
        status: of the trial as a consequence.
    """

    def __init__(self, status: Status, reason: str) -> None:
        super().__init__(reason)
        self.status: Status = status


@contextmanager
def replicas_for(
    folder: Path, device: torch.device, count: int, patience: float, beat: Callable[[], None]
) -> Iterator[SingleProcess]:
    """Start the other processes of a trial; they end with this context, whatever happens.

    Args:
        folder: of the trial.
        device: of this process; the others have the next ones, or the CPU too.
        count: processes in all.
        patience: seconds to wait for the others to start, and for their gradients.
        beat: called while they start.

    Raises:
        ReplicaLost: another process failed, was killed, or did not start in time.
    """
    if count == 1:
        yield SingleProcess()
        return
    store = _open_store()
    others = [_start(folder, device, rank, count, store.port) for rank in range(1, count)]
    try:
        _await(store, others, patience, beat)
        yield Replicas(0, count, store, device, patience)
        _wait(others, until=all)
    except ReplicaLost:
        raise
    except Exception as error:
        if _is_of_communication(error):
            _wait(others, until=any)
            _raise_loss(folder, others, error)
        raise
    finally:
        for process in others:
            process.kill()
            process.wait()


def verdict_file(folder: Path, rank: int) -> Path:
    """Return the path of the file in which a process reports its failure."""
    return folder / f"rank-{rank}.json"


def _open_store() -> TCPStore:
    """Return a store that other machines cannot reach: by default it listens on all interfaces."""
    listening = socket.create_server((LOOPBACK, 0))
    port = listening.getsockname()[1]
    # The store closes it.
    descriptor = listening.detach()
    return TCPStore(
        LOOPBACK, port, is_master=True, wait_for_workers=False, master_listen_fd=descriptor
    )


def _start(
    folder: Path, device: torch.device, rank: int, count: int, port: int
) -> subprocess.Popen[bytes]:
    verdict_file(folder, rank).unlink(missing_ok=True)
    own = device if device.type == "cpu" else torch.device(device.type, rank)
    command = interpreters.command("harness.worker.follower", str(folder))
    command += ["--device", str(own), "--rank", str(rank), "--count", str(count)]
    command += ["--port", str(port), "--threads", str(torch.get_num_threads())]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL)


def _await(
    store: TCPStore,
    others: Sequence[subprocess.Popen[bytes]],
    patience: float,
    beat: Callable[[], None],
) -> None:
    """Wait until every process is ready: connecting to a dead one would take long."""
    awake = RunningClock()
    for rank in range(1, len(others) + 1):
        while not store.check([f"ready {rank}"]):
            if any(process.poll() is not None for process in others):
                raise ConnectionError("a process ended at its start")
            if awake() > patience:
                who = _name(rank, others)
                raise ReplicaLost("timeout", f"{who} was not ready after {patience:g} s")
            beat()
            time.sleep(POLL_SECONDS)


def _name(rank: int, others: Sequence[subprocess.Popen[bytes]]) -> str:
    return f"process {rank + 1} of {len(others) + 1}"


def _wait(
    others: Sequence[subprocess.Popen[bytes]], until: Callable[[Iterator[bool]], bool]
) -> None:
    deadline = time.monotonic() + LAST_WORDS_SECONDS
    while not until(process.poll() is not None for process in others):
        if time.monotonic() > deadline:
            return
        time.sleep(POLL_SECONDS)


def _is_of_communication(error: Exception) -> bool:
    """Return whether an error is one of communication, which gloo does not express in its type."""
    frames = traceback.extract_tb(error.__traceback__)
    return isinstance(error, ConnectionError) or any(
        Path(frame.filename).parent == Path(__file__).parent for frame in frames[-2:]
    )


def _raise_loss(folder: Path, others: Sequence[subprocess.Popen[bytes]], error: Exception) -> None:
    for rank, process in enumerate(others, start=1):
        code, who = process.poll(), _name(rank, others)
        if not code:
            continue
        with suppress(FileNotFoundError):
            status, reason = json.loads(verdict_file(folder, rank).read_text())
            raise ReplicaLost(status, f"{who}: {reason}") from error
        if code in (-signal.SIGKILL, -signal.SIGTERM):
            raise ReplicaLost(
                "killed",
                f"{who} was killed, by a user or because the machine ran out of memory; "
                "run again to resume",
            ) from error
        cause = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        raise ReplicaLost("error", f"{who} ended with {cause}") from error

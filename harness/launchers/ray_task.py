"""A task of a Ray cluster: one trial, by a local launcher on the task's node.

It works in the trial's folder where its node sees the driver's file system. Elsewhere it works in a
folder of its own: it is sent the checkpoint of an unfinished trial, sends each new one while it
trains, and what is left at the end.
"""

from __future__ import annotations

import dataclasses
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from harness.errors import UserError
from harness.files.disk import write_atomically
from harness.files.locks import Lock
from harness.files.untrusted import FileMissing, is_plain, open_regular
from harness.launchers import Observer
from harness.launchers.agenda import Agenda, Assignment
from harness.launchers.local import LocalLauncher
from harness.launchers.processes import Spawner
from harness.machine.heartbeat import Progress
from harness.planning.benchmark import Needs
from harness.planning.plugin_identity import NOT_PLANNED
from harness.planning.trial import Trial
from harness.row import Row
from harness.storage.checkpoint import FILE as CHECKPOINT
from harness.storage.store import CLAIM

POLL_SECONDS = 0.2

Files = dict[str, bytes]


@dataclasses.dataclass(frozen=True)
class Order:
    """The arguments of a task; plain values only.

    Attributes:
        trial: as JSON.
        folder: of the trial, on the driver.
        lock: that excludes others from the folder, on the driver.
        claim: content of the file ``CLAIM`` there, as long as the trial belongs to this task.
        files: of an unfinished trial, for a node that does not see the folder.
        device: "cpu" or "cuda".
        threads: of each process on a CPU.
        environment: variables of the driver that workers use.
    """

    trial: str
    folder: str
    lock: str
    claim: str
    files: Files
    device: str
    threads: int
    environment: dict[str, str]


class Board:
    """An actor beside the driver, where tasks post their progress and checkpoints."""

    def __init__(self) -> None:
        self._messages: dict[str, tuple[dict[str, Any], Files]] = {}

    def post(self, claim: str, progress: dict[str, Any], files: Files) -> None:
        """Post the progress and new files of a task's trial."""
        _, unread = self._messages.get(claim, ({}, {}))
        self._messages[claim] = progress, unread | files

    def messages(self) -> dict[str, tuple[dict[str, Any], Files]]:
        """Return what was posted since the last call, by the claim of the task."""
        messages, self._messages = self._messages, {}
        return messages


def run_task(order: Order, board: Any) -> tuple[str, Files]:
    """Run a trial on this node, in a process of its own; return its row, as JSON, and its files.

    Cancelling the task stops the trial, with a checkpoint.

    Args:
        order: the trial and how to run it.
        board: where to post progress.
    """
    trial = Trial.model_validate_json(order.trial)
    os.environ.update(order.environment)
    with _place_of(order) as (folder, lock, shared):
        reporter = _Reporter(board, order.claim, folder, shared)
        agenda = _Single(Assignment(trial, folder, lock), reporter)
        devices = [
            order.device if order.device == "cpu" else f"{order.device}:{index}"
            for index in range(trial.needs.devices)
        ]
        with suppress(KeyboardInterrupt):
            LocalLauncher(devices, order.threads, starter=Spawner()).run(agenda)
        row = agenda.row or trial.row("killed", "stopped on request; run again to resume")
        if row.reason and NOT_PLANNED in row.reason:
            reason = f"node {platform.node()}: {row.reason}; install the same on every node"
            row = row.model_copy(update={"reason": reason})
        return row.model_dump_json(), {} if shared else _files(folder)


class _Single(Agenda):
    """An agenda of one trial, whose row is returned to the driver."""

    def __init__(self, assignment: Assignment, observer: Observer) -> None:
        self.observer = observer
        self.row: Row | None = None
        self._waiting: Assignment | None = assignment

    def __bool__(self) -> bool:
        return self._waiting is not None

    def take(self, fits: Callable[[Needs], bool] = lambda needs: True) -> Assignment | None:
        """Return the trial, once."""
        assignment, self._waiting = self._waiting, None
        return assignment

    def finish(self, assignment: Assignment, row: Row) -> None:
        """Keep the row."""
        self.row = row


class _Reporter(Observer):
    """Posts progress to the driver, and checkpoints that it cannot see."""

    def __init__(self, board: Any, claim: str, folder: Path, shared: bool) -> None:
        self._board = board
        self._claim = claim
        self._checkpoint = folder / CHECKPOINT
        self._shared = shared
        self._sent = self._new()[0]

    def progressed(self, trial: Trial, progress: Progress) -> None:
        """Post the progress of the trial."""
        files: Files = {}
        if not self._shared:
            self._sent, files = self._new(self._sent)
        self._board.post.remote(self._claim, dataclasses.asdict(progress), files)

    def _new(self, sent: int = 0) -> tuple[int, Files]:
        """Return when the checkpoint was written, and its content if that is not ``sent``."""
        try:
            with open_regular(self._checkpoint) as file:
                written = os.fstat(file.fileno()).st_mtime_ns
                return written, {CHECKPOINT: file.read()} if written != sent else {}
        except FileMissing:
            return sent, {}


@contextmanager
def _place_of(order: Order) -> Iterator[tuple[Path, Lock, bool]]:
    """Return the folder to work in, a lock on it, and whether it is the driver's."""
    if _is_meant(order):
        # A worker of a dead task may still be exiting.
        with _wait_for(Path(order.lock)) as lock:
            # The driver may have died meanwhile, and the next one may have started the trial.
            if _is_meant(order):
                yield Path(order.folder), lock, True
                return
    with tempfile.TemporaryDirectory(prefix="genharness-") as own:
        folder = Path(own)
        write_files(folder, order.files | {"trial.json": order.trial.encode()})
        with Lock(folder / ".lock") as lock:
            yield folder, lock, False


def _is_meant(order: Order) -> bool:
    """Return whether this node sees the driver's folder, with its trial still this task's."""
    try:
        return (Path(order.folder) / CLAIM).read_text() == order.claim
    except OSError:
        return False


def _wait_for(path: Path) -> Lock:
    """Return a lock once it is free; unlike a blocking wait, this can be cancelled."""
    while True:
        try:
            return Lock(path)
        except BlockingIOError:
            time.sleep(POLL_SECONDS)


def _files(folder: Path) -> Files:
    paths = (path for path in folder.iterdir() if is_plain(path.name) and path.is_file())
    return {path.name: path.read_bytes() for path in paths}


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files that a task sent.

    Raises:
        UserError: a name leads elsewhere.
        OSError: it cannot be written; the disk is full, for instance.
    """
    for name, content in files.items():
        if not is_plain(name) or "/" in name:
            raise UserError(f"a task sent the file {name!r}, which is not a plain name")
        write_atomically(folder / name, content)

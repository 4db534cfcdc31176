"""Runs trials on a Ray cluster: one task per trial, each a local launcher on its node."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, chdir
from pathlib import Path
from typing import Any

from harness.errors import UserError
from harness.files.disk import is_disk_full, write_atomically, writing
from harness.files.locks import is_held
from harness.launchers import Observer
from harness.launchers.agenda import Agenda, Assignment
from harness.launchers.interruption import deferred_interrupt
from harness.launchers.local import GRACE_SECONDS
from harness.launchers.ray_task import Board, Files, Order, run_task, write_files
from harness.machine.heartbeat import Progress
from harness.planning.benchmark import Needs
from harness.planning.trial import Trial
from harness.row import Row
from harness.storage.checkpoint import FILE as CHECKPOINT
from harness.storage.store import CLAIM

POLL_SECONDS = 0.2
CONNECT_SECONDS = 10.0
LOSSES = 3
"""Node failures of a trial after which it ends as killed."""


class RayLauncher:
    """Runs each trial in a task of a Ray cluster, and in another one when its node dies.

    A trial asks for as many CPUs as it has threads on all its devices, or for as many GPUs as it
    has devices, and for the memory that its benchmark names.

    Args:
        address: of the cluster, "HOST:PORT"; "auto" is the one that this machine belongs to.
        device: "cpu" or "cuda"; by default CUDA where a node has GPUs.
        threads: of each process on a CPU.

    Raises:
        UserError: Ray is not installed, or there is no such cluster.
    """

    def __init__(self, address: str = "auto", device: str | None = None, threads: int = 1) -> None:
        self._ray = _connect(address)
        self.threads = threads
        self.device = device or ("cuda" if self._ray.cluster_resources().get("GPU") else "cpu")
        self._promised: dict[str, float] = {}

    def check(self, trials: Sequence[Trial]) -> None:
        """Raise ``UserError`` if no node of the cluster has what a trial needs."""
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        for trial in trials:
            asked = self._resources(trial.needs)
            if not any(all(has.get(k, 0) >= v for k, v in asked.items()) for has in nodes):
                wanted = ", ".join(f"{value:g} {name}" for name, value in asked.items())
                raise UserError(
                    f"models: {trial.label} needs {wanted} on one node, and no node of the Ray "
                    f"cluster has that; the largest have "
                    + ", ".join(
                        f"{max(has.get(name, 0) for has in nodes):g} {name}" for name in asked
                    )
                )

    def run(self, agenda: Agenda) -> None:
        """Run the trials to their ends; Ctrl-C stops them so that the next run resumes them.

        Raises:
            UserError: this machine's disk is full; what is unfinished resumes.
        """
        ray = self._ray
        board = _start_board(ray)
        tasks: dict[Any, _Task] = {}
        with ExitStack() as ending:
            ending.callback(ray.shutdown)
            ending.callback(self._stop, tasks, board, agenda)
            while agenda or tasks:
                while (assignment := agenda.take(self._fits)) is not None:
                    self._submit(_Task(assignment), tasks, board, agenda)
                _read_messages(ray, board, tasks.values(), agenda.observer)
                if not tasks:
                    time.sleep(POLL_SECONDS)
                    continue
                for reference in ray.wait(list(tasks), timeout=POLL_SECONDS)[0]:
                    self._end(reference, tasks, board, agenda)

    def _resources(self, needs: Needs) -> dict[str, float]:
        """Return the resources of a trial, by Ray's names."""
        of_kind = (
            {"GPU": float(needs.devices)}
            if self.device == "cuda"
            else {"CPU": float(self.threads * needs.devices)}
        )
        return of_kind | ({"memory": float(needs.memory)} if needs.memory else {})

    def _fits(self, needs: Needs) -> bool:
        """Return whether the cluster has room for it; Ray chooses the node."""
        total = self._ray.cluster_resources()
        return all(
            self._promised.get(name, 0) + amount <= total.get(name, 0)
            for name, amount in self._resources(needs).items()
        )

    def _promise(self, needs: Needs, sign: int) -> None:
        for name, amount in self._resources(needs).items():
            self._promised[name] = self._promised.get(name, 0) + sign * amount

    def _submit(self, task: _Task, tasks: dict[Any, _Task], board: Any, agenda: Agenda) -> None:
        trial, folder = task.assignment.trial, task.assignment.folder
        # A new one for each task, so that an abandoned task is neither listened to nor admitted.
        task.claim = secrets.token_hex(16)
        with writing(folder):
            write_atomically(folder / CLAIM, task.claim.encode())
        order = Order(
            trial.model_dump_json(),
            str(folder.absolute()),
            str(agenda.store.node_lock(trial.id).absolute()),
            task.claim,
            {path.name: path.read_bytes() for path in folder.glob(CHECKPOINT)},
            self.device,
            self.threads,
            {name: value for name, value in os.environ.items() if name.startswith("GENHARNESS_")},
        )
        asked = self._resources(trial.needs)
        remote = self._ray.remote(run_task).options(
            name=trial.title,
            num_cpus=asked.get("CPU", 0),
            num_gpus=asked.get("GPU", 0),
            memory=asked.get("memory", 0) or None,
            # The driver decides which files a trial resumes from.
            max_retries=0,
        )
        self._promise(trial.needs, 1)
        tasks[remote.remote(order, board)] = task

    @deferred_interrupt()
    def _end(self, reference: Any, tasks: dict[Any, _Task], board: Any, agenda: Agenda) -> None:
        """Finish a trial whose task has ended, or submit it again if its node has died."""
        ray, task = self._ray, tasks.pop(reference)
        trial = task.assignment.trial
        self._promise(trial.needs, -1)
        try:
            text, files = ray.get(reference)
            row = Row.model_validate_json(text)
        except ray.exceptions.RayError as error:
            # Messages that it sent before it died; those of other tasks are also delivered only
            # once.
            _read_messages(ray, board, [task, *tasks.values()], agenda.observer)
            if self._goes_on(task, error):
                self._submit(task, tasks, board, agenda)
                return
            row, files = self._row_without(task, error), {}
        (task.assignment.folder / CLAIM).unlink(missing_ok=True)
        _wait_until_left(agenda.store.node_lock(trial.id))
        _keep(task.assignment.folder, files)
        agenda.finish(task.assignment, row)

    def _goes_on(self, task: _Task, error: Exception) -> bool:
        """Return whether a trial moves to another node after its task ended with ``error``."""
        exceptions = self._ray.exceptions
        final = (
            exceptions.OutOfMemoryError,
            exceptions.TaskCancelledError,
            exceptions.RayTaskError,
        )
        if isinstance(error, final) or task.asked:
            return False
        task.losses += 1
        return task.losses <= LOSSES

    def _row_without(self, task: _Task, error: Exception) -> Row:
        """Return the row of a trial whose task has left none."""
        exceptions, trial, cause = self._ray.exceptions, task.assignment.trial, _first_line(error)
        if isinstance(error, exceptions.OutOfMemoryError):
            return trial.row("out_of_memory", f"Ray ended it: {cause}")
        if isinstance(error, exceptions.TaskCancelledError):
            return trial.row("killed", f"stopped on request {task.where}; run again to resume")
        if isinstance(error, exceptions.RayTaskError):
            cause = _first_line(error.cause)
            if is_disk_full(error.cause):
                reason = (
                    f"no space is left on its node ({cause}); free some and run again to resume"
                )
                return trial.row("killed", reason)
            return trial.row("error", f"its task failed: {cause}")
        if task.asked:
            reason = f"asked to stop {task.where}, and killed before it did; run again to resume"
            return trial.row("killed", reason)
        return trial.row(
            "killed",
            f"its node or its task died {task.losses} times, at last {task.where} ({cause}); "
            "run again to resume",
        )

    def _stop(self, tasks: dict[Any, _Task], board: Any, agenda: Agenda) -> None:
        """Let the workers write their checkpoints, and end them; a second Ctrl-C ends them now."""
        ray = self._ray
        for reference, task in tasks.items():
            task.asked = True
            ray.cancel(reference)
        try:
            if tasks:
                ray.wait(list(tasks), num_returns=len(tasks), timeout=GRACE_SECONDS + 5)
        finally:
            for reference in list(tasks):
                ray.cancel(reference, force=True)
            with ExitStack() as each:
                for reference in list(tasks):
                    each.callback(self._end, reference, tasks, board, agenda)


class _Task:
    """A trial submitted to the cluster."""

    def __init__(self, assignment: Assignment) -> None:
        self.assignment = assignment
        self.progress: Progress | None = None
        self.claim = ""
        self.losses = 0
        self.asked = False

    @property
    def where(self) -> str:
        """Its last progress, for messages."""
        return f"at {self.progress.fraction:.0%} of the budget" if self.progress else "at its start"


def _wait_until_left(lock: Path) -> None:
    """Wait until no worker of a dead task is in a trial's folder; one that hangs may stay.

    It cannot write to a finished trial, whose folder has another name.
    """
    deadline = time.monotonic() + GRACE_SECONDS
    while is_held(lock) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)


def _keep(folder: Path, files: Files) -> None:
    """Write files that a task sent to a trial's folder."""
    with writing(folder):
        write_files(folder, files)


def _read_messages(ray: Any, board: Any, tasks: Iterable[_Task], observer: Observer) -> None:
    """Process messages of tasks, and write the checkpoints that they sent."""
    messages = ray.get(board.messages.remote())
    for task in tasks:
        if task.claim not in messages:
            continue
        progress, files = messages[task.claim]
        _keep(task.assignment.folder, files)
        if task.progress is None:
            observer.started(task.assignment.trial)
        task.progress = Progress(**progress)
        observer.progressed(task.assignment.trial, task.progress)


def _start_board(ray: Any) -> Any:
    """Start the board on the driver's own node, whose failure ends the run anyway."""
    here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
        ray.get_runtime_context().get_node_id(), soft=False
    )
    lasting = {"max_restarts": -1, "max_task_retries": -1}
    return ray.remote(Board).options(num_cpus=0, scheduling_strategy=here, **lasting).remote()


def _connect(address: str) -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.util.scheduling_strategies
    except ImportError:
        raise UserError(
            "--launcher ray needs Ray: pip install 'genharness[ray]', on every node of the cluster"
        ) from None
    try:
        _check_reachable(address)
        asked_to_end = signal.getsignal(signal.SIGTERM)
        # Ray puts the current folder first on the path of every task.
        with tempfile.TemporaryDirectory() as empty, chdir(empty):
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, asked_to_end)  # Ray inserts its own
    except Exception as error:
        raise UserError(
            f"--address {address}: there is no Ray cluster to join ({_first_line(error)}); start "
            "one with 'ray start --head', or write the HOST:PORT that it printed"
        ) from None
    return ray


def _check_reachable(address: str) -> None:
    """Raise ``OSError`` if nothing listens there: Ray itself would retry for many minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdecimal() and "//" not in host:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]

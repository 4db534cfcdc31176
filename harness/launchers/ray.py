"""Runs trials on a Ray cluster: one task a trial, each a local launcher on its node.

A task works in the trial's folder where its node sees the driver's file system. Elsewhere it works
in a folder of its own: it is sent the files of an unfinished trial, sends each new checkpoint while
it trains, and what is left at the end.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import platform
import secrets
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.benchmark import Needs
from harness.checkpoint import FILE as CHECKPOINT
from harness.errors import UserError
from harness.launchers import Observer
from harness.launchers.agenda import Agenda, Assignment
from harness.launchers.local import GRACE_SECONDS, LocalLauncher
from harness.launchers.processes import Spawner
from harness.locks import Lock
from harness.progress import Progress
from harness.registry import registry
from harness.row import Row
from harness.trial import Trial, describe

POLL_SECONDS = 0.2
CONNECT_SECONDS = 10.0
LOSSES = 3
"""Nodes that may die under a trial before its row says so."""

TOKEN, LOCK = ".ray-token", ".ray-lock"

Files = dict[str, bytes]


@dataclasses.dataclass(frozen=True)
class Order:
    """What a task is told; plain values alone travel.

    Attributes:
        trial: as JSON.
        folder: of the trial, on the driver.
        token: what its file ``TOKEN`` holds, if the node sees the same folder.
        files: of an unfinished trial, for a node that does not.
        device: "cpu" or "cuda".
        threads: of each process on a CPU.
        environment: variables of the driver that workers heed.
    """

    trial: str
    folder: str
    token: str
    files: Files
    device: str
    threads: int
    environment: dict[str, str]


class Board:
    """An actor beside the driver, where tasks leave their progress and checkpoints."""

    def __init__(self) -> None:
        self._news: dict[str, tuple[dict[str, Any], Files]] = {}

    def tell(self, trial: str, progress: dict[str, Any], files: Files) -> None:
        """Leave what is new of a trial."""
        _, unread = self._news.get(trial, ({}, {}))
        self._news[trial] = progress, unread | files

    def news(self) -> dict[str, tuple[dict[str, Any], Files]]:
        """Return what was left since the last call, by trial."""
        news, self._news = self._news, {}
        return news


class RayLauncher:
    """Hands each trial to a task of a Ray cluster, and to another when its node dies.

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
        self.token = secrets.token_hex(16)
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
        """Run the trials to their ends; Ctrl-C stops them so that the next run resumes them."""
        ray = self._ray
        board = _start_board(ray)
        tasks: dict[Any, _Task] = {}
        try:
            while agenda or tasks:
                while (assignment := agenda.take(self._fits)) is not None:
                    self._submit(_Task(assignment), tasks, board)
                _listen(ray, board, tasks.values(), agenda.observer)
                if not tasks:
                    time.sleep(POLL_SECONDS)
                    continue
                for reference in ray.wait(list(tasks), timeout=POLL_SECONDS)[0]:
                    self._end(reference, tasks, board, agenda)
        finally:
            self._stop(tasks, board, agenda)
            ray.shutdown()

    def _resources(self, needs: Needs) -> dict[str, float]:
        """Return what a trial asks of a node, by Ray's names."""
        of_kind = (
            {"GPU": float(needs.devices)}
            if self.device == "cuda"
            else {"CPU": float(self.threads * needs.devices)}
        )
        return of_kind | ({"memory": float(needs.memory)} if needs.memory else {})

    def _fits(self, needs: Needs) -> bool:
        """Return whether the cluster could run it beside what it was given; Ray finds the node."""
        total = self._ray.cluster_resources()
        return all(
            self._promised.get(name, 0) + amount <= total.get(name, 0)
            for name, amount in self._resources(needs).items()
        )

    def _promise(self, needs: Needs, sign: int) -> None:
        for name, amount in self._resources(needs).items():
            self._promised[name] = self._promised.get(name, 0) + sign * amount

    def _submit(self, task: _Task, tasks: dict[Any, _Task], board: Any) -> None:
        trial, folder = task.assignment.trial, task.assignment.folder
        (folder / TOKEN).write_text(self.token)
        order = Order(
            trial.model_dump_json(),
            str(folder.absolute()),
            self.token,
            {path.name: path.read_bytes() for path in folder.glob(CHECKPOINT)},
            self.device,
            self.threads,
            {name: value for name, value in os.environ.items() if name.startswith("GENHARNESS_")},
        )
        asked = self._resources(trial.needs)
        remote = self._ray.remote(carry_out).options(
            name=trial.title,
            num_cpus=asked.get("CPU", 0),
            num_gpus=asked.get("GPU", 0),
            memory=asked.get("memory", 0) or None,
            # Which files a trial goes on from is the driver's to say.
            max_retries=0,
        )
        self._promise(trial.needs, 1)
        tasks[remote.remote(order, board)] = task

    def _end(self, reference: Any, tasks: dict[Any, _Task], board: Any, agenda: Agenda) -> None:
        """Finish a trial whose task has ended, or submit it again if its node has died."""
        ray, task = self._ray, tasks.pop(reference)
        trial, folder = task.assignment.trial, task.assignment.folder
        self._promise(trial.needs, -1)
        try:
            text, files = ray.get(reference)
        except ray.exceptions.OutOfMemoryError as error:
            row = trial.row("out_of_memory", f"Ray ended it: {_first_line(error)}")
        except ray.exceptions.TaskCancelledError:
            row = trial.row("killed", f"stopped on request {task.where}; run again to resume")
        except ray.exceptions.RayTaskError as error:
            row = trial.row("error", f"its task failed: {_first_line(error.cause)}")
        except ray.exceptions.RayError as error:
            task.losses += 1
            if task.losses <= LOSSES and not task.asked:
                # What it sent before its node died.
                _listen(ray, board, [task], agenda.observer)
                self._submit(task, tasks, board)
                return
            why = f"{task.losses} times" if task.losses > 1 else "once"
            row = trial.row(
                "killed",
                f"its node or its task died {why}, at last {task.where} ({_first_line(error)}); "
                "run again to resume",
            )
        else:
            _write(folder, files)
            row = Row.model_validate_json(text)
        (folder / TOKEN).unlink(missing_ok=True)
        (folder / LOCK).unlink(missing_ok=True)
        agenda.finish(task.assignment, row)

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
            for reference in list(tasks):
                self._end(reference, tasks, board, agenda)


class _Task:
    """A trial in the hands of the cluster."""

    def __init__(self, assignment: Assignment) -> None:
        self.assignment = assignment
        self.progress: Progress | None = None
        self.losses = 0
        self.asked = False

    @property
    def where(self) -> str:
        """Where it was, for people."""
        return f"at {self.progress.fraction:.0%} of the budget" if self.progress else "at its start"


def carry_out(order: Order, board: Any) -> tuple[str, Files]:
    """Run a trial on this node, in a process of its own; return its row, as JSON, and its files.

    Cancelling the task stops the trial, with a checkpoint.

    Args:
        order: what to do.
        board: where to tell of it.
    """
    trial = Trial.model_validate_json(order.trial)
    os.environ.update(order.environment)
    if (told := _foreign(trial)) is not None:
        return trial.row("error", told).model_dump_json(), {}
    with _folder_of(order) as (folder, shared):
        lock = Lock(folder / LOCK, wait=True)
        observer = _Reporter(board, folder, shared)
        agenda = _Single(Assignment(trial, folder, lock), observer)
        devices = [
            order.device if order.device == "cpu" else f"{order.device}:{index}"
            for index in range(trial.needs.devices)
        ]
        try:
            LocalLauncher(devices, order.threads, starter=Spawner()).run(agenda)
        except KeyboardInterrupt:
            pass
        row = agenda.row or trial.row("killed", "stopped on request; run again to resume")
        return row.model_dump_json(), {} if shared else _read(folder)


class _Single(Agenda):
    """An agenda of one trial, whose row goes to the driver."""

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
        """Keep the row, and let go of the folder."""
        self.row = row
        assignment.lock.release()


class _Reporter(Observer):
    """Passes on progress to the driver, and checkpoints that it cannot see."""

    def __init__(self, board: Any, folder: Path, shared: bool) -> None:
        self._board = board
        self._checkpoint = folder / CHECKPOINT
        self._shared = shared
        self._sent = self._stamp()

    def progressed(self, trial: Trial, progress: Progress) -> None:
        """Tell where the trial is."""
        files, stamp = {}, self._stamp()
        if not self._shared and stamp != self._sent:
            files[CHECKPOINT] = self._checkpoint.read_bytes()
            self._sent = stamp
        self._board.tell.remote(trial.id, dataclasses.asdict(progress), files)

    def _stamp(self) -> int:
        return self._checkpoint.stat().st_mtime_ns if self._checkpoint.exists() else 0


def _foreign(trial: Trial) -> str | None:
    """Return how this node's plugin differs from the one that the trial was planned with."""
    if trial.is_reference:
        return None
    here = describe(registry().model(trial.model))
    differs = [name for name in here | trial.plugin if here.get(name) != trial.plugin.get(name)]
    if not differs:
        return None
    return (
        f"node {platform.node()} has another {trial.model!r} than the driver: "
        + ", ".join(f"{n} {here.get(n)}, not {trial.plugin.get(n)}" for n in differs)
        + "; install the same on every node and run again with --retry-failed"
    )


@contextmanager
def _folder_of(order: Order) -> Iterator[tuple[Path, bool]]:
    """Return the folder to work in, and whether it is the driver's."""
    folder = Path(order.folder)
    token = folder / TOKEN
    if token.is_file() and token.read_text() == order.token:
        # A worker of a task that died may still be leaving it: the lock tells.
        yield folder, True
        return
    with tempfile.TemporaryDirectory(prefix="genharness-") as own:
        folder = Path(own)
        (folder / "trial.json").write_text(order.trial)
        _write(folder, order.files)
        yield folder, False


def _read(folder: Path) -> Files:
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file() and p.name != LOCK}


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        if Path(name).name != name:
            raise ValueError(f"a task sent the file {name!r}, which is no plain name")
        temporary = folder / f".{name}.sent"
        temporary.write_bytes(content)
        temporary.replace(folder / name)


def _listen(ray: Any, board: Any, tasks: Any, observer: Observer) -> None:
    """Hear what tasks have told, and keep the checkpoints that they sent."""
    news = ray.get(board.news.remote())
    for task in tasks:
        trial = task.assignment.trial
        if trial.id not in news:
            continue
        told, files = news[trial.id]
        _write(task.assignment.folder, files)
        if task.progress is None:
            observer.started(trial)
        task.progress = Progress(**told)
        observer.progressed(trial, task.progress)


def _start_board(ray: Any) -> Any:
    """Start the board on the driver's own node, which nothing survives anyway."""
    here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
        ray.get_runtime_context().get_node_id(), soft=False
    )
    return ray.remote(Board).options(num_cpus=0, scheduling_strategy=here).remote()


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
        _knock(address)
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:
        raise UserError(
            f"--address {address}: there is no Ray cluster to join ({_first_line(error)}); start "
            "one with 'ray start --head', or write the HOST:PORT that it printed"
        ) from None
    return ray


def _knock(address: str) -> None:
    """Raise ``OSError`` where nobody listens: Ray itself would try for many minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdecimal() and "//" not in host:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]

"""What the driver does when tasks of a Ray cluster end in this way or that; without Ray."""

import errno
import os
import time
from types import SimpleNamespace

import pytest
from support.launching import Heard
from support.stored import trial

from harness.errors import UserError
from harness.files.locks import Lock
from harness.launchers import ray as launcher
from harness.launchers.agenda import Agenda
from harness.launchers.ray_task import Board
from harness.machine.heartbeat import Progress
from harness.planning.trial import Trial
from harness.storage.store import CLAIM, Store


class RayError(Exception):
    pass


class OutOfMemoryError(RayError):
    pass


class TaskCancelledError(RayError):
    pass


class RayTaskError(RayError):
    def __init__(self, cause):
        self.cause = cause


class ScriptedRay:
    """As much of Ray as the launcher uses; each task ends at once, as ``script(order)`` says."""

    exceptions = SimpleNamespace(
        RayError=RayError,
        OutOfMemoryError=OutOfMemoryError,
        TaskCancelledError=TaskCancelledError,
        RayTaskError=RayTaskError,
    )

    def __init__(self, script, cpus=4):
        self.script = script
        self.cpus = cpus
        self.board = Board()
        self.orders = []
        self.cancelled = []
        self.left = False

    def cluster_resources(self):
        return {"CPU": self.cpus}

    def remote(self, function):
        def start(order, board):
            self.orders.append(order)
            return len(self.orders) - 1

        return SimpleNamespace(options=lambda **_: SimpleNamespace(remote=start))

    def get(self, reference):
        if not isinstance(reference, int):
            return reference
        if reference in self.cancelled:
            raise TaskCancelledError
        answer = self.script(self.orders[reference])
        if isinstance(answer, Exception):
            raise answer
        return answer.model_dump_json(), {"samples.png": b"png"}

    def wait(self, references, timeout, num_returns=1):
        return references[:num_returns], references[num_returns:]

    def cancel(self, reference, force=False):
        self.cancelled.append(reference)

    def shutdown(self):
        self.left = True


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path, "mine")
    store.prepare()
    return store


def run(monkeypatch, store, script, seeds=1):
    """Run trials on a cluster as scripted, and return it."""
    ray = ScriptedRay(script)
    monkeypatch.setattr(launcher, "_connect", lambda address: ray)
    messages = SimpleNamespace(remote=ray.board.messages)
    monkeypatch.setattr(launcher, "_start_board", lambda ray: SimpleNamespace(messages=messages))
    trials = [trial(seed) for seed in range(seeds)]
    try:
        launcher.RayLauncher().run(Agenda(trials, store, Heard()))
    finally:
        assert ray.left
    return ray


def seed_of(order):
    return Trial.model_validate_json(order.trial).seed


def post(ray, order, state):
    ray.board.post(order.claim, vars(Progress("train", 0.5)), {"checkpoint.pt": state})


@pytest.mark.parametrize(
    ("ending", "status", "reason", "tasks"),
    [
        (RayError("the node died"), "killed", "died 4 times, at last at its start (the node", 4),
        (OutOfMemoryError("95% in use"), "out_of_memory", "Ray ended it: 95% in use", 1),
        (TaskCancelledError(), "killed", "stopped on request at its start; run again", 1),
        (RayTaskError(ValueError("no luck")), "error", "its task failed: no luck", 1),
        (
            RayTaskError(OSError(errno.ENOSPC, "No space left on device")),
            "killed",
            "no space is left on its node ([Errno 28] No space left on device); free some and run",
            1,
        ),
    ],
)
def test_a_task_that_leaves_no_row_gets_one(monkeypatch, store, ending, status, reason, tasks):
    ray = run(monkeypatch, store, lambda order: ending)
    row = store.row(trial().id)
    assert row.status == status and reason in row.reason
    assert len(ray.orders) == tasks
    assert not (store.ended(row.trial) / CLAIM).exists()


def test_what_was_reported_before_a_node_died_is_kept_of_every_trial(monkeypatch, store):
    died = []

    def script(order):
        ray = launcher._connect("")
        if not died:
            died.append(order)
            for message in ray.orders:
                post(ray, message, f"state of {seed_of(message)}".encode())
            return RayError("the node died")
        if len(ray.orders) == 3:  # the task that was given up is not quite dead
            post(ray, died[0], b"of the dead")
        return Trial.model_validate_json(order.trial).row("ok")

    ray = run(monkeypatch, store, script, seeds=2)
    again = ray.orders[2]
    assert seed_of(again) == seed_of(died[0]) and again.claim != died[0].claim
    assert again.files == {"checkpoint.pt": b"state of 0"}
    kept = [(store.ended(trial(s).id) / "checkpoint.pt").read_bytes() for s in range(2)]
    assert kept == [b"state of 0", b"state of 1"]


def test_a_row_waits_until_the_worker_of_a_dead_task_has_left(monkeypatch, store):
    held = []

    def script(order):
        held.append(Lock(store.node_lock(trial().id)))
        return OutOfMemoryError("Ray ended the task, and not the worker that it had started")

    def leave(seconds):
        assert store.row(trial().id) is None
        held.pop().release()

    monkeypatch.setattr(time, "sleep", leave)
    run(monkeypatch, store, script)
    assert not held and store.row(trial().id).status == "out_of_memory"


def test_the_row_of_a_task_whose_worker_hangs_is_written_in_the_end(monkeypatch, store):
    held = []

    def script(order):
        held.append(Lock(store.node_lock(trial().id)))
        return OutOfMemoryError("95% in use")

    monkeypatch.setattr(launcher, "GRACE_SECONDS", 0.0)
    run(monkeypatch, store, script)
    held.pop().release()
    assert store.row(trial().id).status == "out_of_memory"


@pytest.mark.parametrize("full", ["at the start", "at the end"])
def test_a_full_disk_of_the_driver_is_reported_and_the_others_are_ended(monkeypatch, store, full):
    """With the remedy, and with a row of each trial that was under way."""
    rows = {}

    def script(order):
        if seed_of(order) == 0:
            monkeypatch.setattr(os, "fsync", refuse)
        return Trial.model_validate_json(order.trial).row("ok")

    def refuse(descriptor):
        monkeypatch.setattr(os, "fsync", fsync)  # room for the others
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def begun(self, one, begin=Store.begin):
        folder = begin(self, one)
        rows[one.seed] = folder
        if full == "at the start" and one.seed == 1:
            monkeypatch.setattr(os, "fsync", refuse)
        return folder

    fsync = os.fsync
    monkeypatch.setattr(Store, "begin", begun)
    with pytest.raises(UserError, match="no space is left for .*; free some and run again"):
        run(monkeypatch, store, script, seeds=3)
    lost = {"at the start": 1, "at the end": 0}[full]
    found = {seed: store.row(trial(seed).id) for seed in rows}
    assert found.pop(lost) is None
    assert {row.status for row in found.values()} == {"killed"}

"""What a task of a Ray cluster does on its node, and what is left of it; without Ray."""

import json
import os
import subprocess
import threading
import time

import pytest
from support.launching import Heard, Instant
from support.stored import TRIAL

from harness.files.locks import Lock, is_held
from harness.launchers import ray_task
from harness.launchers.agenda import Agenda
from harness.machine.heartbeat import Progress
from harness.storage.store import CLAIM, Store


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr("harness.launchers.agenda.LOOK_SECONDS", 0.0)
    monkeypatch.setattr(ray_task, "POLL_SECONDS", 0.01)


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path, "mine")
    store.prepare()
    return store


@pytest.fixture
def order(store):
    """An order of the driver that has claimed the trial."""
    folder = store.begin(TRIAL)
    (folder / CLAIM).write_text("secret")
    lock = str(store.node_lock(TRIAL.id))
    return ray_task.Order(
        TRIAL.model_dump_json(), str(folder), lock, "secret", {"checkpoint.pt": b"x"}, "cpu", 1, {}
    )


class Told:
    """A board, as its handle is used."""

    def __init__(self):
        self.heard = []
        self.post = self

    def remote(self, *what):
        self.heard.append(what)


def workers(monkeypatch, **options):
    monkeypatch.setattr(ray_task, "Spawner", lambda: Instant(**options))


def test_a_worker_that_outlives_its_driver_on_a_node_keeps_the_trial(store):
    one, two = (Agenda([TRIAL], store, Heard()) for _ in range(2))
    claimed = one.take()
    node = Lock(store.node_lock(TRIAL.id))
    inode = os.fstat(node.fileno()).st_ino
    worker = subprocess.Popen(["sleep", "60"], pass_fds=(node.fileno(),))
    os.close(node.fileno())  # the task dies with its driver
    claimed.lock.release()
    (claimed.folder / ".checkpoint.pt.123").write_text("being written")
    assert two.take() is None
    assert (claimed.folder / ".checkpoint.pt.123").exists()
    worker.kill()
    worker.wait()
    assert two.take().trial == TRIAL
    assert os.stat(store.node_lock(TRIAL.id)).st_ino == inode


def test_a_task_holds_the_trial_where_it_sees_the_drivers_folder(store, order, monkeypatch):
    held = []
    workers(monkeypatch, during=lambda trial: held.append(is_held(store.node_lock(TRIAL.id))))
    row, files = ray_task.run_task(order, Told())
    assert (json.loads(row)["status"], files, held) == ("ok", {}, [True])
    assert not is_held(store.node_lock(TRIAL.id))


def test_a_task_that_fails_lets_go(store, order, monkeypatch):
    def fail(trial):
        raise RuntimeError("no luck")

    workers(monkeypatch, during=fail)
    with pytest.raises(RuntimeError, match="no luck"):
        ray_task.run_task(order, Told())
    assert not is_held(store.node_lock(TRIAL.id))


def test_a_node_with_another_plugin_is_named(monkeypatch, order):
    """Its worker refuses the trial; which node that was, the driver could not tell."""
    refused = "'vae' is not the one that was planned: version 1, not 2"
    monkeypatch.setattr(
        ray_task, "Spawner", lambda: Instant(row=lambda trial: trial.row("error", refused))
    )
    row, _ = ray_task.run_task(order, Told())
    assert json.loads(row)["reason"] == (
        f"node {os.uname().nodename}: {refused}; install the same on every node"
    )


@pytest.mark.parametrize("claim", ["another", None])
def test_a_task_that_was_given_up_while_it_waited_works_elsewhere(store, order, monkeypatch, claim):
    """Its driver died, say, and the next one has begun the trial."""
    workers(monkeypatch)
    waits = threading.Event()
    sleep = time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: (waits.set(), sleep(seconds)))
    before = Lock(store.node_lock(TRIAL.id))
    answers = []
    task = threading.Thread(target=lambda: answers.append(ray_task.run_task(order, Told())))
    task.start()
    assert waits.wait(30)
    path = store.working(TRIAL.id) / CLAIM
    path.write_text(claim) if claim else path.unlink()
    before.release()
    task.join()
    [(row, files)] = answers
    assert json.loads(row)["status"] == "ok"
    assert files["checkpoint.pt"] == b"x" and "row.json" in files
    assert not any(name.startswith(".") for name in files)
    assert not (store.working(TRIAL.id) / "row.json").exists()


def test_a_checkpoint_that_goes_while_it_is_sent_is_none(tmp_path):
    board = Told()
    reporter = ray_task._Reporter(board, "secret", tmp_path, shared=False)
    (tmp_path / "checkpoint.pt").write_bytes(b"state")
    reporter.progressed(TRIAL, Progress("training"))
    (tmp_path / "checkpoint.pt").unlink()
    reporter.progressed(TRIAL, Progress("training"))
    assert [files for _, _, files in board.heard] == [{"checkpoint.pt": b"state"}, {}]

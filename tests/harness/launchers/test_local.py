"""Who runs where: devices, memory and threads of workers on this machine."""

import errno
import functools
import itertools
import os
import signal
import subprocess

import pytest
from support.launching import Heard, Instant
from support.stored import trial

from harness.errors import UserError
from harness.launchers import local
from harness.launchers.agenda import Agenda
from harness.launchers.local import LocalLauncher, choose_devices
from harness.machine import silence
from harness.planning.benchmark import Needs
from harness.storage.store import Store

GIB = 2**30


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path, "mine")
    store.prepare()
    return store


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    monkeypatch.setattr(local, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(local, "QUICK_POLL_SECONDS", 0.0)


def needing(*needs):
    return [
        trial(seed).model_copy(update={"needs": Needs(*need)}) for seed, need in enumerate(needs)
    ]


def run(store, trials, **options):
    heard = Heard()
    launcher = LocalLauncher(**options)
    launcher.check(trials)
    launcher.run(Agenda(trials, store, heard))
    return heard.events


def at_once(events):
    """The most trials that ran at the same time."""
    running, most = 0, 0
    for what, *_ in events:
        running += {"started": 1, "finished": -1}[what]
        most = max(most, running)
    return most


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_as_many_workers_as_devices(store, workers):
    starter = Instant(polls=2)
    devices = ["cpu"] * workers
    events = run(store, needing(*[(1,)] * 7), devices=devices, starter=starter)
    assert at_once(events) == workers
    assert {event[1:] for event in events if event[0] == "finished"} == {
        (s, "ok") for s in range(7)
    }
    assert starter.closed


def test_workers_share_the_cores(store, monkeypatch):
    monkeypatch.setattr(local, "cores", lambda: 8)
    for workers, threads in ((1, "8"), (3, "2"), (16, "1")):
        starter = Instant()
        run(store, [trial(workers)], devices=["cpu"] * workers, starter=starter)
        ((_, environment),) = starter.started
        assert {environment[f"{name}_NUM_THREADS"] for name in ("OMP", "MKL", "OPENBLAS")} == {
            threads
        }


def test_a_trial_gets_the_devices_that_it_needs(store, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,7")
    starter = Instant()
    devices = [f"cuda:{index}" for index in range(3)]
    run(store, needing((1,), (2,)), devices=devices, starter=starter)
    assert [(t.seed, env["CUDA_VISIBLE_DEVICES"]) for t, env in starter.started] == [
        (1, "4,5"),
        (0, "7"),
    ]


def test_trials_never_need_more_memory_than_there_is(store):
    held = []
    starter = Instant(polls=3, during=lambda t: held.append(t.needs.memory))
    needs = [(1, 6 * GIB), (1, 5 * GIB), (1, 2 * GIB), (1, 0)]
    events = run(store, needing(*needs), devices=["cpu"] * 4, memory=8 * GIB, starter=starter)
    running, most = set(), 0
    for what, seed, *_ in events:
        (running.add if what == "started" else running.discard)(seed)
        most = max(most, sum(needs[s][1] for s in running))
    assert most == 8 * GIB
    # The one that fits goes past the one that does not.
    assert held == [6 * GIB, 2 * GIB, 0, 5 * GIB]


def test_what_can_never_run_is_refused_in_a_sentence_before_anything_runs(store):
    with pytest.raises(UserError, match="vae needs 2 devices at once, and there are 1: cpu"):
        run(store, needing((1,), (2,)), devices=["cpu"])
    with pytest.raises(UserError, match="vae needs 9 GiB of memory, and there are 8"):
        run(store, needing((1, 9 * GIB)), devices=["cpu"], memory=8 * GIB)
    assert not list(store.trials.iterdir())


def test_workers_do_not_share_a_gpu(monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert choose_devices() == ["cuda:0", "cuda:1"]
    assert choose_devices(workers=1) == ["cuda:0"]
    assert choose_devices(["cpu"], workers=3) == ["cpu"] * 3
    with pytest.raises(UserError, match="--workers 3 is more than the devices"):
        choose_devices(workers=3)
    with pytest.raises(UserError, match="cuda:1 is given twice"):
        choose_devices(["cuda:1", "cuda:1"])
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    assert choose_devices(workers=2) == ["cpu", "cpu"]
    assert choose_devices() == ["cpu"]


def test_the_driver_writes_and_waits_for_a_trial_as_often_however_many_there_are(
    store, monkeypatch
):
    """Per trial, from plan to row: files made durable, processes waited for, rows read."""
    calls = dict.fromkeys(("fsync", "wait", "row"), 0)

    def counted(name, function):
        def call(*args):
            calls[name] += 1
            return function(*args)

        return call

    monkeypatch.setattr(os, "fsync", counted("fsync", os.fsync))
    monkeypatch.setattr(local, "_wait_for_any", counted("wait", local._wait_for_any))
    monkeypatch.setattr(Store, "row", counted("row", Store.row))
    costs = []
    for n in (2, 50):
        calls.update(dict.fromkeys(calls, 0))
        run(
            store, [trial(1000 * n + seed) for seed in range(n)], devices=["cpu"], starter=Instant()
        )
        costs.append({name: count / n for name, count in calls.items()})
    assert costs[0] == costs[1]
    assert costs[0]["wait"] == 1


class Unable(Instant):
    """Cannot start the second worker."""

    def start(self, arguments, environment, log, lock):
        if self.started:
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return super().start(arguments, environment, log, lock)


def test_a_worker_that_cannot_be_started_ends_the_run_in_a_sentence(store):
    starter = Unable()
    trials = needing((1,), (1,))
    with pytest.raises(UserError, match="no worker could be started: .*temporarily unavailable"):
        run(store, trials, devices=["cpu", "cpu"], starter=starter)
    assert starter.closed
    # What ran has its row, and what did not is free for others.
    first, second = trials
    assert store.row(first.id).status == "ok"
    assert store.row(second.id) is None
    store.claim(second.id).release()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("owner", "name"),
    [(local, "row_of"), (Store, "finish"), (Heard, "finished")],
)
def test_ctrl_c_while_a_row_is_written_lets_it_be_written(store, monkeypatch, number, owner, name):
    """What a worker has finished is not evaluated again; the other worker's neither."""
    function = getattr(owner, name)
    asked = []

    def interrupted(*args, **options):
        if not asked:
            asked.append(number)
            signal.raise_signal(number)
        return function(*args, **options)

    monkeypatch.setattr(owner, name, interrupted)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # as the command does
    try:
        trials = needing((1,), (1,), (1,))
        with pytest.raises(KeyboardInterrupt):
            run(store, trials, devices=["cpu", "cpu"], starter=Instant(polls=2))
    finally:
        assert signal.signal(signal.SIGTERM, before) is signal.default_int_handler
    rows = [store.row(trial.id) for trial in trials]
    assert [row and row.status for row in rows] == ["ok", "ok", None]
    assert not list(store.trials.glob(".*"))


def test_ctrl_c_twice_does_not_wait_for_what_handles_a_row(store, monkeypatch):
    """A plugin that is told of a row may hang."""
    asked = []

    def hang(*args):
        for _ in range(3):
            asked.append("once more")
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Heard, "finished", hang)
    with pytest.raises(KeyboardInterrupt):
        run(store, needing((1,)), devices=["cpu"], starter=Instant())
    assert len(asked) == 2


def test_a_worker_that_stays_stopped_is_ended_and_resumes(store, monkeypatch):
    """The driver looks again and again, and it is stopped for longer than the trial's patience."""

    class Sleeper(Instant):
        def start(self, arguments, environment, log, lock):
            self.process = subprocess.Popen(["sleep", "600"], start_new_session=True)
            self.process.send_signal(signal.SIGSTOP)
            os.waitpid(self.process.pid, os.WUNTRACED)
            assert silence.is_stopped(self.process.pid)
            return self.process

    # Whatever a busy machine or a group of processes without a parent may do to it meanwhile.
    monkeypatch.setattr(local, "is_stopped", lambda pid: True)
    now = itertools.count(0.0, 0.5)
    clock = functools.partial(silence.RunningClock, now=lambda: next(now))
    monkeypatch.setattr(local, "RunningClock", clock)
    impatient = trial(0).model_copy(update={"patience_seconds": 30.0})
    events = run(store, [impatient], devices=["cpu"], starter=Sleeper())
    assert events[-1] == ("finished", 0, "killed")
    row = store.row(impatient.id)
    assert row.reason == (
        "stopped by a signal at its start for 30 s, and ended; run again to resume"
    )
    assert next(now) < 60

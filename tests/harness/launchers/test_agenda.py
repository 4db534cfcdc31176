"""What a run does of a benchmark that other runs work on at the same time."""

import os
import subprocess

import pytest
from support.launching import Heard
from support.stored import trial

from harness.launchers.agenda import Agenda
from harness.planning.benchmark import Needs
from harness.storage.store import Store


@pytest.fixture(autouse=True)
def look_at_once(monkeypatch):
    monkeypatch.setattr("harness.launchers.agenda.LOOK_SECONDS", 0.0)


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path, "mine")
    store.prepare()
    return store


def agenda(store, seeds=range(3), **changes):
    trials = [trial(seed).model_copy(update=changes) for seed in seeds]
    return Agenda(trials, store, Heard())


def finish(agenda, assignment, status="ok"):
    agenda.finish(assignment, assignment.trial.row(status))


def test_two_runs_share_the_trials_and_learn_of_each_others(store):
    one, two = agenda(store), agenda(store)
    mine, theirs, next_one = one.take(), two.take(), one.take()
    assert [a.trial.seed for a in (mine, theirs, next_one)] == [0, 1, 2]
    assert one.take() is None and two.take() is None
    assert one and two
    for holder, assignment in ((one, mine), (two, theirs), (one, next_one)):
        finish(holder, assignment)
    assert one.take() is None and two.take() is None
    assert not one and not two
    ended = ("finished", "ended elsewhere")
    for heard in (one.observer.events, two.observer.events):
        assert sorted(e[1] for e in heard if e[0] in ended) == [0, 1, 2]
    assert ("held", 0) in two.observer.events
    holders = {event[2].split()[1] for event in two.observer.events if event[0] == "waits"}
    assert holders == {str(os.getpid())}


def test_a_trial_is_held_until_its_worker_is_gone_too(store):
    one, two = agenda(store, [0]), agenda(store, [0])
    lock = one.take().lock
    worker = subprocess.Popen(["sleep", "60"], pass_fds=(lock.fileno(),))
    os.close(lock.fileno())  # as when the driver is killed
    assert two.take() is None
    worker.kill()
    worker.wait()
    assert two.take().trial.seed == 0


def test_a_trial_that_another_run_left_unfinished_is_taken(store):
    one, two = agenda(store, [0]), agenda(store, [0])
    assignment = one.take()
    (assignment.folder / "checkpoint.pt").write_text("state")
    assert two.take() is None
    finish(one, assignment, "killed")
    taken = two.take()
    assert (taken.folder / "checkpoint.pt").read_text() == "state"


def test_a_failed_trial_is_repeated_by_one_of_two_runs(store):
    first = agenda(store, [0])
    finish(first, first.take(), "error")
    one, two = agenda(store, [0]), agenda(store, [0])
    finish(one, one.take(), "error")
    assert two.take() is None and not two
    assert two.observer.events == [("ended elsewhere", 0, "error")]


def test_what_a_model_does_not_support_is_skipped_once(store):
    one, two = (agenda(store, unsupported="too small") for _ in range(2))
    assert one.take() is None and two.take() is None
    assert not one and not two
    assert {e[0] for e in one.observer.events} == {"finished"}
    assert {e[0] for e in two.observer.events} == {"ended elsewhere"}
    assert store.row(trial(0).id).reason == "too small"


def test_large_trials_come_first_and_small_ones_fill_the_gaps(store):
    trials = [
        trial(seed).model_copy(update={"needs": Needs(devices, memory)})
        for seed, (devices, memory) in enumerate([(1, 0), (2, 0), (1, 8), (1, 0)])
    ]
    made = Agenda(trials, store, Heard())
    one_device = made.take(lambda needs: needs.devices == 1)
    assert one_device.trial.seed == 2
    assert [made.take().trial.seed for _ in range(3)] == [1, 0, 3]
    assert made.take() is None and not made


def test_looking_for_work_costs_the_same_however_much_there_is(store, monkeypatch):
    """Operations for each trial: one claim, one look at its row; no more with ten times as many."""
    calls = []
    for name in ("claim", "row", "stamp", "begin", "finish"):
        method = getattr(Store, name)

        def count(self, *args, method=method, name=name):
            calls.append(name)
            return method(self, *args)

        monkeypatch.setattr(Store, name, count)
    counts = []
    for n in (5, 50):
        calls.clear()
        made = agenda(store, range(1000 * n, 1000 * n + n))
        while made:
            finish(made, made.take())
        counts.append({name: calls.count(name) / n for name in set(calls)})
    assert counts[0] == counts[1] == {"claim": 1, "row": 1, "stamp": 1, "begin": 1, "finish": 1}

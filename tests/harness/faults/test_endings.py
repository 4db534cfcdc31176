"""Whatever a plugin does to its worker, one truthful row is left, and nothing else."""

import itertools
import os
import signal
import sys
import time

import psutil
import pytest
from support.forked_worker import fork

from harness.planning.benchmark import parse_benchmark
from harness.publishing.environments import environments
from harness.storage.store import Store


@pytest.fixture
def ended(planned):
    """Run the trial of a faulty model to its end; return the worker and its row."""

    def run(model):
        worker = fork(planned.store, planned.trials[model])
        return worker, worker.row()

    return run


@pytest.mark.parametrize(
    ("model", "status", "reason"),
    [
        ("exits", "error", "SystemExit: 0 (faulty_plugin.py:"),
        ("exits-as-if-done", "error", "exited with code 0 and without a row at 0% of the budget"),
        ("exits-as-if-stopped", "error", "exited with code 75 at 0% of the budget"),
        ("interrupts", "error", "KeyboardInterrupt"),
        ("crashes", "error", "the worker died of SIGSEGV at 0% of the budget"),
        ("kills-itself", "killed", "by a user or because the machine ran out of memory; it held"),
    ],
)
def test_a_way_to_leave_is_reported_as_what_it_was(ended, model, status, reason):
    worker, row = ended(model)
    assert row.status == status, worker.log
    assert reason in row.reason
    if model == "crashes":
        # The lines of Python that led to it.
        assert "Segmentation fault" in worker.log
        assert "in training_step" in worker.log


def test_memory_that_cannot_be_had_is_reported_with_the_peak(ended):
    worker, row = ended("allocates")
    assert row.status == "out_of_memory", worker.log
    assert "DefaultCPUAllocator: can't allocate memory" in row.reason
    assert "of the host's" in row.reason and "GiB in use" in row.reason
    assert row.usage.peak_memory > 2**26


HANGS = {
    "hangs-at-birth": "in __init__",
    "hangs": "in training_step",
    "hangs-in-sample": "in sample",
    "idles": "in training_step",
}


def test_a_worker_that_hangs_ends_itself_and_says_where(planned):
    """Also one whose driver is dead, one that keeps all other threads from running, one that
    goes on for ever without using its budget."""
    workers = {}
    for model in HANGS:
        trial = planned.trials[model].model_copy(update={"patience_seconds": 7.0})
        workers[model] = fork(planned.store, trial)
    for model, worker in workers.items():
        row = worker.row()
        assert row.status == "timeout", worker.log
        assert row.reason.startswith("silent for 7 s at ")
        assert "faulty_plugin.py" in worker.log
        assert HANGS[model] in worker.log
        assert not (worker.folder / "hang.txt").exists()


def test_a_trial_takes_no_notice_of_a_jump_of_the_wall_clock(planned, ended, monkeypatch):
    now, jumps = time.time, itertools.cycle((2.0**25, -(2.0**25)))
    monkeypatch.setattr(time, "time", lambda: now() + next(jumps))
    checkpoint = planned.store.working(planned.trials["steady"].id) / "checkpoint.pt"
    checkpoint.unlink(missing_ok=True)
    worker, row = ended("steady")
    assert row.status == "ok", worker.log
    assert row.usage.starts == 1
    assert row.digests == planned.steady.digests
    assert row.metrics["fid"] == planned.steady.metrics["fid"]
    assert all(seconds >= 0 for seconds in row.usage.phases.values())
    assert sum(row.usage.phases.values()) <= row.usage.wall < 120


def test_what_a_plugin_leaves_behind_ends_with_its_trial(ended):
    worker, row = ended("leaves-threads")
    assert row.status == "ok", worker.log
    worker, row = ended("leaves-children")
    assert row.status == "ok", worker.log
    child = int(worker.log.partition("left ")[2].split()[0])
    _wait_for_the_end_of(child)


def test_a_trial_whose_folder_is_removed_while_it_runs_has_its_row(planned):
    worker = fork(planned.store, planned.trials["removes-its-folder"])
    row = worker.row()
    assert row.status == "ok", row.reason
    assert row.digests == planned.steady.digests
    assert planned.store.finish(row).is_dir()
    assert planned.store.row(row.trial) == row


def test_a_reason_of_megabytes_is_cut_in_the_row(ended):
    worker, row = ended("talks-for-ever")
    assert row.status == "error"
    assert row.reason.startswith("RuntimeError: it begins xxx")
    assert "xxx and ends (faulty_plugin.py:" in row.reason
    assert len(row.reason) < 5_000


SOURCE = """name = "mine"
datasets = ["digits"]
models = ["steady"]
budget = "24 steps"
"""


def test_a_folder_and_a_command_that_are_not_utf8_end_no_trial(planned, monkeypatch):
    name = os.fsdecode(b"caf\xe9 \xff")
    store = Store(planned.store.folder.parent / name, "mine")
    store.prepare()
    trial = planned.trials["steady"]
    trial = trial.model_copy(
        update={"evaluation": trial.evaluation.model_copy(update={"curve": (0.5,)})}
    )
    worker = fork(store, trial)
    row = worker.row()
    assert row.status == "ok", worker.log
    assert row.digests == planned.steady.digests
    assert r"/caf\xe9 \xff/mine/trials/." in row.provenance["command"][1]
    store.finish(row)
    results = store.results(parse_benchmark(SOURCE, "mine.toml"), SOURCE, [trial])
    assert results.rows == (row,) and len(results.curves) == 2
    assert environments(results)[0].trials == (row.trial,)


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_what_a_model_forks_can_be_ended_and_does_not_hold_its_trial(planned):
    """Neither a fork nor an executed program, both in sessions of their own, has the lock."""
    trial = planned.trials["raises-children"]
    lock = planned.store.claim(trial.id)
    worker = fork(planned.store, trial, lock)
    assert planned.store.holder(trial.id).startswith(f"process {os.getpid()} (")
    assert worker.row().status == "ok", worker.log
    lines = [line.rpartition(" ") for line in worker.log.splitlines()]
    endings = [int(code) for said, _, code in lines if said == "a fork ended with"]
    # Killed by SIGTERM, or left by KeyboardInterrupt; SIGINT kills one that has not begun yet.
    assert set(endings[::2]) == {-signal.SIGTERM} and set(endings[1::2]) <= {3, -signal.SIGINT}
    daemons = [int(pid) for said, _, pid in lines if said == "left"]
    try:
        assert len(daemons) >= 2 and all(psutil.pid_exists(pid) for pid in daemons)
        os.close(lock.fileno())  # as when the driver is killed
        planned.store.claim(trial.id).release()
    finally:
        for pid in daemons:
            os.kill(pid, signal.SIGKILL)


def test_a_model_that_closes_all_descriptors_and_removes_its_folder_harms_nobody(ended, planned):
    worker, row = ended("closes-descriptors")
    assert row.status == "ok", worker.log
    assert row.digests == planned.steady.digests


def test_a_row_names_the_machines_that_its_trial_was_trained_on(ended, planned, monkeypatch):
    """It goes on with what the steady trial left, as if there were another processor now."""
    before = planned.steady.hardware
    there = before | {"cpu": "another", "id": "0" * 12}
    monkeypatch.setattr("harness.worker.trial_run.fingerprint", lambda device: there)
    worker, row = ended("steady")
    assert row.status == "ok" and row.usage.starts == 2, worker.log
    assert row.hardware == there
    assert row.provenance["machines"] == [before["id"], there["id"]]
    assert row.provenance["machine_changes"] == [f"cpu {before['cpu']}, then another"]
    assert "machines" not in planned.steady.provenance
    assert row.digests == planned.steady.digests


def test_a_fork_that_comes_back_to_the_trial_ends(ended, planned):
    """Every step forks; if the copies went on they would be 2^24, each with a row of its own."""
    worker, row = ended("forks")
    assert row.status == "ok", worker.log
    assert row.usage.steps == 24
    assert row.digests == planned.steady.digests


def test_settings_that_a_plugin_changes_are_put_back_and_reported(ended, planned):
    worker, row = ended("disturbs")
    assert row.status == "ok", worker.log
    assert row.digests == planned.steady.digests
    fid, expected = row.metrics["fid"], planned.steady.metrics["fid"]
    assert (fid.value, fid.protocol) == (expected.value, expected.protocol)
    message = " ".join(row.provenance["restored"])
    for what in (
        "default dtype was changed to torch.float64",
        "deterministic algorithms was changed to (False, False)",
        "threads was changed to 3",
        "working directory was changed to /",
        "signal handlers",
        "convolutions",
    ):
        assert what in message
    assert "restored" not in planned.steady.provenance


def test_a_worker_spends_nothing_on_tracking(planned, monkeypatch):
    """That is the driver's: a worker that only looked for MLflow would end with an error here."""

    class Refusal:
        def find_spec(self, name, *_):
            assert not _of_tracking(name), f"a worker imports {name}"

    for name in filter(_of_tracking, list(sys.modules)):
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Refusal(), *sys.meta_path])
    anew = planned.trials["steady"].model_copy(update={"seed": 1})
    worker = fork(planned.store, anew)
    assert worker.row().status == "ok", worker.log


def _of_tracking(module):
    return module.startswith("harness.tracking") or module.split(".")[0] == "mlflow"


def _wait_for_the_end_of(pid):
    """Wait for a process that was killed; nobody may be there to bury it."""
    deadline = time.monotonic() + 60
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, f"process {pid} lives on"
        time.sleep(0.01)

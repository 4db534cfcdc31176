"""The wall clock may jump, as when it is set: no second of a trial is read from it."""

import importlib.util
import itertools
import sys
import time

import pytest
import torch
from support.toys import Regressor, split

from harness.planning.budget import Budget
from harness.training.averaging import WeightAverage
from harness.training.batches import BatchStream
from harness.training.loop import Training
from harness.training.step_costs import StepCost

CPU = torch.device("cpu")
YEAR = 2.0**25


@pytest.fixture
def fresh(monkeypatch):
    """Import a module anew, beside a wall clock that jumps by a year, to and fro, when read."""
    now, jumps = time.time, itertools.cycle((YEAR, -YEAR, 0.0))
    monkeypatch.setattr(time, "time", lambda: now() + next(jumps))
    monkeypatch.setattr(time, "time_ns", lambda: int(1e9 * time.time()))

    def load(name):
        spec = importlib.util.find_spec(name)
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        return module

    return load


def test_training_under_a_time_budget_takes_as_long_as_it_takes(fresh):
    begun = time.perf_counter()
    ledger = fresh("harness.training.ledger").Ledger(CPU)
    clock = fresh("harness.machine.clock").CpuClock()
    model = Regressor().train()
    training = Training(
        model,
        BatchStream(split(50), model.config.batch_size, 0, CPU),
        Budget.parse("0.05 s"),
        ledger,
        clock,
        WeightAverage(model, 1000),
        {"train": StepCost((10.0,), {})},
        precision="fp32",
        seed=0,
    )
    with ledger.phase("train"):
        while training.progress < 1:
            training.run_window(1.0, 0.01)
    usage = ledger.usage()
    elapsed = time.perf_counter() - begun
    assert 0.05 <= usage.seconds <= usage.phases["train"] <= usage.wall <= elapsed
    assert 0 <= min(usage.phases.values()) and sum(usage.phases.values()) <= usage.wall


def test_a_worker_is_as_silent_as_it_is(fresh, tmp_path):
    progress = fresh("harness.machine.heartbeat")
    begun = time.perf_counter()
    silence = progress.Silence(tmp_path)
    heartbeat = progress.Heartbeat(tmp_path)
    for _ in range(4):
        heartbeat.report(progress.Progress("train", 0.1))
        assert 0 <= silence.seconds <= time.perf_counter() - begun
        heartbeat.beat()

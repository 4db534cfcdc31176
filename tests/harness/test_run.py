"""Whole runs in real processes: every ending gives one row; kill, resume, repeat."""

import json
import os
import signal

import numpy as np
import pandas as pd
import pytest
import torch
from support.faulty_plugin import install
from support.whole_runs import benchmark, end, midway, reproducible_part, rows, run, start, trials

from harness import api
from harness.features.cache import VARIABLE
from harness.machine.heartbeat import Heartbeat
from harness.machine.process_state import SETTINGS, unchanged
from harness.plugins.registry import registry
from harness.training.ledger import Ledger
from harness.worker.trial_run import TrialRun

SLOW = '{model = "steady", settings = {step_seconds = 0.05}}, {model = "steady", label = "b"}'


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return tmp_path_factory.mktemp("site")


@pytest.fixture(scope="module")
def environment(site):
    """All but the report formats, which take longer than the trials here."""
    plugins = "faulty,autoencoders,datasets,features,metrics"
    return install(site) | {"GENHARNESS_PLUGINS": plugins}


@pytest.fixture(scope="module")
def straight(tmp_path_factory, site):
    """The folder of a run of two trials that nothing interrupts, with all plugins."""
    folder = tmp_path_factory.mktemp("straight")
    ended = run(slow_benchmark(folder), install(site))
    assert ended.returncode == 0, ended.stderr
    assert (folder / "results/mine/report/report.html").exists()
    return folder


def slow_benchmark(folder):
    return benchmark(folder, SLOW, "60 steps", evaluation="raw_weights = true")


def test_every_ending_gives_one_truthful_row_and_harms_no_other_trial(tmp_path, environment):
    path = benchmark(
        tmp_path,
        '"raises", "segfaults", "leaves", "diverges", "overflows-memory", "samples-floats", '
        '"unsupported", "steady"',
    )
    ended = run(path, environment)
    assert ended.returncode == 1, ended.stderr
    found = rows(tmp_path)
    assert {label: row["status"] for label, row in found.items()} == {
        "raises": "error",
        "segfaults": "error",
        "leaves": "error",
        "diverges": "diverged",
        "overflows-memory": "out_of_memory",
        "samples-floats": "error",
        "unsupported": "skipped",
        "steady": "ok",
    }
    reasons = {label: row["reason"] or "" for label, row in found.items()}
    assert "RuntimeError: the plugin is broken <b>here</b>" in reasons["raises"]
    assert "faulty_plugin.py:" in reasons["raises"]
    assert "SIGSEGV" in reasons["segfaults"]
    assert "exited with code 3" in reasons["leaves"]
    assert "'nats' is" in reasons["diverges"]
    assert "1 EiB" in reasons["overflows-memory"]
    assert "torch.float32" in reasons["samples-floats"]
    assert reasons["unsupported"] == "it paints in oil only"
    # What a failed trial used stays on the record.
    assert found["raises"]["usage"]["steps"] > 0
    again = run(path, environment)
    assert "8 trials, 8 done before" in again.stdout
    assert rows(tmp_path) == found


def test_a_row_holds_everything(straight):
    row = rows(straight)["b"]
    folder = trials(straight) / row["trial"]
    assert {file.name for file in folder.iterdir()} == {
        "row.json",
        "curve.parquet",
        "samples.npz",
        "samples.png",
        "neighbours.png",
        "checkpoint.pt",
        "environment.json",
        "log.txt",
        "trial.json",
        "SHA256SUMS",
    }
    assert np.load(folder / "samples.npz", allow_pickle=False)["x"].shape == (50, 1, 8, 8)
    usage = row["usage"]
    assert usage["steps"] == usage["batches"] == 60
    assert usage["images"] == 60 * 32
    assert usage["flops"] > 0
    assert usage["overrun"] == 0
    assert usage["peak_memory"] > 0
    assert set(usage["phases"]) == {"setup", "warm_up", "train", "eval", "io"}
    assert abs(1 - sum(usage["phases"].values()) / usage["wall"]) < 0.02
    assert row["metrics"]["bits_per_dim"]["kind"] == "exact"
    assert row["metrics"]["bits_per_dim"]["value"] < np.log2(17)
    assert row["provenance"]["distribution"] == "faulty-plugin"
    assert row["hardware"]["id"]
    assert set(row["calibration"]) == {"before", "after"}
    curve = pd.read_parquet(folder / "curve.parquet")
    averaged, raw = (curve[curve["weights"] == name] for name in ("averaged", "raw"))
    for points in (averaged, raw):
        assert points["fraction"].tolist() == [0.25, 0.5, 1.0]
        assert points["steps"].tolist() == [15, 30, 60]
    assert averaged["fid"].iloc[-1] == row["metrics"]["fid"]["value"]
    assert raw["fid"].iloc[-1] == row["metrics"]["fid_raw"]["value"]
    assert row["metrics"]["fid_raw"]["value"] != row["metrics"]["fid"]["value"]


def test_a_flop_budget_run_twice_gives_the_same_row_bit_for_bit(tmp_path, environment, monkeypatch):
    """By the command, and in this process, where other trials have been before."""
    path = benchmark(tmp_path, '"vae"', "20 GFLOP")
    ended = run(path, environment)
    assert ended.returncode == 0, ended.stderr
    once = rows(tmp_path)["vae"]
    assert once["usage"]["flops"] >= 2e10
    monkeypatch.setenv(VARIABLE, environment[VARIABLE])
    planned = api.plan(str(path), tmp_path / "again")
    planned.store.prepare()
    folder = planned.store.begin(planned.trials[0])
    with unchanged(SETTINGS):
        torch.set_num_threads(1)
        here = folder, registry(), torch.device("cpu"), Ledger(), Heartbeat(folder)
        twice = TrialRun(planned.trials[0], *here).run()
    assert reproducible_part(once) == reproducible_part(json.loads(twice.model_dump_json()))


def test_a_killed_worker_and_an_interrupted_run_resume_bitwise(tmp_path, straight, environment):
    """kill -9 of the worker leaves a row "killed", as does Ctrl-C; the next run resumes."""
    path = slow_benchmark(tmp_path)
    driver = start(path, environment)
    os.kill(next(midway(tmp_path, driver)), signal.SIGKILL)
    assert end(driver).returncode == 1
    found = rows(tmp_path)
    assert (found["steady"]["status"], found["b"]["status"]) == ("killed", "ok")

    driver = start(path, environment)
    next(midway(tmp_path, driver))
    driver.send_signal(signal.SIGINT)
    assert end(driver).returncode == 130
    row = rows(tmp_path)["steady"]
    assert row["status"] == "killed" and row["reason"].startswith("stopped on request")

    resumed = run(path, environment)
    assert resumed.returncode == 0, resumed.stderr
    found, expected = rows(tmp_path), rows(straight)
    # A start that is stopped before its first step leaves nothing that would count it.
    assert found["steady"]["usage"]["starts"] in (2, 3)
    for label in ("steady", "b"):
        assert reproducible_part(found[label]) == reproducible_part(expected[label])
    pictures = [
        (trials(folder) / row["trial"] / "samples.png").read_bytes()
        for folder, row in ((tmp_path, found["steady"]), (straight, expected["steady"]))
    ]
    assert pictures[0] == pictures[1]

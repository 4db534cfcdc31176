"""Whole runs in real processes: every ending gives one row; kill, resume, repeat."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from support.faulty_plugin import harness, install

MACHINE_DEPENDENT = {"images_per_second", "latency"}


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    return install(tmp_path_factory.mktemp("site"))


def benchmark(
    folder: Path, models: str, budget: str = "40 steps", extra: str = "", evaluation: str = ""
) -> Path:
    path = folder / "mine.toml"
    path.write_text(
        f"""name = "mine"
datasets = ["digits"]
models = [{models}]
budget = "{budget}"
references = false
checkpoint_seconds = 0.05
{extra}
[evaluation]
samples = 50
batch_size = 50
curve = [0.25, 0.5]
likelihood_images = 20
speed_batch_sizes = [1, 8]
speed_seconds = 0.02
{evaluation}
"""
    )
    return path


def run(path: Path, environment, *options, tracking="off"):
    command = harness("run", str(path), "--tracking", tracking, *options, env=environment)
    return subprocess.run(
        command, cwd=path.parent, env=environment, capture_output=True, text=True, timeout=300
    )


def rows(folder: Path) -> dict[str, dict]:
    paths = list((folder / "results/mine/trials").glob("[!.]*/row.json"))
    found = {(row := json.loads(path.read_text()))["label"]: row for path in paths}
    assert len(found) == len(paths), "a trial has two rows"
    return found


def folder_of(folder: Path, row: dict) -> Path:
    return folder / "results/mine/trials" / row["trial"]


def lasting(row: dict) -> dict:
    """What a deterministic budget repeats: figures, digests and what was used, but no times."""
    used = ("flops", "images", "steps", "batches", "overrun", "uncounted")
    return {
        "metrics": {k: v for k, v in row["metrics"].items() if k not in MACHINE_DEPENDENT},
        "digests": row["digests"],
        "usage": {key: row["usage"][key] for key in used},
        "trial": row["trial"],
    }


def test_every_ending_gives_one_truthful_row_and_harms_no_other_trial(tmp_path, environment):
    path = benchmark(
        tmp_path,
        '"raises", "segfaults", "leaves", "hangs", "diverges", "overflows-memory", '
        '"samples-floats", "unsupported", "steady"',
        extra="patience_seconds = 30.0",
    )
    ended = run(path, environment)
    assert ended.returncode == 1, ended.stderr
    found = rows(tmp_path)
    assert {label: row["status"] for label, row in found.items()} == {
        "raises": "error",
        "segfaults": "error",
        "leaves": "error",
        "hangs": "timeout",
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
    assert "exit code 3" in reasons["leaves"]
    assert "silent for 30 s" in reasons["hangs"]
    assert "'nats' is" in reasons["diverges"]
    assert "1 EiB" in reasons["overflows-memory"]
    assert "torch.float32" in reasons["samples-floats"]
    assert reasons["unsupported"] == "it paints in oil only"
    # What a failed trial used stays on the record.
    assert found["raises"]["usage"]["steps"] > 0
    again = run(path, environment)
    assert "9 trials, 9 done before" in again.stdout
    assert rows(tmp_path) == found


def test_a_row_holds_everything(tmp_path, environment):
    path = benchmark(tmp_path, '"steady"', evaluation="raw_weights = true")
    ended = run(path, environment)
    assert ended.returncode == 0, ended.stderr
    (row,) = rows(tmp_path).values()
    folder = folder_of(tmp_path, row)
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
    assert np.load(folder / "samples.npz", allow_pickle=False)["images"].shape == (50, 1, 8, 8)
    usage = row["usage"]
    assert usage["steps"] == usage["batches"] == 40
    assert usage["images"] == 40 * 32
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
    import pandas as pd

    curve = pd.read_parquet(folder / "curve.parquet")
    averaged, raw = (curve[curve["weights"] == name] for name in ("averaged", "raw"))
    for points in (averaged, raw):
        assert points["fraction"].tolist() == [0.25, 0.5, 1.0]
        assert points["steps"].tolist() == [10, 20, 40]
    assert averaged["fid"].iloc[-1] == row["metrics"]["fid"]["value"]
    assert raw["fid"].iloc[-1] == row["metrics"]["fid_raw"]["value"]
    assert row["metrics"]["fid_raw"]["value"] != row["metrics"]["fid"]["value"]


def test_a_flop_budget_run_twice_gives_the_same_row_bit_for_bit(tmp_path, environment):
    both = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        path = benchmark(tmp_path / name, '"vae"', budget="20 GFLOP")
        ended = run(path, environment)
        assert ended.returncode == 0, ended.stderr
        both.append(lasting(rows(tmp_path / name)["vae"]))
    assert both[0]["usage"]["flops"] >= 2e10
    assert both[0] == both[1]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_worker_resumes_bitwise(tmp_path, environment, how):
    """kill -9 of the worker leaves a row "killed", as does Ctrl-C; the next run resumes."""
    slow = '{model = "steady", settings = {step_seconds = 0.05}}, {model = "steady", label = "b"}'
    for name in ("straight", "broken"):
        (tmp_path / name).mkdir()
    path = benchmark(tmp_path / "straight", slow, budget="60 steps")
    assert run(path, environment).returncode == 0

    path = benchmark(tmp_path / "broken", slow, budget="60 steps")
    command = harness("run", str(path), "--tracking", "off", env=environment)
    driver = subprocess.Popen(
        command, cwd=path.parent, env=environment, stdout=subprocess.PIPE, text=True
    )
    worker = _wait_for_checkpoint(tmp_path / "broken")
    os.kill(worker if how == signal.SIGKILL else driver.pid, how)
    driver.communicate(timeout=120)
    found = rows(tmp_path / "broken")
    assert found["steady"]["status"] == "killed"
    if how == signal.SIGKILL:
        assert driver.returncode == 1
        assert found["b"]["status"] == "ok"
    else:
        assert driver.returncode == 130
    resumed = run(path, environment)
    assert resumed.returncode == 0, resumed.stderr
    found, straight = rows(tmp_path / "broken"), rows(tmp_path / "straight")
    assert found["steady"]["usage"]["starts"] == 2
    for label in ("steady", "b"):
        assert lasting(found[label]) == lasting(straight[label])
    curves = [
        (folder_of(tmp_path / name, row) / "samples.png").read_bytes()
        for name, row in (("broken", found["steady"]), ("straight", straight["steady"]))
    ]
    assert curves[0] == curves[1]


def _wait_for_checkpoint(folder: Path) -> int:
    """Return the worker's process once it has trained a while and saved a checkpoint."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        for path in (folder / "results/mine/trials").glob(".*/progress.json"):
            try:
                progress = json.loads(path.read_text())
            except (OSError, ValueError):
                continue
            saved = (path.parent / "checkpoint.pt").exists()
            if saved and 0.2 < progress["fraction"] < 0.8:
                return progress["pid"]
        time.sleep(0.02)
    raise AssertionError("the worker saved no checkpoint")


def test_mistakes_end_with_one_line_and_nothing_written(tmp_path, environment):
    path = benchmark(tmp_path, '"stedy"')
    ended = run(path, environment)
    assert ended.returncode == 2
    assert "did you mean 'steady'" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "results").exists()

"""Whole runs, as a user starts them, with everything that breaks: what is left and what is said."""

import json
import os
import signal
import subprocess
import time

import pytest
import torch
from support.faulty_plugin import harness, install
from support.full_disk import full_disk

from harness.checkpoint import load_checkpoint

pytestmark = pytest.mark.slow

ENDINGS = {
    "steady": ("ok", None),
    "exits": ("error", "SystemExit"),
    "exits-as-if-done": ("error", "without a row"),
    "exits-as-if-stopped": ("error", "exit code 75"),
    "interrupts": ("error", "KeyboardInterrupt"),
    "crashes": ("error", "SIGSEGV"),
    "allocates": ("out_of_memory", "DefaultCPUAllocator"),
    "hangs-at-birth": ("timeout", "silent for 40 s"),
    "hangs-in-sample": ("timeout", "silent for 40 s"),
    "kills-itself": ("killed", "by hand or because"),
    "diverges": ("diverged", "loss 'nats'"),
    "forks": ("ok", None),
    "leaves-threads": ("ok", None),
    "leaves-children": ("ok", None),
    "prints": ("ok", None),
    "disturbs": ("ok", None),
}


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    return install(tmp_path_factory.mktemp("site"))


def benchmark(folder, models, budget="40 steps", patience=300):
    path = folder / "mine.toml"
    path.write_text(
        f"""name = "mine"
datasets = ["digits"]
models = [{models}]
budget = "{budget}"
references = false
checkpoint_seconds = 0.05
patience_seconds = {patience}
[evaluation]
samples = 50
batch_size = 50
metrics = ["fid"]
curve = [0.5]
likelihood_images = 20
speed_batch_sizes = [1]
speed_seconds = 0.01
"""
    )
    return path


def start(path, environment, *options):
    command = harness("run", str(path), "--tracking", "off", "--threads", "1", *options, env={})
    return subprocess.Popen(
        command,
        cwd=path.parent,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(driver):
    out, err = driver.communicate(timeout=550)
    return driver.returncode, out, err


def rows(folder):
    found = [json.loads(path.read_text()) for path in folder.glob("[!.]*/row.json")]
    by_label = {row["label"]: row for row in found}
    assert len(by_label) == len(found), "a trial has two rows"
    return by_label


def wait_for(folder, what, driver):
    """Wait until a trial that works has a file; return the file."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and driver.poll() is None:
        for path in folder.glob(f".*/{what}"):
            return path
        time.sleep(0.02)
    raise AssertionError(f"there never was a {what}")


def test_every_fault_in_one_run_leaves_one_truthful_row_a_trial(tmp_path, environment):
    models = ", ".join(f'"{name}"' for name in ENDINGS)
    path = benchmark(tmp_path, models, patience=40)
    code, out, err = end(start(path, environment, "--workers", "2"))
    assert code == 1, err
    trials = tmp_path / "results/mine/trials"
    found = rows(trials)
    assert {name: row["status"] for name, row in found.items()} == {
        name: status for name, (status, _) in ENDINGS.items()
    }
    for name, (_, reason) in ENDINGS.items():
        assert reason is None or reason in found[name]["reason"]
    for name in ("forks", "leaves-threads", "leaves-children", "prints", "disturbs"):
        assert found[name]["digests"] == found["steady"]["digests"]
        fids = [found[label]["metrics"]["fid"]["value"] for label in (name, "steady")]
        assert fids[0] == fids[1]
    assert "threads was changed to 3" in " ".join(found["disturbs"]["provenance"]["disturbed"])
    assert not any("disturbed" in row["provenance"] for n, row in found.items() if n != "disturbs")
    log = (trials / found["prints"]["trial"] / "log.txt").read_bytes()
    assert log.startswith(b"first") or b"first" in log[:10_000]
    assert b"last" in log and len(log) < 20 * 2**20
    assert not list(trials.glob(".*"))
    # What is final is not run again; what was killed is.
    found.pop("kills-itself")
    code, out, err = end(start(path, environment))
    assert code == 1 and f"{len(ENDINGS)} trials, {len(ENDINGS) - 1} done before" in out
    again = rows(trials)
    assert again.pop("kills-itself")["status"] == "killed"
    assert again == found


def test_ctrl_c_stops_with_a_checkpoint_and_twice_stops_now(tmp_path, environment):
    slow = '{model = "steady", settings = {step_seconds = 0.1}}, {model = "hangs", label = "deaf"}'
    path = benchmark(tmp_path, slow, "200 steps")
    trials = tmp_path / "results/mine/trials"
    driver = start(path, environment, "--workers", "2")
    wait_for(trials, "checkpoint.pt", driver)
    time.sleep(3)
    driver.send_signal(signal.SIGINT)
    time.sleep(3)
    # The one that does not listen keeps the driver waiting, for half a minute if it is let.
    assert driver.poll() is None
    asked_again = time.monotonic()
    driver.send_signal(signal.SIGINT)
    code, _, err = end(driver)
    assert code == 130 and time.monotonic() - asked_again < 20
    assert "Traceback" not in err
    found = rows(trials)
    assert {name: row["status"] for name, row in found.items()} == {
        "steady": "killed",
        "deaf": "killed",
    }
    assert found["steady"]["reason"].startswith("stopped on request at")
    assert found["deaf"]["reason"].startswith("asked to stop at 0% of the budget, and killed")
    path = benchmark(tmp_path, '{model = "steady", settings = {step_seconds = 0.1}}', "200 steps")
    driver = start(path, environment)
    wait_for(trials, "progress.json", driver)
    driver.terminate()
    code, _, err = end(driver)
    assert code == 130, err
    code, _, err = end(start(path, environment))
    assert code == 0, err
    assert rows(trials)["steady"]["usage"]["starts"] >= 2


def test_a_full_disk_stops_the_run_and_loses_nothing(tmp_path, environment):
    model = '{model = "steady", settings = {step_seconds = 0.05}}'
    (tmp_path / "straight").mkdir()
    code, _, err = end(start(benchmark(tmp_path / "straight", model), environment))
    assert code == 0, err
    expected = rows(tmp_path / "straight/results/mine/trials")["steady"]
    with full_disk(tmp_path / "disk", "3m") as disk:
        path = benchmark(disk, model)
        trials = disk / "results/mine/trials"
        driver = start(path, environment)
        checkpoint = wait_for(trials, "checkpoint.pt", driver)
        fill(disk / "ballast")
        code, out, err = end(driver)
        assert code == 2, out + err
        assert "no space is left for results/mine; free some and run again to resume" in err
        assert "Traceback" not in err
        assert not rows(trials)
        assert load_checkpoint(checkpoint.parent, torch.device("cpu")) is not None
        (disk / "ballast").unlink()
        code, _, err = end(start(path, environment))
        assert code == 0, err
        row = rows(trials)["steady"]
    assert row["usage"]["starts"] == 2
    assert row["digests"] == expected["digests"]
    assert row["metrics"]["fid"] == expected["metrics"]["fid"]


def fill(path):
    """Write until nothing more goes in."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    size = 2**16
    while size:
        try:
            os.write(descriptor, bytes(size))
        except OSError:
            size //= 2
    os.close(descriptor)


def test_a_damaged_checkpoint_is_told_and_the_trial_starts_anew(tmp_path, environment):
    model = '{model = "steady", settings = {step_seconds = 0.05}}'
    path = benchmark(tmp_path, model, "60 steps")
    trials = tmp_path / "results/mine/trials"
    driver = start(path, environment)
    wait_for(trials, "checkpoint.pt", driver)
    driver.send_signal(signal.SIGINT)
    assert end(driver)[0] == 130
    (checkpoint,) = trials.glob("*/checkpoint.pt")
    content = bytearray(checkpoint.read_bytes())
    content[len(content) // 2] ^= 8
    checkpoint.write_bytes(content)
    code, _, err = end(start(path, environment))
    assert code == 0, err
    row = rows(trials)["steady"]
    assert row["usage"]["starts"] == 1
    told = row["provenance"]["checkpoint"]
    assert "checkpoint.pt is damaged: its SHA-256" in told and "started anew" in told
    assert "checkpoint.pt is damaged" in (trials / row["trial"] / "log.txt").read_text()

"""Whole runs, as a user starts them, with everything that breaks: what is left and what is said."""

import os
import signal
import time

import pytest
import torch
from support.faulty_plugin import install
from support.full_disk import full_disk
from support.memory_limit import memory_limit
from support.whole_runs import benchmark, end, rows, run, start, trials, wait_for

from harness.storage.checkpoint import load_checkpoint

pytestmark = pytest.mark.slow

ENDINGS = {
    "steady": ("ok", None),
    "exits": ("error", "SystemExit"),
    "exits-as-if-done": ("error", "without a row"),
    "exits-as-if-stopped": ("error", "exited with code 75"),
    "interrupts": ("error", "KeyboardInterrupt"),
    "crashes": ("error", "SIGSEGV"),
    "allocates": ("out_of_memory", "DefaultCPUAllocator"),
    "hangs": ("timeout", "silent for 40 s"),
    "hangs-at-birth": ("timeout", "silent for 40 s"),
    "hangs-in-sample": ("timeout", "silent for 40 s"),
    "kills-itself": ("killed", "by a user or because"),
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


def brief(folder, models, budget="40 steps", patience=300):
    extra = f"patience_seconds = {patience}"
    return benchmark(folder, models, budget, extra, evaluation='metrics = ["fid"]')


def test_every_fault_in_one_run_leaves_one_truthful_row_a_trial(tmp_path, environment):
    models = ", ".join(f'"{name}"' for name in ENDINGS)
    path = brief(tmp_path, models, patience=40)
    ended = run(path, environment, "--workers", "2")
    assert ended.returncode == 1, ended.stderr
    found = rows(tmp_path)
    assert {name: row["status"] for name, row in found.items()} == {
        name: status for name, (status, _) in ENDINGS.items()
    }
    for name, (_, reason) in ENDINGS.items():
        assert reason is None or reason in found[name]["reason"]
    for name in ("forks", "leaves-threads", "leaves-children", "prints", "disturbs"):
        assert found[name]["digests"] == found["steady"]["digests"]
        fids = [found[label]["metrics"]["fid"]["value"] for label in (name, "steady")]
        assert fids[0] == fids[1]
    assert "threads was changed to 3" in " ".join(found["disturbs"]["provenance"]["restored"])
    assert not any("restored" in row["provenance"] for n, row in found.items() if n != "disturbs")
    log = (trials(tmp_path) / found["prints"]["trial"] / "log.txt").read_bytes()
    assert log.startswith(b"first") or b"first" in log[:10_000]
    assert b"last" in log and len(log) < 20 * 2**20
    assert not list(trials(tmp_path).glob(".*"))
    # What is final is not run again; what was killed is.
    found.pop("kills-itself")
    ended = run(path, environment)
    assert ended.returncode == 1
    assert f"{len(ENDINGS)} trials, {len(ENDINGS) - 1} done before" in ended.stdout
    again = rows(tmp_path)
    assert again.pop("kills-itself")["status"] == "killed"
    assert again == found


def test_the_kernel_kills_what_takes_all_memory_and_nothing_else(tmp_path, environment):
    path = brief(tmp_path, '"swallows", "steady"', "100 steps")
    with memory_limit(3 * 2**29) as processes:
        driver = start(path, environment, "--workers", "2")
        processes.write_text(str(driver.pid))
        ended = end(driver)
    assert ended.returncode == 1, ended.stderr
    found = rows(tmp_path)
    assert {name: row["status"] for name, row in found.items()} == {
        "swallows": "out_of_memory",
        "steady": "ok",
    }
    assert "the system killed the worker" in found["swallows"]["reason"]
    assert "because memory ran out" in found["swallows"]["reason"]
    assert 2**28 < found["swallows"]["usage"]["peak_memory"] < 3 * 2**29


def test_ctrl_c_stops_with_a_checkpoint_and_twice_stops_now(tmp_path, environment):
    slow = '{model = "steady", settings = {step_seconds = 0.1}}, {model = "hangs", label = "deaf"}'
    path = brief(tmp_path, slow, "200 steps")
    driver = start(path, environment, "--workers", "2")
    wait_for(tmp_path, "checkpoint.pt", driver)
    time.sleep(3)
    driver.send_signal(signal.SIGINT)
    time.sleep(3)
    # The one that does not listen keeps the driver waiting, for half a minute if it is let.
    assert driver.poll() is None
    asked_again = time.monotonic()
    driver.send_signal(signal.SIGINT)
    stopped = end(driver)
    assert stopped.returncode == 130 and time.monotonic() - asked_again < 20
    assert "Traceback" not in stopped.stderr
    found = rows(tmp_path)
    assert {name: row["status"] for name, row in found.items()} == {
        "steady": "killed",
        "deaf": "killed",
    }
    assert found["steady"]["reason"].startswith("stopped on request at")
    assert found["deaf"]["reason"].startswith("asked to stop at 0% of the budget, and killed")
    path = brief(tmp_path, '{model = "steady", settings = {step_seconds = 0.1}}', "200 steps")
    driver = start(path, environment)
    wait_for(tmp_path, "progress.json", driver)
    driver.terminate()
    stopped = end(driver)
    assert stopped.returncode == 130, stopped.stderr
    resumed = run(path, environment)
    assert resumed.returncode == 0, resumed.stderr
    assert rows(tmp_path)["steady"]["usage"]["starts"] >= 2


def test_a_full_disk_stops_the_run_and_loses_nothing(tmp_path, environment):
    model = '{model = "steady", settings = {step_seconds = 0.05}}'
    (tmp_path / "straight").mkdir()
    ended = run(brief(tmp_path / "straight", model), environment)
    assert ended.returncode == 0, ended.stderr
    expected = rows(tmp_path / "straight")["steady"]
    with full_disk(tmp_path / "disk", "3m") as disk:
        path = brief(disk, model)
        driver = start(path, environment)
        checkpoint = wait_for(disk, "checkpoint.pt", driver)
        fill(disk / "ballast")
        full = end(driver)
        assert full.returncode == 2, full.stdout + full.stderr
        message = "no space is left for results/mine; free some and run again to resume"
        assert message in full.stderr
        assert "Traceback" not in full.stderr
        assert not rows(disk)
        assert load_checkpoint(checkpoint.parent, torch.device("cpu")) is not None
        (disk / "ballast").unlink()
        resumed = run(path, environment)
        assert resumed.returncode == 0, resumed.stderr
        row = rows(disk)["steady"]
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


def test_a_damaged_checkpoint_is_reported_and_the_trial_is_restarted(tmp_path, environment):
    model = '{model = "steady", settings = {step_seconds = 0.05}}'
    path = brief(tmp_path, model, "60 steps")
    driver = start(path, environment)
    wait_for(tmp_path, "checkpoint.pt", driver)
    driver.send_signal(signal.SIGINT)
    assert end(driver).returncode == 130
    (checkpoint,) = trials(tmp_path).glob("*/checkpoint.pt")
    content = bytearray(checkpoint.read_bytes())
    content[len(content) // 2] ^= 8
    checkpoint.write_bytes(content)
    resumed = run(path, environment)
    assert resumed.returncode == 0, resumed.stderr
    row = rows(tmp_path)["steady"]
    assert row["usage"]["starts"] == 1
    message = row["provenance"]["checkpoint"]
    assert "checkpoint.pt is damaged: its SHA-256" in message and "was restarted" in message
    log = (trials(tmp_path) / row["trial"] / "log.txt").read_text()
    assert "checkpoint.pt is damaged" in log

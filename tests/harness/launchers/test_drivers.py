"""Several ``harness run`` at once on one results folder, in real processes."""

import json
import subprocess
import time

import psutil
import pytest
from support.faulty_plugin import harness, install

pytestmark = pytest.mark.slow

MACHINE_DEPENDENT = {"images_per_second", "latency"}


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    return install(tmp_path_factory.mktemp("site"))


def benchmark(folder, name="mine.toml", labels=("a", "b"), seeds=(0, 1, 2)):
    entries = ", ".join(
        f'{{model = "steady", label = "{label}", settings = {{step_seconds = 0.05}}}}'
        for label in labels
    )
    (folder / name).write_text(
        f"""name = "mine"
datasets = ["digits"]
models = [{entries}]
budget = "60 steps"
seeds = {list(seeds)}
references = false
checkpoint_seconds = 0.2
[evaluation]
samples = 50
batch_size = 50
curve = [0.5]
likelihood_images = 20
speed_batch_sizes = [1]
speed_seconds = 0.02
"""
    )
    return name


def drive(folder, environment, name="mine.toml"):
    command = harness("run", name, "--tracking", "off", "--threads", "1", env=environment)
    return subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def rows(folder):
    paths = list((folder / "results/mine/trials").glob("[!.]*/row.json"))
    found = {(r := json.loads(p.read_text()))["label"] + str(r["seed"]): r for p in paths}
    assert len(found) == len(paths), "a trial has two rows"
    return found


def lasting(row):
    """What a deterministic budget repeats."""
    used = ("flops", "images", "steps", "batches")
    return {
        "metrics": {k: v for k, v in row["metrics"].items() if k not in MACHINE_DEPENDENT},
        "digests": row["digests"],
        "usage": {key: row["usage"][key] for key in used},
    }


def started(output):
    return [line.split(None, 1)[1] for line in output.splitlines() if line.startswith("started")]


def ended(output):
    return sum(line.startswith("[") for line in output.splitlines())


@pytest.mark.parametrize("drivers", [2, 3])
def test_each_trial_runs_once_and_every_driver_ends_with_the_full_report(
    tmp_path, environment, drivers
):
    benchmark(tmp_path)
    running = [drive(tmp_path, environment) for _ in range(drivers)]
    outputs = [driver.communicate(timeout=600)[0] for driver in running]
    assert [driver.returncode for driver in running] == [0] * drivers, outputs
    found = rows(tmp_path)
    assert sorted(found) == ["a0", "a1", "a2", "b0", "b1", "b2"]
    assert {row["status"] for row in found.values()} == {"ok"}
    assert {row["usage"]["starts"] for row in found.values()} == {1}
    begun = [title for output in outputs for title in started(output)]
    assert len(begun) == len(set(begun)) == 6
    assert all(started(output) for output in outputs), "one did everything"
    for output in outputs:
        assert ended(output) == 6 or f"{6 - ended(output)} done before" in output
        assert "leaderboard.md" in output
    again = drive(tmp_path, environment)
    assert "6 trials, 6 done before" in again.communicate(timeout=600)[0]


def test_the_others_finish_what_a_killed_driver_leaves_bit_for_bit(tmp_path, environment):
    for name in ("straight", "broken"):
        (tmp_path / name).mkdir()
        benchmark(tmp_path / name)
    straight = drive(tmp_path / "straight", environment)
    assert straight.wait(600) == 0
    folder = tmp_path / "broken"
    running = [drive(folder, environment) for _ in range(3)]
    victim = next(_midway(folder, running))
    workers = psutil.Process(victim.pid).children(recursive=True)
    victim.kill()
    victim.communicate()
    outputs = [d.communicate(timeout=600)[0] for d in running if d is not victim]
    assert [d.returncode for d in running if d is not victim] == [0, 0], outputs
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert not alive
    found, expected = rows(folder), rows(tmp_path / "straight")
    assert {key: lasting(row) for key, row in found.items()} == {
        key: lasting(row) for key, row in expected.items()
    }
    assert sorted(row["usage"]["starts"] for row in found.values())[-1] == 2


def _midway(folder, drivers):
    """Yield a driver whose worker has trained for a while and saved a checkpoint."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        for path in (folder / "results/mine/trials").glob(".*/progress.json"):
            try:
                progress = json.loads(path.read_text())
                worker = psutil.Process(progress["pid"])
                owners = {parent.pid for parent in worker.parents()}
            except (OSError, ValueError, psutil.Error):
                continue
            saved = (path.parent / "checkpoint.pt").exists()
            if saved and progress["phase"] == "train" and 0.2 < progress["fraction"] < 0.7:
                yield from (driver for driver in drivers if driver.pid in owners)
        time.sleep(0.02)
    raise AssertionError("no worker saved a checkpoint")


def test_benchmarks_that_overlap_share_what_they_have_in_common(tmp_path, environment):
    one = benchmark(tmp_path, "one.toml", labels=("a", "b"), seeds=(0, 1))
    two = benchmark(tmp_path, "two.toml", labels=("b", "c"), seeds=(0, 1))
    running = [drive(tmp_path, environment, name) for name in (one, two)]
    outputs = [driver.communicate(timeout=600)[0] for driver in running]
    assert [driver.returncode for driver in running] == [0, 0], outputs
    begun = [title for output in outputs for title in started(output)]
    assert len(begun) == len(set(begun)) == 6
    assert sorted(rows(tmp_path)) == ["a0", "a1", "b0", "b1", "c0", "c1"]
    for output in outputs:
        assert ended(output) == 4 or f"{4 - ended(output)} done before" in output

"""Benchmarks run as a user runs them, by the command in a process of its own, and their rows."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from support.faulty_plugin import harness

MACHINE_DEPENDENT = {"images_per_second", "latency"}


def benchmark(
    folder: Path,
    models: str,
    budget: str = "40 steps",
    extra: str = "",
    evaluation: str = "",
    name: str = "mine.toml",
) -> Path:
    """Write the file of a benchmark called "mine" that takes moments; return its path."""
    path = folder / name
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


def start(path: Path, environment: dict[str, str], *options: str) -> subprocess.Popen[str]:
    """Start ``harness run`` beside the file, with one thread per worker and without MLflow."""
    always = ("--tracking", "off", "--threads", "1")
    return subprocess.Popen(
        harness("run", path.name, *always, *options, env=environment),
        cwd=path.parent,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(driver: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    """Wait until a run has ended."""
    out, err = driver.communicate(timeout=550)
    return subprocess.CompletedProcess(driver.args, driver.returncode, out, err)


def run(path: Path, environment: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    return end(start(path, environment, *options))


def trials(folder: Path) -> Path:
    """Return the folder of the trials of a run in ``folder``."""
    return folder / "results/mine/trials"


def rows(
    folder: Path, key: Callable[[dict[str, Any]], str] = lambda row: row["label"]
) -> dict[str, dict[str, Any]]:
    """Return the rows of a run in ``folder``, by label."""
    found = [json.loads(path.read_text()) for path in trials(folder).glob("[!.]*/row.json")]
    keyed = {key(row): row for row in found}
    assert len(keyed) == len(found), "a trial has two rows"
    return keyed


def reproducible_part(row: dict[str, Any]) -> dict[str, Any]:
    """What a deterministic budget repeats: figures, digests and what was used, but no times."""
    used = ("flops", "images", "steps", "batches", "overrun", "uncounted")
    return {
        "trial": row["trial"],
        "status": row["status"],
        "metrics": {k: v for k, v in row["metrics"].items() if k not in MACHINE_DEPENDENT},
        "digests": row["digests"],
        "usage": {key: row["usage"][key] for key in used},
    }


def wait_for(folder: Path, what: str, driver: subprocess.Popen[str]) -> Path:
    """Wait until a trial at work has a file; return the file."""
    while driver.poll() is None:
        for path in trials(folder).glob(f".*/{what}"):
            return path
        time.sleep(0.02)
    raise AssertionError(f"there never was a {what}: {driver.communicate()}")


def midway(folder: Path, driver: subprocess.Popen[str]) -> Iterator[int]:
    """Yield workers that have trained for a while and saved a checkpoint, while a run goes on."""
    while driver.poll() is None:
        for path in trials(folder).glob(".*/progress.json"):
            try:
                progress = json.loads(path.read_text())
            except (OSError, ValueError):
                continue
            saved = (path.parent / "checkpoint.pt").exists()
            if saved and progress["phase"] == "train" and 0.2 < progress["fraction"] < 0.7:
                yield progress["pid"]
        time.sleep(0.02)
    raise AssertionError(f"no worker saved a checkpoint: {driver.communicate()}")

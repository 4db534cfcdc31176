"""Speed-up of a benchmark of single-threaded trials by two workers over one.

    python scripts/speed_up.py --workers 2 --steps 1500

Runs eight trials with one worker, with several, and with one again, each with one thread, under a
budget of steps. Prints the wall times, their ratio, and the ratio of each trial's device-seconds,
beside that between the two runs with one worker, which is the machine's own variation. Nothing else
should run on it meanwhile.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import harness

BENCHMARK = """
name = "speed-up"
datasets = ["digits"]
models = ["{model}"]
budget = "{steps} steps"
seeds = {seeds}
references = false
[evaluation]
samples = 100
batch_size = 100
curve = []
likelihood_images = 50
speed_batch_sizes = [1]
speed_seconds = 0.1
"""


def measure(benchmark: Path, workers: int) -> tuple[float, dict[int, float]]:
    """Return the wall time of a run, and the device-seconds of each trial by seed."""
    with tempfile.TemporaryDirectory() as results:
        begin = time.monotonic()
        frame = harness.run(
            str(benchmark), results, tracking="off", devices=["cpu"], workers=workers, threads=1
        )
        wall = time.monotonic() - begin
    if set(frame["status"]) != {"ok"}:
        raise SystemExit(frame[["seed", "status", "reason"]].to_string())
    return wall, dict(zip(frame["seed"], frame["seconds"], strict=True))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="ddpm")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        benchmark = Path(folder) / "speed-up.toml"
        seeds = list(range(arguments.trials))
        text = BENCHMARK.format(model=arguments.model, steps=arguments.steps, seeds=seeds)
        benchmark.write_text(text)
        measure(benchmark, arguments.workers)  # caches are filled, files are in memory
        alone, before = measure(benchmark, 1)
        together, beside = measure(benchmark, arguments.workers)
        again, after = measure(benchmark, 1)
    print(
        f"one worker: {alone:.1f} s, {again:.1f} s; {arguments.workers} workers: {together:.1f} s"
    )
    print(f"speed-up: {statistics.mean((alone, again)) / together:.2f}")
    print("device-seconds of a trial:")
    means = {seed: statistics.mean((before[seed], after[seed])) for seed in seeds}
    print(f"  beside others over alone: {compared(beside, means)}")
    print(f"  alone again over alone: {compared(after, before)}")


def compared(these: dict[int, float], those: dict[int, float]) -> str:
    """Describe the ratios of figures of the same trials."""
    ratios = [these[seed] / those[seed] for seed in those]
    return f"median {statistics.median(ratios):.3f}, from {min(ratios):.3f} to {max(ratios):.3f}"


if __name__ == "__main__":
    main()

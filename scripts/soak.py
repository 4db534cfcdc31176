"""Break a benchmark at random until it has been killed often enough, and hold it to a quiet run.

    python scripts/soak.py FOLDER --kills 50 --minutes 30 --seed 0

A mixed benchmark of small models, some of which fail, runs undisturbed. Then it runs in rounds,
each in a results folder of its own: workers and drivers are killed, interrupted, asked to stop,
stopped for a while, and checkpoints damaged, at random moments; the same command is run again until
every trial has ended. A round is right if each trial has one row, no row that stood was written
again, and every row says what the quiet run's does, bit for bit where a step budget promises it.
Prints a line a fault and a tally; exit code 1 if anything was lost, doubled or changed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Container, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from support.faulty_plugin import install  # noqa: E402

BENCHMARK = """name = "soak"
datasets = ["digits"]
budget = "150 steps"
seeds = [0, 1]
references = true
checkpoint_seconds = 0.1
patience_seconds = 120.0
models = [
  {model = "steady", settings = {step_seconds = 0.1}},
  {model = "vae", settings = {width = 8, importance_samples = 4}},
  {model = "ddpm", settings = {sampling_steps = 4, likelihood_terms = 2}},
  "dcgan",
  "diverges", "allocates", "crashes", "raises",
]
[evaluation]
samples = 100
batch_size = 50
metrics = ["fid"]
curve = [0.25, 0.5]
likelihood_images = 20
speed_batch_sizes = [1]
speed_seconds = 0.01
"""
TIMES = ("images_per_second", "latency")
USED = ("flops", "images", "steps", "batches", "overrun")
KILLS = ("kill a worker", "kill the driver", "kill both")
FAULTS = (
    *KILLS,
    *KILLS,
    "Ctrl-C",
    "Ctrl-C twice",
    "terminate the driver",
    "terminate a worker",
    "stop a worker for a while",
    "damage a checkpoint",
    "run it twice",
)


def lasting(row: dict[str, Any]) -> dict[str, Any]:
    """Return what a row says that every run must repeat."""
    said = {name: row[name] for name in ("label", "seed", "status", "config", "digests")}
    if row["status"] in ("ok", "skipped"):
        said["usage"] = {name: row["usage"][name] for name in USED}
        said["metrics"] = {k: v for k, v in row["metrics"].items() if k not in TIMES}
    return said


class Soak:
    """A results folder, the command that fills it, and what is known of its rows.

    Args:
        folder: has the benchmark; results go below it.
        environment: in which the faulty plugin is found.
        dice: decide what breaks, and when.
        tally: of faults.
    """

    def __init__(
        self, folder: Path, environment: dict[str, str], dice: random.Random, tally: Counter[str]
    ) -> None:
        self.folder = folder
        self.environment = environment
        self.dice = dice
        self.tally = tally
        self.stood: dict[str, bytes] = {}

    @property
    def trials(self) -> Path:
        """Folder of the trials."""
        return self.folder / "results/soak/trials"

    def start(self) -> subprocess.Popen[bytes]:
        """Start the driver."""
        command = [sys.executable, "-m", "harness", "run", "soak.toml", "--tracking", "off"]
        command += ["--threads", "1", "--workers", "2"]
        with open(self.folder / "driver.txt", "ab") as log:
            return subprocess.Popen(
                command, cwd=self.folder, env=self.environment, stdout=log, stderr=log
            )

    def disturb(self) -> None:
        """Run it until a fault, and then to the end of the driver."""
        driver = self.start()
        fault = self.dice.choice(FAULTS)
        if self._wait(driver, fault):
            self.tally[fault] += 1
            print(f"{time.strftime('%X')} {fault}", flush=True)
            getattr(self, "_" + fault.lower().replace(" ", "_").replace("-", "_"))(driver)
        code = driver.wait()
        self.tally[f"driver left with {code}"] += 1
        if code not in (0, 1, 130, -signal.SIGKILL, -signal.SIGINT, -signal.SIGTERM):
            raise AssertionError(f"exit code {code}; see {self.folder / 'driver.txt'}")
        self.check()

    def check(self) -> dict[str, dict[str, Any]]:
        """Return the rows by trial; raises ``AssertionError`` if one that stood has changed."""
        rows = {}
        for path in self.trials.glob("[!.]*/row.json"):
            content = path.read_bytes()
            row = json.loads(content)
            assert row["trial"] == path.parent.name, f"{path} is of trial {row['trial']}"
            rows[row["trial"]] = row
            if row["status"] != "killed":
                before = self.stood.setdefault(row["trial"], content)
                assert before == content, f"{path} was written twice"
        assert self.stood.keys() <= rows.keys(), "a row is lost"
        names = Counter((row["label"], row["seed"]) for row in rows.values())
        assert all(count == 1 for count in names.values()), "a trial has two rows"
        return rows

    def _wait(self, driver: subprocess.Popen[bytes], fault: str) -> bool:
        """Wait for a random moment; return whether the driver is still there."""
        seconds = 15.0
        if self.dice.random() < 0.8:
            seconds = 5.0
            phases = {"train", "eval"} if self.dice.random() < 0.8 else None
            while driver.poll() is None and not list(self._workers(phases)):
                time.sleep(0.02)
        deadline = time.monotonic() + self.dice.uniform(0, seconds)
        while driver.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        return driver.poll() is None

    def _workers(self, phases: Container[str] | None = None) -> Iterator[int]:
        """Yield the processes of the workers that live, and are in one of the phases."""
        for path in self.trials.glob(".*/progress.json"):
            # Written at this moment, or by a worker whose number another process has by now.
            with suppress(OSError, ValueError, psutil.Error):
                said = json.loads(path.read_text())
                if phases is not None and said["phase"] not in phases:
                    continue
                if psutil.Process(said["pid"]).cwd() == str(self.folder):
                    yield said["pid"]

    def _signal_worker(self, number: int) -> None:
        for pid in self._workers():
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _kill_a_worker(self, driver: subprocess.Popen[bytes]) -> None:
        self._signal_worker(signal.SIGKILL)
        self._then_end(driver)

    def _kill_the_driver(self, driver: subprocess.Popen[bytes]) -> None:
        driver.kill()

    def _kill_both(self, driver: subprocess.Popen[bytes]) -> None:
        driver.kill()
        self._signal_worker(signal.SIGKILL)

    def _ctrl_c(self, driver: subprocess.Popen[bytes]) -> None:
        driver.send_signal(signal.SIGINT)

    def _ctrl_c_twice(self, driver: subprocess.Popen[bytes]) -> None:
        driver.send_signal(signal.SIGINT)
        time.sleep(self.dice.uniform(0, 0.5))
        driver.send_signal(signal.SIGINT)

    def _terminate_the_driver(self, driver: subprocess.Popen[bytes]) -> None:
        driver.terminate()

    def _terminate_a_worker(self, driver: subprocess.Popen[bytes]) -> None:
        self._signal_worker(signal.SIGTERM)
        self._then_end(driver)

    def _stop_a_worker_for_a_while(self, driver: subprocess.Popen[bytes]) -> None:
        workers = list(self._workers())
        self._signal_worker(signal.SIGSTOP)
        time.sleep(self.dice.uniform(0, 3))
        for pid in workers:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        self._then_end(driver)

    def _damage_a_checkpoint(self, driver: subprocess.Popen[bytes]) -> None:
        """Flip a bit, or cut the file, once nobody writes it; the next run meets the damage."""
        driver.kill()
        self._signal_worker(signal.SIGKILL)
        driver.wait()
        time.sleep(0.5)
        for path in self.trials.glob(".*/checkpoint.pt"):
            content = bytearray(path.read_bytes())
            place = self.dice.randrange(len(content))
            if self.dice.random() < 0.5:
                content[place] ^= 1 << self.dice.randrange(8)
            else:
                del content[place:]
            path.write_bytes(content)

    def _run_it_twice(self, driver: subprocess.Popen[bytes]) -> None:
        second = self.start()
        time.sleep(self.dice.uniform(0, 12))
        self.dice.choice((driver, second)).kill()
        self._then_end(driver)
        self._then_end(second)
        second.wait()

    def _then_end(self, driver: subprocess.Popen[bytes]) -> None:
        """Let the run go on for a while, and stop it, so that there is something left to break."""
        with suppress(subprocess.TimeoutExpired):
            driver.wait(self.dice.uniform(0, 10))
        if driver.poll() is None:
            driver.terminate()


def quiet(folder: Path, environment: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Run the benchmark undisturbed; return its rows."""
    calm = Soak(folder, environment, random.Random(), Counter())
    code = calm.start().wait()
    assert code == 1, f"exit code {code} instead of 1; see {folder / 'driver.txt'}"
    return calm.check()


def make(folder: Path) -> Path:
    """Make a folder with the benchmark."""
    folder.mkdir(parents=True)
    (folder / "soak.toml").write_text(BENCHMARK)
    return folder


def main() -> None:
    """Run the soak that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="to be made")
    parser.add_argument("--kills", type=int, default=50, help="at least so many")
    parser.add_argument("--minutes", type=float, default=0.0, help="at least so long")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    # What a shell starts in the background ignores Ctrl-C, and the drivers would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    folder = arguments.folder.absolute()
    environment = install(folder / "site")
    dice, tally = random.Random(arguments.seed), Counter[str]()
    expected = quiet(make(folder / "quiet"), environment)
    print(f"quiet run: {len(expected)} rows", Counter(r["status"] for r in expected.values()))
    began, rounds, starts = time.monotonic(), 0, 0
    while True:
        soak = Soak(make(folder / f"round-{rounds}"), environment, dice, tally)
        over = False
        while not over and len(soak.stood) < len(expected):
            soak.disturb()
            long_enough = time.monotonic() - began >= 60 * arguments.minutes
            over = long_enough and sum(tally[name] for name in KILLS) >= arguments.kills
        code = soak.start().wait()
        assert code == 1, f"exit code {code} instead of 1; see {soak.folder / 'driver.txt'}"
        rows = soak.check()
        assert rows.keys() == expected.keys(), "rows are lost, or too many"
        for trial, row in rows.items():
            assert lasting(row) == lasting(expected[trial]), (
                f"{soak.trials / trial} is not what the quiet run found"
            )
        rounds += 1
        starts += sum(row["usage"]["starts"] for row in rows.values())
        print(f"round {rounds}: all {len(rows)} rows are those of the quiet run", flush=True)
        if over:
            break
    minutes = (time.monotonic() - began) / 60
    kills = sum(tally[name] for name in KILLS)
    print(f"{minutes:.1f} minutes, {rounds} rounds, {kills} kills -9, {starts} starts of workers")
    for name, count in sorted(tally.items()):
        print(f"{count:5d}  {name}")


if __name__ == "__main__":
    main()

"""Break a benchmark at random for a while, and compare its rows with those of a quiet run.

    python scripts/soak.py FOLDER --kills 50 --minutes 30 --seed 0

A mixed benchmark of small models, one of which trains on two devices and some of which fail, runs
undisturbed. Then it runs in rounds, each in a results folder of its own: workers, their server and
drivers are killed, interrupted, asked to stop, stopped for a while, checkpoints damaged and, where
a small one may be mounted, the disk filled, at random moments; the same command is run again until
every trial has ended. A round is right if each trial has one row, no row that stood was written
again, and every row says what the quiet run's does, bit for bit where a step budget promises it.
Prints one line per fault and a tally; exit code 1 if anything was lost, doubled or changed.
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
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from support import whole_runs  # noqa: E402
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
  {model = "steady", label = "on two", settings = {step_seconds = 0.05}, devices = 2},
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
KILLS = ("kill workers", "kill the driver", "kill both", "kill the server", "kill a follower")
DISK = "fill the disk"
FAULTS = (
    *KILLS,
    *KILLS,
    "Ctrl-C",
    "Ctrl-C twice",
    "terminate the driver",
    "terminate workers",
    "stop workers for a while",
    "damage checkpoints",
    "run it twice",
)
FULL = 2
"""Exit code of a run that has no space left."""


def reproducible_part(row: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a row that every run must reproduce."""
    said = {name: row[name] for name in ("label", "seed", "status", "config", "digests")}
    return said | whole_runs.reproducible_part(row) if row["status"] in ("ok", "skipped") else said


class Soak:
    """A results folder, the command that fills it, and its known rows.

    Args:
        folder: has the benchmark; results go below it.
        environment: in which the faulty plugin is found.
        dice: random generator that decides what breaks, and when.
        tally: of faults, of signals that reached a process, and of exit codes.
        faults: to choose from.
    """

    def __init__(
        self,
        folder: Path,
        environment: dict[str, str],
        rng: random.Random,
        tally: Counter[str],
        faults: tuple[str, ...] = FAULTS,
    ) -> None:
        self.folder = folder
        self.environment = environment
        self.rng = rng
        self.tally = tally
        self.faults = faults
        self.log = folder.with_suffix(".txt")
        self.stood: dict[str, bytes] = {}

    @property
    def trials(self) -> Path:
        """Folder of the trials."""
        return self.folder / "results/soak/trials"

    def start(self) -> subprocess.Popen[bytes]:
        """Start the driver."""
        command = [sys.executable, "-m", "harness", "run", "soak.toml", "--tracking", "off"]
        command += ["--threads", "1", "--workers", "2"]
        with open(self.log, "ab") as log:
            return subprocess.Popen(
                command, cwd=self.folder, env=self.environment, stdout=log, stderr=log
            )

    def disturb(self) -> None:
        """Run it until a fault, and then to the end of the driver."""
        driver = self.start()
        fault = self.rng.choice(self.faults)
        if self._wait(driver, fault):
            self.tally[fault] += 1
            print(f"{time.strftime('%X')} {fault}", flush=True)
            getattr(self, "_" + fault.lower().replace(" ", "_").replace("-", "_"))(driver)
        code = driver.wait()
        self.tally[f"driver left with {code}"] += 1
        usual = (0, 1, 130, -signal.SIGKILL, -signal.SIGINT, -signal.SIGTERM)
        if code not in usual and not (fault == DISK and code == FULL):
            raise AssertionError(f"exit code {code} after '{fault}'; see {self.log}")
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
        if self.rng.random() < 0.8:
            seconds = 5.0
            phases = {"train", "eval"} if self.rng.random() < 0.8 else None
            while driver.poll() is None and not list(self._workers(phases)):
                time.sleep(0.02)
        deadline = time.monotonic() + self.rng.uniform(0, seconds)
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

    def _send(self, number: signal.Signals, *pids: int) -> None:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
                self.tally[f"sent {number.name}"] += 1

    def _running(self, module: str) -> list[int]:
        """Return the processes of a module that work for this folder."""
        found = []
        for process in psutil.process_iter(["cmdline"]):
            with suppress(psutil.Error):
                if module in (process.info["cmdline"] or []) and process.cwd() == str(self.folder):
                    found.append(process.pid)
        return found

    def _kill_workers(self, driver: subprocess.Popen[bytes]) -> None:
        self._send(signal.SIGKILL, *self._workers())
        self._then_end(driver)

    def _kill_the_driver(self, driver: subprocess.Popen[bytes]) -> None:
        self._send(signal.SIGKILL, driver.pid)

    def _kill_both(self, driver: subprocess.Popen[bytes]) -> None:
        self._send(signal.SIGKILL, driver.pid, *self._workers())

    def _kill_the_server(self, driver: subprocess.Popen[bytes]) -> None:
        # Forks keep its command line, and are workers that lose it.
        servers = set(self._running("harness.launchers.fork_server")) - set(self._workers())
        self._send(signal.SIGKILL, *servers)
        self._then_end(driver)

    def _kill_a_follower(self, driver: subprocess.Popen[bytes]) -> None:
        self._send(signal.SIGKILL, *self._running("harness.worker.follower"))
        self._then_end(driver)

    def _ctrl_c(self, driver: subprocess.Popen[bytes]) -> None:
        driver.send_signal(signal.SIGINT)

    def _ctrl_c_twice(self, driver: subprocess.Popen[bytes]) -> None:
        driver.send_signal(signal.SIGINT)
        time.sleep(self.rng.uniform(0, 0.5))
        driver.send_signal(signal.SIGINT)

    def _terminate_the_driver(self, driver: subprocess.Popen[bytes]) -> None:
        driver.terminate()

    def _terminate_workers(self, driver: subprocess.Popen[bytes]) -> None:
        self._send(signal.SIGTERM, *self._workers())
        self._then_end(driver)

    def _stop_workers_for_a_while(self, driver: subprocess.Popen[bytes]) -> None:
        workers = list(self._workers())
        self._send(signal.SIGSTOP, *workers)
        time.sleep(self.rng.uniform(0, 3))
        self._send(signal.SIGCONT, *workers)
        self._then_end(driver)

    def _damage_checkpoints(self, driver: subprocess.Popen[bytes]) -> None:
        """Flip a bit, or cut the file, once nothing writes it; the next run meets the damage."""
        self._send(signal.SIGKILL, driver.pid, *self._workers())
        driver.wait()
        time.sleep(0.5)
        for path in self.trials.glob(".*/checkpoint.pt"):
            content = bytearray(path.read_bytes())
            place = self.rng.randrange(len(content))
            if self.rng.random() < 0.5:
                content[place] ^= 1 << self.rng.randrange(8)
            else:
                del content[place:]
            path.write_bytes(content)

    def _run_it_twice(self, driver: subprocess.Popen[bytes]) -> None:
        second = self.start()
        time.sleep(self.rng.uniform(0, 12))
        self._send(signal.SIGKILL, self.rng.choice((driver, second)).pid)
        self._then_end(driver)
        self._then_end(second)
        second.wait()

    def _fill_the_disk(self, driver: subprocess.Popen[bytes]) -> None:
        """Leave no space until the run has ended."""
        ballast = self.folder / "ballast"
        with suppress(OSError), open(ballast, "wb", buffering=0) as file:
            while True:
                file.write(bytes(2**20))
        self._then_end(driver)
        driver.wait()
        ballast.unlink()

    def _then_end(self, driver: subprocess.Popen[bytes]) -> None:
        """Let the run continue for a while, then stop it, so that something is left to break."""
        with suppress(subprocess.TimeoutExpired):
            driver.wait(self.rng.uniform(0, 10))
        if driver.poll() is None:
            driver.terminate()


def quiet(folder: Path, environment: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Run the benchmark undisturbed; return its rows."""
    calm = Soak(folder, environment, random.Random(), Counter())
    code = calm.start().wait()
    assert code == 1, f"exit code {code} instead of 1; see {calm.log}"
    return calm.check()


def make(folder: Path) -> Path:
    """Make a folder with the benchmark."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "soak.toml").write_text(BENCHMARK)
    return folder


@contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """Mount a disk that fills soon at ``folder``, and say whether that is allowed here.

    It stays after a failure, with what failed.
    """
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=128m", "tmpfs", str(folder)]
    mounted = subprocess.run(mount, capture_output=True).returncode == 0
    yield mounted
    if mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def break_and_compare(
    soak: Soak, expected: dict[str, dict[str, Any]], enough: Callable[[], bool]
) -> int:
    """Disturb a round until its trials have ended or it is enough; return the workers' starts."""
    while not enough() and len(soak.stood) < len(expected):
        soak.disturb()
    code = soak.start().wait()
    assert code == 1, f"exit code {code} instead of 1; see {soak.log}"
    rows = soak.check()
    assert rows.keys() == expected.keys(), "rows are lost, or too many"
    for trial, row in rows.items():
        assert reproducible_part(row) == reproducible_part(expected[trial]), (
            f"{soak.trials / trial} is not what the quiet run found"
        )
    return sum(row["usage"]["starts"] for row in rows.values())


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
    rng, tally = random.Random(arguments.seed), Counter[str]()
    expected = quiet(make(folder / "quiet"), environment)
    print(f"quiet run: {len(expected)} rows", Counter(r["status"] for r in expected.values()))
    began, rounds, starts, over = time.monotonic(), 0, 0, False

    def enough() -> bool:
        long_enough = time.monotonic() - began >= 60 * arguments.minutes
        return long_enough and tally["sent SIGKILL"] >= arguments.kills

    while not over:
        place = folder / f"round-{rounds}"
        with small_disk(place) as fills:
            faults = (*FAULTS, DISK) if fills else FAULTS
            soak = Soak(make(place), environment, rng, tally, faults)
            starts += break_and_compare(soak, expected, enough)
        rounds += 1
        over = enough()
        print(f"round {rounds}: all {len(expected)} rows are those of the quiet run", flush=True)
    minutes = (time.monotonic() - began) / 60
    kills = tally["sent SIGKILL"]
    print(f"{minutes:.1f} minutes, {rounds} rounds, {kills} kills -9, {starts} starts of workers")
    for name, count in sorted(tally.items()):
        print(f"{count:5d}  {name}")


if __name__ == "__main__":
    main()

"""Runs trials on this machine: one process a trial, one trial a device at a time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from harness.launchers import Observer
from harness.progress import FILE, Progress, last_heartbeat, read_progress
from harness.row import Row
from harness.store import Store, read_row
from harness.trial import Trial
from harness.worker import STOPPED

POLL_SECONDS = 0.05
GRACE_SECONDS = 30.0
"""Time that a worker has to write its checkpoint before it is killed."""
HUNG_GRACE_SECONDS = 5.0
"""Time that a worker has which was silent for long; it is unlikely to use it."""


def available_devices() -> list[str]:
    """Return every CUDA device of this machine, or else the CPU."""
    import torch

    return [f"cuda:{index}" for index in range(torch.cuda.device_count())] or ["cpu"]


class LocalLauncher:
    """Spawns a worker for each trial and turns whatever becomes of it into exactly one row.

    Args:
        store: where folders and rows are.
        devices: "cpu" or "cuda:0" and so on; each has one worker at a time.
        observer: hears of everything.
        threads: of each worker on a CPU; by default the cores, shared by the workers.
    """

    def __init__(
        self,
        store: Store,
        devices: Sequence[str],
        observer: Observer,
        threads: int | None = None,
    ) -> None:
        self.store = store
        self.devices = devices
        self.observer = observer
        self.threads = threads or max(1, (os.cpu_count() or 1) // len(devices))

    def run(self, trials: Iterable[Trial]) -> None:
        """Run the trials to their ends; Ctrl-C stops them so that the next run resumes them."""
        waiting = deque(trials)
        jobs: dict[str, _Job] = {}
        try:
            while waiting or jobs:
                for device in self.devices:
                    if device not in jobs and waiting:
                        jobs[device] = self._start(waiting.popleft(), device)
                time.sleep(POLL_SECONDS)
                for device, job in list(jobs.items()):
                    if self._attend(job):
                        del jobs[device]
        finally:
            self._stop(list(jobs.values()))

    def _start(self, trial: Trial, device: str) -> _Job:
        folder = self.store.begin(trial)
        job = _Job(trial, folder, device, self.threads)
        self.observer.started(trial)
        return job

    def _attend(self, job: _Job) -> bool:
        """Look after a worker; return whether it has ended and its row is written."""
        progress = read_progress(job.folder)
        if progress is not None and progress != job.progress:
            job.progress = progress
            self.observer.progressed(job.trial, progress)
        if job.process.poll() is None and job.silence > job.trial.patience_seconds:
            job.hung = True
            job.end()
        if job.process.poll() is None:
            return False
        row = job.row()
        self.store.finish(row)
        self.observer.finished(job.trial, row)
        return True

    def _stop(self, jobs: list[_Job]) -> None:
        """Let the workers write their checkpoints, and end them; a second Ctrl-C ends them now."""
        for job in jobs:
            job.process.terminate()
        try:
            deadline = time.monotonic() + GRACE_SECONDS
            for job in jobs:
                with suppress(subprocess.TimeoutExpired):
                    job.process.wait(max(0.0, deadline - time.monotonic()))
        finally:
            for job in jobs:
                job.process.kill()
                job.process.wait()
                self._attend(job)


class _Job:
    """A worker process on one trial."""

    def __init__(self, trial: Trial, folder: Path, device: str, threads: int) -> None:
        self.trial = trial
        self.folder = folder
        self.hung = False
        self.progress: Progress | None = None
        (folder / FILE).unlink(missing_ok=True)
        self._started = time.time()
        command = [sys.executable, "-m", "harness.worker", str(folder)]
        command += ["--device", "cpu" if device == "cpu" else "cuda:0"]
        command += ["--threads", str(threads), "--origin", repr(time.monotonic())]
        with open(folder / "log.txt", "ab") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=_environment(device, threads),
                # Ctrl-C in the terminal is the driver's alone.
                start_new_session=True,
            )

    @property
    def silence(self) -> float:
        """Seconds since the worker said anything."""
        return time.time() - max(self._started, last_heartbeat(self.folder))

    def end(self) -> None:
        """End a worker that hangs: ask it once, and kill it if it does not listen."""
        self.process.terminate()
        try:
            self.process.wait(HUNG_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def row(self) -> Row:
        """Return what became of the trial, whether the worker wrote a row or not."""
        code = self.process.returncode
        where = (
            f"at {self.progress.fraction:.0%} of the budget" if self.progress else "at its start"
        )
        if self.hung:
            patience = self.trial.patience_seconds
            return self.trial.row("timeout", f"silent for {patience:g} s {where}; ended")
        if code == 0 and (row := read_row(self.folder / "row.json")) is not None:
            return row
        if code == STOPPED or code == -signal.SIGTERM:
            return self.trial.row("killed", f"stopped on request {where}; run again to resume")
        if code == -signal.SIGKILL:
            return self.trial.row(
                "killed",
                f"killed {where}, by hand or because the machine ran out of memory; "
                "run again to resume",
            )
        if code < 0:
            return self.trial.row(
                "error", f"the worker died of {signal.Signals(-code).name} {where}"
            )
        return self.trial.row("error", f"the worker left with exit code {code} {where}")


def _environment(device: str, threads: int) -> dict[str, str]:
    """Return the worker's environment: its device, its threads, and kernels that repeat."""
    environment = dict(os.environ)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        environment[name] = str(threads)
    environment["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
    kind, _, index = device.partition(":")
    if kind == "cuda":
        visible = environment.get("CUDA_VISIBLE_DEVICES", "").split(",")
        environment["CUDA_VISIBLE_DEVICES"] = visible[int(index)] if visible != [""] else index
    return environment

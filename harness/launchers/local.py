"""Runs trials on this machine: one process per trial, one trial per device at a time."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from functools import partial

from harness.errors import UserError
from harness.launchers import log_file
from harness.launchers.agenda import Agenda, Assignment
from harness.launchers.ending import row_of
from harness.launchers.interruption import deferred_interrupt
from harness.launchers.memory import MemoryWatch
from harness.launchers.processes import Starter, cores, sentinel, starter_for
from harness.machine import interpreters
from harness.machine.heartbeat import FILE, HANG, Progress, read_progress
from harness.machine.silence import RunningClock, Silence, is_stopped
from harness.planning.benchmark import Needs
from harness.planning.trial import Trial

POLL_SECONDS = 0.2
"""Seconds between two polls of the workers; as often as a worker reports."""
QUICK_POLL_SECONDS = 0.02
"""The same where the system does not signal the end of a worker."""
GRACE_SECONDS = 30.0
"""Seconds that a worker has to write its checkpoint before it is killed."""
HUNG_GRACE_SECONDS = 5.0
"""Seconds that the watcher of a silent worker has to write its stack traces and end it."""


def choose_devices(devices: Sequence[str] = (), workers: int | None = None) -> list[str]:
    """Return the device of each worker: one for each CUDA device of the machine, or else the CPU.

    Args:
        devices: to use instead; the CPU may be listed several times.
        workers: parallel trials; on CUDA at most one per device.

    Raises:
        UserError: the workers would have to share a CUDA device.
    """
    import torch

    count = torch.cuda.device_count()
    chosen = list(devices) or [f"cuda:{index}" for index in range(count)] or ["cpu"]
    if set(chosen) == {"cpu"}:
        return ["cpu"] * (workers or len(chosen))
    twice = next((name for name in chosen if name != "cpu" and chosen.count(name) > 1), None)
    if twice is not None:
        raise UserError(f"--device {twice} is given twice, and two trials would slow each other")
    if workers is not None and workers > len(chosen):
        raise UserError(
            f"--workers {workers} is more than the devices ({', '.join(chosen)}), and trials that "
            "share one would slow each other"
        )
    return chosen[:workers]


class LocalLauncher:
    """Spawns a worker for each trial, on devices that nothing else of the run uses.

    Args:
        devices: "cpu" or "cuda:0" and so on, one for each worker that may run at a time.
        threads: of each worker on a CPU; by default the cores, shared by the workers.
        memory: bytes that the trials may need together; by default the machine's.
        starter: of workers; by default the fastest one on these devices.
    """

    def __init__(
        self,
        devices: Sequence[str],
        threads: int | None = None,
        memory: int | None = None,
        starter: Starter | None = None,
    ) -> None:
        import psutil

        self.devices = tuple(devices)
        self.threads = threads or max(1, cores() // len(devices))
        self.memory = memory or psutil.virtual_memory().total
        self._starter = starter or starter_for(devices)
        self._free = list(devices)
        self._unpromised = self.memory

    def check(self, trials: Sequence[Trial]) -> None:
        """Raise ``UserError`` if a trial needs more devices or memory than there are."""
        for trial in trials:
            needs = trial.needs
            if needs.devices > len(self.devices):
                raise UserError(
                    f"models: {trial.label} needs {needs.devices} devices at once, and there are "
                    f"{len(self.devices)}: {', '.join(self.devices)}; lower its devices, or give "
                    "more (on a CPU they are the workers of --workers)"
                )
            if needs.memory > self.memory:
                raise UserError(
                    f"models: {trial.label} needs {needs.memory / 2**30:.3g} GiB of memory, and "
                    f"there are {self.memory / 2**30:.3g}; lower its memory"
                )

    def run(self, agenda: Agenda) -> None:
        """Run the trials to their ends; Ctrl-C stops them so that the next run resumes them."""
        jobs: list[_Job] = []
        try:
            while agenda or jobs:
                while self._free and (assignment := agenda.take(self._fits)) is not None:
                    jobs.append(self._start(assignment, agenda))
                _wait_for_any(jobs)
                jobs = [job for job in jobs if not self._attend(job, agenda)]
        finally:
            self._stop(jobs, agenda)
            self._starter.close()

    def _fits(self, needs: Needs) -> bool:
        return needs.devices <= len(self._free) and needs.memory <= self._unpromised

    def _start(self, assignment: Assignment, agenda: Agenda) -> _Job:
        needs = assignment.trial.needs
        devices = [self._free.pop(0) for _ in range(needs.devices)]
        self._unpromised -= needs.memory
        try:
            job = _Job(assignment, devices, self.threads, self._starter)
        except OSError as error:
            assignment.lock.release()
            raise UserError(
                f"no worker could be started: {error}; nothing is lost: fix it and run again to "
                "resume"
            ) from None
        agenda.observer.started(assignment.trial)
        return job

    @deferred_interrupt()
    def _attend(self, job: _Job, agenda: Agenda) -> bool:
        """Poll a worker; return whether it has ended and its row is written."""
        trial, folder = job.assignment.trial, job.assignment.folder
        progress = read_progress(folder)
        if progress is not None and progress != job.progress:
            job.progress = progress
            agenda.observer.progressed(trial, progress)
        job.memory.look()
        log_file.bound(folder)
        code = job.process.poll()
        if code is None:
            patience = trial.patience_seconds + HUNG_GRACE_SECONDS
            job.hung |= job.silence.seconds > patience
            job.stopped |= job.clock.stopped_for > patience
            if job.hung or job.stopped:
                job.kill()
            return False
        job.ended = True
        # Its child processes end with it.
        job.kill()
        job.forget()
        self._free += job.devices
        self._unpromised += trial.needs.memory
        row = row_of(
            trial,
            folder,
            code,
            hung=job.hung,
            stopped=job.stopped,
            asked=job.asked,
            progress=job.progress,
            memory=job.memory,
        )
        agenda.finish(job.assignment, row)
        return True

    def _stop(self, jobs: list[_Job], agenda: Agenda) -> None:
        """Let the workers write their checkpoints, and end them; a second Ctrl-C ends them now."""
        jobs = [job for job in jobs if not job.ended]
        for job in jobs:
            job.asked = True
            job.process.terminate()
        try:
            deadline = time.monotonic() + GRACE_SECONDS
            for job in jobs:
                with suppress(subprocess.TimeoutExpired):
                    job.process.wait(max(0.0, deadline - time.monotonic()))
        finally:
            for job in jobs:
                job.kill()
            with ExitStack() as each:
                for job in jobs:
                    job.process.wait()
                    each.callback(self._attend, job, agenda)


class _Job:
    """A worker process on one trial."""

    def __init__(
        self, assignment: Assignment, devices: Sequence[str], threads: int, starter: Starter
    ) -> None:
        self.assignment = assignment
        self.devices = devices
        self.ended = False
        self.hung = False
        self.stopped = False
        self.asked = False
        self.progress: Progress | None = None
        folder = assignment.folder
        (folder / FILE).unlink(missing_ok=True)
        (folder / HANG).unlink(missing_ok=True)
        arguments = [str(folder), "--device", "cpu" if devices[0] == "cpu" else "cuda:0"]
        arguments += ["--threads", str(threads), "--origin", repr(time.monotonic())]
        environment = _environment(devices, threads)
        with open(folder / log_file.FILE, "ab") as log:
            self.process = starter.start(arguments, environment, log, assignment.lock)
        self.clock = RunningClock(partial(is_stopped, self.process.pid))
        self.silence = Silence(folder, self.clock)
        self.sentinel = sentinel(self.process.pid)
        self.memory = MemoryWatch(self.process.pid)

    def forget(self) -> None:
        """Release what was needed to watch the worker."""
        if self.sentinel is not None:
            os.close(self.sentinel)

    def kill(self) -> None:
        """Kill the worker, and the processes that it started and left in its group."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)


def _wait_for_any(jobs: Sequence[_Job]) -> None:
    """Wait until a worker has ended, at most until the next poll."""
    sentinels = [job.sentinel for job in jobs if job.sentinel is not None]
    watched = len(jobs) > 0 and len(sentinels) == len(jobs)
    select.select(sentinels, [], [], POLL_SECONDS if watched or not jobs else QUICK_POLL_SECONDS)


def _environment(devices: Sequence[str], threads: int) -> dict[str, str]:
    """Return the worker's environment: devices, threads, and deterministic kernels."""
    environment = interpreters.inherited_environment()
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        environment[name] = str(threads)
    environment["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
    chosen = [device.partition(":")[2] or "0" for device in devices if device != "cpu"]
    if chosen:
        visible = environment.get("CUDA_VISIBLE_DEVICES", "").split(",")
        names = chosen if visible == [""] else [visible[int(index)] for index in chosen]
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(names)
    return environment

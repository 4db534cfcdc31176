"""Accounts of a trial: four currencies, and its wall time by phase."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch.optim import Optimizer
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from harness.machine.clock import Clock
from harness.machine.memory import peak_memory, reset_peak_memory
from harness.row import Usage

Phase = Literal["setup", "warm_up", "train", "eval", "io"]
Part = Literal["sampling", "scoring", "likelihood", "speed"]

NOTICEABLE = 0.5
"""Unexplained seconds of a window from which the watcher is asked about pauses."""


class Ledger:
    """Sums what a trial uses, over all the processes that work on it.

    Phases divide the wall time: at any moment the innermost open phase is charged, so opening one
    inside another pauses the outer one, and the sum over phases never exceeds the wall time.

    Args:
        device: whose memory ``peak_memory`` is of.
        origin: ``now()`` when the process was spawned; the time since then is charged to setup.
        now: seconds of a monotonic clock, the same in every process of the machine.
        paused_between: returns for how many seconds between two times of ``now`` the trial was
            paused.
        cpu_times: CPU seconds of the training thread, and of the whole process.

    Attributes:
        flops: of training.
        images: passed to ``training_step``.
        steps: optimizer steps, counted inside ``counting_optimizer_steps``.
        batches: calls of ``training_step``.
        overrun: what was used beyond the budget, in the budget's unit.
        peak_memory: bytes while training; allocated on a CUDA device, or else resident in the
            process.
        uncounted: operators that the FLOP counter does not know, with their calls per step.
        starts: processes that have worked on the trial.
        devices: number that train together; each second counts as many device-seconds.
        paused: seconds of windows in which nothing ran; they are not charged.
        idle: charged seconds of windows without matching CPU time.
        evaluation: seconds of its parts, which lie within phase eval.
    """

    def __init__(
        self,
        device: torch.device | None = None,
        origin: float | None = None,
        now: Callable[[], float] = time.monotonic,
        paused_between: Callable[[float, float], float] = lambda begin, end: 0.0,
        cpu_times: Callable[[], tuple[float, float]] = lambda: (
            time.thread_time(),
            time.process_time(),
        ),
    ) -> None:
        self._device = device or torch.device("cpu")
        self._now = now
        self._paused_between = paused_between
        self._cpu_times = cpu_times
        self._charged = now()
        self._origin = self._charged if origin is None else origin
        self._phases: dict[str, float] = {"setup": self._charged - self._origin}
        self._open: list[Phase] = []
        self._seconds = 0.0
        self._earlier_wall = 0.0
        self._running: Clock | None = None
        self._depth = 0
        self.flops = 0.0
        self.images = 0
        self.steps = 0
        self.batches = 0
        self.overrun = 0.0
        self.peak_memory = 0
        self.uncounted: dict[str, int] = {}
        self.starts = 1
        self.devices = 1
        self.paused = 0.0
        self.idle = 0.0
        self.evaluation: dict[str, float] = {}

    @property
    def seconds(self) -> float:
        """Device-seconds on the clock, those of the window that is running included."""
        return self._seconds + (self.devices * self._running.elapsed() if self._running else 0.0)

    @property
    def wall(self) -> float:
        """Seconds of all the processes that have worked on the trial."""
        return self._earlier_wall + self._now() - self._origin

    @contextmanager
    def phase(self, name: Phase) -> Iterator[None]:
        """Charge the wall time inside to ``name``; an outer phase pauses."""
        self._charge()
        self._open.append(name)
        if name == "train":
            reset_peak_memory(self._device)
        try:
            yield
        finally:
            if name == "train":
                self.peak_memory = max(self.peak_memory, peak_memory(self._device))
            self._charge()
            self._open.pop()

    @contextmanager
    def part(self, name: Part) -> Iterator[None]:
        """Add the wall time inside to a part of the evaluation; parts are not nested."""
        begin = self._now()
        try:
            yield
        finally:
            self._add_to_part(name, self._now() - begin)

    def _add_to_part(self, name: str, seconds: float) -> None:
        self.evaluation[name] = self.evaluation.get(name, 0.0) + seconds

    @contextmanager
    def window(self, clock: Clock) -> Iterator[None]:
        """Time the steps inside with ``clock`` and add their device-seconds.

        Seconds in which the trial was paused are not added.
        """
        clock.start()
        begin, cpu = self._now(), self._cpu_times()
        self._running = clock
        try:
            yield
        finally:
            self._running = None
            seconds = clock.stop()
            pause = self._pause(begin, seconds, cpu)
            self.add_seconds(self.devices * (seconds - pause))

    def _pause(self, begin: float, seconds: float, cpu: tuple[float, float]) -> float:
        """Return the seconds of a window in which the trial was paused; record idle ones.

        Args:
            begin: of the window.
            seconds: of the window.
            cpu: times at its beginning. On CUDA they do not reflect the work of the device.
        """
        on_cpu = self._device.type == "cpu"
        thread, process = (now - then for now, then in zip(self._cpu_times(), cpu, strict=True))
        longest = seconds - thread if on_cpu else seconds
        if longest < NOTICEABLE:
            return 0.0
        pause = min(self._paused_between(begin, self._now()), longest)
        self.paused += pause
        if on_cpu and seconds - pause > 2 * process:
            self.idle += seconds - pause - process
        return pause

    @contextmanager
    def counting_optimizer_steps(self) -> Iterator[None]:
        """Count the steps of every optimizer inside.

        A step made by another optimizer's step, or by the method it overrides, is part of it.
        """
        self._depth = 0
        before = register_optimizer_step_pre_hook(self._step_begins)
        after = register_optimizer_step_post_hook(self._step_ends)
        try:
            yield
        finally:
            before.remove()
            after.remove()

    def record_step(self, images: int, flops: float) -> None:
        """Add one call of ``training_step``."""
        self.batches += 1
        self.images += images
        self.flops += flops

    def add_seconds(self, seconds: float) -> None:
        """Add the device-seconds of a timed window."""
        self._seconds += seconds

    def usage(self) -> Usage:
        """Return what has been used up to now."""
        self._charge()
        return Usage(**self.state_dict())

    def state_dict(self) -> dict[str, Any]:
        """Return the state as plain numbers and strings, for a checkpoint."""
        self._charge()
        return {
            "seconds": self.seconds,
            "flops": self.flops,
            "images": self.images,
            "steps": self.steps,
            "batches": self.batches,
            "phases": dict(self._phases),
            "wall": self._earlier_wall + self._charged - self._origin,
            "overrun": self.overrun,
            "peak_memory": self.peak_memory,
            "uncounted": dict(self.uncounted),
            "starts": self.starts,
            "devices": self.devices,
        } | {name: value for name, value in self._optional().items() if value}

    def _optional(self) -> dict[str, Any]:
        evaluation = dict(self.evaluation)
        return {"paused": self.paused, "idle": self.idle, "evaluation": evaluation}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue the trial of another process: its wall time and phases add to this one's."""
        self._seconds = state["seconds"]
        self.flops = state["flops"]
        self.images = state["images"]
        self.steps = state["steps"]
        self.batches = state["batches"]
        for name, seconds in state["phases"].items():
            self._phases[name] = self._phases.get(name, 0.0) + seconds
        self._earlier_wall += state["wall"]
        self.overrun = state["overrun"]
        self.peak_memory = max(self.peak_memory, state["peak_memory"])
        self.uncounted = dict(state["uncounted"])
        self.starts += state["starts"]
        self.paused = state.get("paused", 0.0)
        self.idle = state.get("idle", 0.0)
        for name, seconds in state.get("evaluation", {}).items():
            self._add_to_part(name, seconds)

    def _charge(self) -> None:
        """Charge the time since the last charge to the innermost open phase."""
        now = self._now()
        if self._open:
            name = self._open[-1]
            self._phases[name] = self._phases.get(name, 0.0) + now - self._charged
        self._charged = now

    def _step_begins(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        self._depth += 1

    def _step_ends(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        self._depth -= 1
        if self._depth == 0:
            self.steps += 1


def unaccounted(usage: Usage) -> float:
    """Return the fraction of the wall time that no phase explains: |1 - sum(phases) / wall|."""
    return abs(1 - sum(usage.phases.values()) / usage.wall) if usage.wall else 0.0

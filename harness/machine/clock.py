"""Device clocks: seconds of a timed window of training steps, read without waiting."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

import torch


class Clock(Protocol):
    """Times windows of training steps on one device."""

    def start(self) -> None:
        """Begin a window, once the device has finished all earlier work."""

    def tick(self) -> None:
        """Mark the end of a step."""

    def elapsed(self) -> float:
        """Return the seconds of this window up to now, without waiting for the device."""

    def stop(self) -> float:
        """End the window, once the device has finished its work; return its seconds."""


class CpuClock:
    """Clock of a device that works while it is called: t = now - start.

    Args:
        now: seconds of a monotonic clock.
    """

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self._now = now
        self._start = now()

    def start(self) -> None:
        """Begin a window."""
        self._start = self._now()

    def tick(self) -> None:
        """Do nothing: a step has ended when its call returns."""

    def elapsed(self) -> float:
        """Return the seconds since ``start``."""
        return self._now() - self._start

    def stop(self) -> float:
        """Return the seconds of the window."""
        return self.elapsed()


class Event(Protocol):
    """A recorded point in the work queue of a device; ``torch.cuda.Event`` is one."""

    def query(self) -> bool:
        """Return whether the device has reached it."""

    def synchronize(self) -> None:
        """Wait until the device has reached it."""

    def elapsed_time(self, end_event: Any, /) -> float:
        """Return the milliseconds from this event to ``end_event``."""


class CudaClock:
    """Clock of a CUDA device, by events in its queue.

    Steps are launched ahead of the device, so ``elapsed`` lags by those that are still in the
    queue. ``tick`` keeps these to ``ahead`` by waiting for the oldest; the device, which still has
    work queued, never idles for it. A limit checked after every step is overrun by at most
    ``ahead`` + 1 steps.

    Args:
        device: the CUDA device.
        mark: records an event in the device's queue.
        synchronize: waits for all work of the device.
        ahead: steps that may be in the queue.
    """

    def __init__(
        self,
        device: torch.device,
        mark: Callable[[], Event] | None = None,
        synchronize: Callable[[], None] | None = None,
        ahead: int = 8,
    ) -> None:
        self._mark = mark or (lambda: _record(device))
        self._synchronize = synchronize or (lambda: torch.cuda.synchronize(device))
        self._ahead = ahead
        self._first: Event | None = None
        self._pending: deque[Event] = deque()
        self._elapsed = 0.0

    def start(self) -> None:
        """Begin a window, once all earlier work is done."""
        self._synchronize()
        self._pending.clear()
        self._elapsed = 0.0
        self._first = self._mark()

    def tick(self) -> None:
        """Mark the end of a step; wait if more than ``ahead`` steps are in the queue."""
        self._pending.append(self._mark())
        self.elapsed()
        if len(self._pending) > self._ahead:
            self._pending[0].synchronize()

    def elapsed(self) -> float:
        """Return the seconds from ``start`` to the last step that is done."""
        while self._pending and self._pending[0].query():
            self._elapsed = self._since_start(self._pending.popleft())
        return self._elapsed

    def stop(self) -> float:
        """End the window, once all its work is done, on every stream; return its seconds."""
        # An event of this stream would not wait for the work of others.
        self._synchronize()
        last = self._mark()
        if not last.query():
            last.synchronize()
        self._pending.clear()
        self._elapsed = self._since_start(last)
        return self._elapsed

    def _since_start(self, event: Event) -> float:
        if self._first is None:
            raise RuntimeError("the clock was not started")
        return self._first.elapsed_time(event) / 1e3


def _record(device: torch.device) -> Event:
    event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    event.record(torch.cuda.current_stream(device))
    return event


def clock_for(device: torch.device) -> Clock:
    """Return the clock of a device."""
    return CudaClock(device) if device.type == "cuda" else CpuClock()

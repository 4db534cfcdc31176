"""Sampling speed: warm, synchronised, median with spread."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

LEAST = 3


@dataclass(frozen=True)
class Speed:
    """How fast a model samples at one batch size.

    Attributes:
        batch_size: images per call.
        images_per_second: median over repetitions.
        spread: interquartile range of images per second.
        seconds: median of one call; the latency where ``batch_size`` is 1.
        p95: 95th percentile of one call's seconds, interpolated; with few repetitions, the longest.
        repetitions: timed calls, after one that was not.
        threads: of torch within an operator, on the CPU.
    """

    batch_size: int
    images_per_second: float
    spread: float
    seconds: float
    p95: float
    repetitions: int
    threads: int


def sampling_speed(
    sample: Callable[[int], Any],
    batch_sizes: Sequence[int],
    device: torch.device,
    *,
    seconds: float,
    clock: Callable[[], float] = time.perf_counter,
) -> list[Speed]:
    """Time ``sample(n)`` at each batch size, which share ``seconds`` equally.

    At each size one untimed call comes first; then calls repeat until the share is used, at least
    three times unless a single one takes longer than the share. CUDA is synchronised at both ends
    of every call.

    Args:
        sample: draws n images on ``device``.
        batch_sizes: values of n.
        device: to synchronise.
        seconds: of timed calls, over all batch sizes.
        clock: monotonic, in seconds.
    """
    share = seconds / len(batch_sizes)

    speeds = []
    for n in batch_sizes:
        timed_call(sample, n, device, clock)
        times = [timed_call(sample, n, device, clock)]
        while sum(times) < share or (len(times) < LEAST and max(times) <= share):
            times.append(timed_call(sample, n, device, clock))
        speeds.append(summarise(n, times))
    return speeds


def timed_call(
    sample: Callable[[int], Any],
    n: int,
    device: torch.device,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Return the seconds of one call ``sample(n)``, with CUDA synchronised at both ends.

    Of a model that was never called it is the cold start: allocation, choice of kernels, and
    whatever else happens once.
    """
    synchronise(device)
    start = clock()
    sample(n)
    synchronise(device)
    return clock() - start


def summarise(n: int, times: Sequence[float]) -> Speed:
    """Return the speed that timed calls of ``n`` images amount to."""
    low, median, high = np.quantile(n / np.array(times), (0.25, 0.5, 0.75))
    return Speed(
        batch_size=n,
        images_per_second=float(median),
        spread=float(high - low),
        seconds=float(np.median(times)),
        p95=float(np.quantile(times, 0.95)),
        repetitions=len(times),
        threads=torch.get_num_threads(),
    )


def synchronise(device: torch.device) -> None:
    """Wait for all queued work of a CUDA device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)

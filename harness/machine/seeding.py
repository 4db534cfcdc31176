"""Seeds derived from the position in a trial, so that no generator state needs saving."""

from __future__ import annotations

import torch

_MASK = (1 << 64) - 1


def _mix(x: int) -> int:
    """Scramble 64 bits (the finaliser of SplitMix64, Steele et al., 2014)."""
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _MASK
    return x ^ (x >> 31)


def derive(*parts: int) -> int:
    """Return one 63-bit seed for a path of integers, such as (trial seed, stream, step)."""
    state = 0
    for part in parts:
        state = _mix((state + 0x9E3779B97F4A7C15 + part) & _MASK)
    return state >> 1


BUILD, ORDER, STEP, SAMPLE, CONDITION_ORDER, LIKELIHOOD, WARM_UP, NULL, INTERPOLATION = range(9)
"""Streams of randomness in a trial; each is the second part of a seed's path."""


def reseed(device: torch.device, *parts: int) -> None:
    """Seed torch's generators of the CPU and of ``device`` with ``derive(*parts)``."""
    seed = derive(*parts)
    # torch.manual_seed also visits every other backend, at several times the cost of a step's seed.
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.default_generators[device.index or 0].manual_seed(seed)

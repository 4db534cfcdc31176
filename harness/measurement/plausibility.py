"""Plausibility of figures: values that no model could have are rejected with a reason."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import torch
from torch import Tensor

from harness.contract import DataSpec, LogLikelihood

ROUNDING = 1e-6
"""Rounding error of sums in float32, relative to the nats of a uniform model, D ln(levels)."""

SLACK = 1e-9
"""Relative and absolute rounding error by which a metric may leave its range."""

UNLIMITED = (-math.inf, math.inf)


def impossible_nats(likelihood: LogLikelihood, spec: DataSpec) -> str | None:
    """Return why log-likelihoods of discrete images are impossible, or None if they are possible.

    P(image) <= 1, so nats are at most 0, whether they are exact or bounded from below. Terms as
    large as D ln(levels) cancel in float32 for an image that is certain, so that much of it,
    1e-6 log2(levels) bits/dim, is no fault. An estimate may exceed 0 for one image.
    """
    if likelihood.kind not in ("exact", "lower_bound"):
        return None
    nats = likelihood.nats.detach().double()
    above = nats > ROUNDING * spec.dimensions * math.log(spec.levels)
    if not above.any():
        return None
    return (
        f"a probability above 1: {int(above.sum())} of {len(nats)} log-likelihoods of kind "
        f"{likelihood.kind} are positive, up to {float(nats.max()):.4g} nats, and P(image) <= 1 of "
        "discrete images; a density lacks its volume term, -D ln(levels) nats"
    )


def impossible_mean(kind: str | None, bits: float, error: float) -> str | None:
    """Return why a mean in bits per dimension is impossible, or None if it is possible.

    Single estimates may exceed a probability of 1, but not their mean, beyond its error.
    """
    if kind != "estimate" or not bits + 3 * error < 0:
        return None
    return (
        f"a probability above 1: the mean estimate is {bits:.4g} bits/dim, and P(image) <= 1 of "
        "discrete images; a density lacks its volume term, -D ln(levels) nats"
    )


def outside(value: float, limits: tuple[float, float]) -> str | None:
    """Return why a metric cannot have a value, or None if the value is within its limits."""
    low, high = limits
    if low - SLACK * max(1.0, abs(low)) <= value <= high + SLACK * max(1.0, abs(high)):
        return None
    if math.isinf(high):
        return f"it came out {value:.6g}, and it cannot be below {low:g}"
    if math.isinf(low):
        return f"it came out {value:.6g}, and it cannot be above {high:g}"
    return f"it came out {value:.6g}, and it lies between {low:g} and {high:g}"


def real_number(found: Any) -> float:
    """Return a metric's value as a float.

    Raises:
        ValueError: it is not a real number, but a boolean or a complex number for example.
    """
    number = torch.as_tensor(found)
    if number.dtype == torch.bool or number.is_complex() or number.numel() != 1:
        kind = str(number.dtype).removeprefix("torch.")
        raise ValueError(
            f"the metric returned {kind} of shape {tuple(number.shape)}, not one real number"
        )
    return float(number)


def equal_sets(sets: Sequence[Any]) -> str | None:
    """Return why sets of samples measure no uncertainty: some are equal; None if none are."""
    known = [torch.as_tensor(images) for images in sets if not hasattr(images, "batches")]
    pairs = sum(_equal(one, other) for one, other in combinations(known, 2))
    if not pairs:
        return None
    return (
        f"some of its {len(sets)} sets of samples are equal, bit for bit, so their spread is no "
        "uncertainty: randomness must come from torch's generator, which is seeded for each set"
    )


def _equal(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.equal(one, other)

"""Mean and covariance of features that arrive in batches, in float64.

The sums are taken of x - c with a fixed centre c near the mean. Unlike the pairwise update of Chan
et al. (1983), such states merge by plain addition, which is what ``torchmetrics`` can do between
devices. Rounding costs the covariance about eps |m - c|^2. Where c is the reference's mean, samples
far from it have a Frechet distance of at least |m - c|^2: beside that, the error is nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from harness.metrics.base import Moments, NonFiniteFeatures


class Sums(NamedTuple):
    """Sums over a set of n features: n, sum of x - c (d,), sum of (x - c)(x - c)^T (d, d)."""

    n: Tensor
    first: Tensor
    second: Tensor


def finite(values: Tensor) -> Tensor:
    """Return ``values`` in float64.

    Raises:
        NonFiniteFeatures: if a row holds NaN or infinity.
    """
    good = values.isfinite().all(dim=1)
    if not good.all():
        raise NonFiniteFeatures(
            f"{int((~good).sum())} of {len(values)} feature vectors hold NaN or infinity"
        )
    return values.double()


def sums(vectors: Tensor, centre: Tensor) -> Sums:
    """Return the sums of one batch of features (B, d) about ``centre`` (d,).

    Raises:
        NonFiniteFeatures: if a vector holds NaN or infinity.
    """
    x = finite(vectors) - centre
    return Sums(torch.tensor(len(x), device=x.device), x.sum(0), x.T @ x)


def moments_of_sums(total: Sums, centre: Tensor) -> Moments:
    """Return the moments that sums about ``centre`` amount to.

    Raises:
        ValueError: of fewer than two features there is no covariance.
    """
    n = int(total.n)
    if n < 2:
        raise ValueError(f"a covariance needs at least 2 images, there are {n}")
    shift = total.first / n
    covariance = (total.second - n * torch.outer(shift, shift)) / (n - 1)
    return Moments(n, centre + shift, covariance)


def moments(batches: Iterable[Tensor]) -> Moments:
    """Return the moments of features (B, d) that arrive in batches, about the first one's mean.

    Raises:
        NonFiniteFeatures: if a vector holds NaN or infinity.
        ValueError: of fewer than two features there is no covariance.
    """
    centre, total = torch.zeros(()), None
    for vectors in batches:
        if total is None:
            centre = finite(vectors).mean(0)
            total = sums(vectors, centre)
        else:
            total = Sums(*(a + b for a, b in zip(total, sums(vectors, centre), strict=True)))
    if total is None:
        raise ValueError("a covariance needs at least 2 images, there are 0")
    return moments_of_sums(total, centre)

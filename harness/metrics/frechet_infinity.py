"""The Frechet distance of a generator, not of N samples: extrapolated to infinitely many.

Chong and Forsyth, Effectively Unbiased FID and Inception Score and Where to Find Them, 2020,
arXiv:1911.07023. Rippl, Munk and Sturm, Limit Laws of the Empirical Wasserstein Distance: Gaussian
Distributions, 2016, arXiv:1507.04090.
"""

from __future__ import annotations

import torch
from torch import Tensor

from harness.metrics.base import Figure, Moments
from harness.metrics.frechet import frechet_distance
from harness.metrics.moments import finite, moments
from harness.metrics.tiles import PairwiseMetric

POINTS = 15
SEED = 0
LEAST = 4
"""Samples for each feature, below which the distance is no line in 1/N within half of them."""


def intercept(x: Tensor, y: Tensor) -> Figure:
    """Return the least-squares line's value at x = 0 with its standard error.

    s^2 (1 / k + (mean x)^2 / sum (x - mean x)^2) is its variance, where s^2 = sum of squared
    residuals / (k - 2), of k points (k,) in float64.
    """
    offsets = x - x.mean()
    spread = offsets.square().sum()
    slope = (offsets * y).sum() / spread
    variance = (y - y.mean() - slope * offsets).square().sum() / (len(x) - 2)
    error = (variance * (1 / len(x) + x.mean().square() / spread)).sqrt()
    return Figure(y.mean() - slope * x.mean(), error)


def influence(x: Tensor, b: Moments) -> Tensor:
    """Return what each vector of x (n, d) adds to its Frechet distance from b, but for a constant.

    h(x) = 2 (m_a - m_b).(x - m_a) + |x - m_a|^2 - (x - m_a)^T T (x - m_a), (n,), where T is the
    optimal transport of N(0, S_a) to N(0, S_b). It is the derivative of the distance by the weight
    of x, so the distance of n vectors has the variance Var h / n as n grows.
    """
    a = moments([x])
    offsets = x.double() - a.mean
    eigenvalues, eigenvectors = torch.linalg.eigh(a.covariance)
    # Samples have no component along a null vector.
    real = eigenvalues > len(eigenvalues) * torch.finfo(torch.float64).eps * eigenvalues[-1]
    deviations, axes = eigenvalues[real].sqrt(), eigenvectors[:, real]
    root = axes * deviations
    # T = R^-T (R^T S_b R)^(1/2) R^-1 with S_a = R R^T.
    product, turned = torch.linalg.eigh(root.T @ b.covariance @ root)
    whitened = offsets @ (axes / deviations) @ turned
    moved = whitened.square() @ product.clamp(min=0).sqrt()
    gradient: Tensor = 2 * offsets @ (a.mean - b.mean) + offsets.square().sum(1) - moved
    return gradient


class ExtrapolatedFrechetDistance(PairwiseMetric):
    """FID-infinity: the Frechet distance to the reference that infinitely many samples would have.

    The expected distance of N samples is a line in 1/N where N is several times d; it is fitted to
    15 random subsets of the samples, of N / 2 to N at equal steps, each drawn anew, and read off at
    1/N = 0. Smaller subsets, as in the paper, bend it: from N / 10 on, more bias is left, and no
    less variance. What the reference's own size adds stays.

    The error is sqrt(Var h / N + s^2), of the samples (h is the influence of one on the distance)
    and of the line. Not in it is the bend, -0.05 d (d / N) (2 d / N) where all features vary alike,
    which is at most a tenth of what N samples have too much, and less where few features dominate.
    """

    costly = True

    @property
    def protocol(self) -> str:
        """The subsets."""
        sizes = self._sizes()
        return f"line in 1/N through {POINTS} subsets of {sizes[0]} to {sizes[-1]}, seed {SEED}"

    def compute(self) -> Figure:
        """Return the distance with its standard error.

        Raises:
            ValueError: with fewer than 4 d images.
        """
        x = finite(self.samples())
        n, d = x.shape
        if n < LEAST * d:
            raise ValueError(
                f"FID-infinity needs at least {LEAST} samples for each of {d} features, "
                f"{LEAST * d} in all, there are {n}: with fewer, FID is no line in 1/N"
            )
        real, mean, covariance = self.reference.moments
        reference = Moments(real, mean.to(self.device), covariance.to(self.device))
        generator = torch.Generator().manual_seed(SEED)
        sizes = self._sizes()
        subsets = (x[torch.randperm(n, generator=generator)[:size].to(x.device)] for size in sizes)
        distances = torch.stack([frechet_distance(moments([s]), reference) for s in subsets])
        line = intercept(1 / torch.tensor(sizes, dtype=torch.float64, device=x.device), distances)
        assert line.error is not None
        sampling = influence(x, reference).var() / n
        return Figure(line.value, (sampling + line.error.square()).sqrt())

    def _sizes(self) -> list[int]:
        n = len(self.samples())
        steps = torch.linspace(n / 2, n, POINTS, dtype=torch.float64)
        sizes: list[int] = steps.round().long().tolist()
        return sizes

"""The Frechet distance of a generator, not of N samples: extrapolated to infinitely many.

Chong and Forsyth, Effectively Unbiased FID and Inception Score and Where to Find Them, 2020,
arXiv:1911.07023. Quenouille, Notes on bias in estimation, 1956, doi:10.1093/biomet/43.3-4.353.
"""

from __future__ import annotations

import torch
from torch import Tensor

from harness.metrics.base import Figure, Moments
from harness.metrics.frechet import root
from harness.metrics.moments import Sums, finite, moments_of_sums, sums
from harness.metrics.spectrum import sum_of_roots
from harness.metrics.tiles import PairwiseMetric

GROUPS = 20
SEED = 0
LEAST = 4
"""Minimum samples per feature for which intervals were validated."""


def corrected_distance(a: Moments, b: Moments, root_of_b: Tensor) -> Tensor:
    """Return the Frechet distance of the distribution of a from b, but for a bias of 1 / n.

    The two biases that grow with d at fixed d / n are taken off: |m_a - m_b|^2 is too large by
    tr S_a / n, and of tr (S_a S_b)^(1/2), the roots of the eigenvalues of R^T S_a R with S_b = R
    R^T, the limit of large d is known (``sum_of_roots``). What is left is a line in 1/n.

    Args:
        a: moments of n > d + 1 vectors.
        b: moments taken as they are.
        root_of_b: R, (d, k).
    """
    difference = a.mean - b.mean
    spread = a.covariance.trace()
    products = torch.linalg.eigvalsh(root_of_b.T @ a.covariance @ root_of_b)
    # Samples have no component along a null vector.
    least = len(products) * torch.finfo(products.dtype).eps * products[-1:]
    cross = sum_of_roots(products[products > least], a.n - 1)
    mean = difference @ difference - spread / a.n
    return mean + spread + b.covariance.trace() - 2 * cross


class ExtrapolatedFrechetDistance(PairwiseMetric):
    """FID-infinity: the Frechet distance to the reference that infinitely many samples would have.

    Of the distance of N samples, the biases of means and of eigenvalues are taken off, which leaves
    F(N), a line in 1/N however many features there are; the distance itself bends with them. The
    line through F(N) and the mean of F(N - N / G), where each of G random groups is left out in
    turn, is read off at 1/N = 0 (the jackknife). It may come out negative. What the reference's
    own size adds stays.

    The error is ((G - 1) / G sum_g (F_g - mean F_g)^2)^(1/2), over the groups left out.
    """

    costly = True

    @property
    def protocol(self) -> str:
        """How it is extrapolated."""
        return f"eigenvalues corrected, jackknife of {GROUPS} groups, seed {SEED}"

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
                f"{LEAST * d} in all, there are {n}: with fewer, its error is not known"
            )
        real, mean, covariance = self.reference.moments
        b = Moments(real, mean.to(self.device), covariance.to(self.device))
        factor, centre = root(b), x.mean(0)

        def distance(found: Sums) -> Tensor:
            return corrected_distance(moments_of_sums(found, centre), b, factor)

        whole = sums(x, centre)
        order = torch.randperm(n, generator=torch.Generator().manual_seed(SEED)).to(x.device)
        groups = order.tensor_split(min(GROUPS, n))
        without = torch.stack([distance(_less(whole, sums(x[own], centre))) for own in groups])
        rest = len(groups) - 1
        error = (rest * without.var(correction=0)).sqrt()
        return Figure(len(groups) * distance(whole) - rest * without.mean(), error)


def _less(whole: Sums, part: Sums) -> Sums:
    return Sums(whole.n - part.n, whole.first - part.first, whole.second - part.second)

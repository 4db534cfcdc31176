"""Frechet distance between the features of samples and of real images (FID).

Heusel et al., GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium,
2017, arXiv:1706.08500. Dowson and Landau, The Frechet distance between multivariate normal
distributions, 1982, doi:10.1016/0047-259X(82)90077-X.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from harness.features.base import Features
from harness.metrics.base import Moments, Reference, SampleMetric
from harness.metrics.moments import Sums, moments_of_sums, sums


class FrechetTerms(NamedTuple):
    """The two summands of a Frechet distance, float64 scalars.

    Attributes:
        mean: |m_a - m_b|^2.
        covariance: tr S_a + tr S_b - 2 tr (S_a S_b)^(1/2).
    """

    mean: Tensor
    covariance: Tensor


def frechet_distance(a: Moments, b: Moments) -> Tensor:
    """Return the squared 2-Wasserstein distance of two Gaussians with these moments.

    d^2 = |m_a - m_b|^2 + tr S_a + tr S_b - 2 tr (S_a S_b)^(1/2), a float64 scalar, in squared units
    of the features.
    """
    mean, covariance = frechet_terms(a, b)
    return mean + covariance


def frechet_terms(a: Moments, b: Moments) -> FrechetTerms:
    """Return the mean term and the covariance term of the Frechet distance."""
    difference = a.mean - b.mean
    spread = a.covariance.trace() + b.covariance.trace() - 2 * _trace_of_root(a, b)
    # Nonnegative by Cauchy-Schwarz; of equal sets rounding leaves some -1e-15.
    return FrechetTerms(difference @ difference, spread.clamp(min=0))


def _trace_of_root(a: Moments, b: Moments) -> Tensor:
    """Return tr (S_a S_b)^(1/2) = tr (R^T S_b R)^(1/2), where S_a = R R^T.

    R^T S_b R is symmetric, so its eigenvalues are real and nonnegative; those of S_a S_b, which
    libraries take, are complex after rounding. The covariance of n features has rank n - 1 at most:
    R has no more columns, or the null space would add the square roots of rounding errors. No
    other eigenvalue is cut off: those of the product span the spectrum of S squared.
    """
    small, large = sorted((a, b), key=lambda moments: moments.n)
    rank = min(small.n - 1, len(small.mean))
    eigenvalues, eigenvectors = torch.linalg.eigh(small.covariance)
    root = eigenvectors[:, -rank:] * eigenvalues[-rank:].clamp(min=0).sqrt()
    product: Tensor = torch.linalg.eigvalsh(root.T @ large.covariance @ root)
    return product.clamp(min=0).sqrt().sum()


class FrechetDistance(SampleMetric):
    """FID: the Frechet distance of samples to the reference, in the extractor's features.

    Holds sums of size O(d^2), not features; they add up across batches and devices. The bias of the
    value falls as 1/N, so values at different numbers of images do not compare.
    """

    count: Tensor
    first: Tensor
    second: Tensor

    def __init__(self, reference: Reference) -> None:
        super().__init__(reference)
        d = len(reference.moments.mean)
        zeros = torch.zeros(d, d, dtype=torch.float64)
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("first", zeros[0].clone(), dist_reduce_fx="sum")
        self.add_state("second", zeros, dist_reduce_fx="sum")

    def update(self, features: Features) -> None:
        """Take in the vectors of one batch; raises ``NonFiniteFeatures``."""
        batch = sums(features.vectors.to(self.device), self._reference().mean)
        self.count += batch.n
        self.first += batch.first
        self.second += batch.second

    def compute(self) -> Tensor:
        """Return d^2, a float64 scalar.

        Raises:
            ValueError: with fewer than two images.
        """
        reference = self._reference()
        total = Sums(self.count, self.first, self.second)
        return frechet_distance(moments_of_sums(total, reference.mean), reference)

    def _reference(self) -> Moments:
        n, mean, covariance = self.reference.moments
        return Moments(n, mean.to(self.device), covariance.to(self.device))

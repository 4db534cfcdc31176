"""Frechet distance between the features of samples and of real images (FID).

Heusel et al., GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium,
2017, arXiv:1706.08500. Dowson and Landau, The Frechet distance between multivariate normal
distributions, 1982, doi:10.1016/0047-259X(82)90077-X.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torchmetrics.utilities import dim_zero_cat

from harness.features.base import Features
from harness.metrics.base import Figure, Moments, Reference, SampleMetric
from harness.metrics.moments import Sums, finite, moments_of_sums, sums

TOLERANCE = 1e-7
"""Relative rounding error of a distance above which the slower, exact form is used."""


class FrechetTerms(NamedTuple):
    """The two summands of a Frechet distance, float64 scalars.

    Attributes:
        mean: |m_a - m_b|^2.
        covariance: tr S_a + tr S_b - 2 tr (S_a S_b)^(1/2).
    """

    mean: Tensor
    covariance: Tensor


class _Factored(NamedTuple):
    """Moments of n features whose covariance is R R^T, where the root R is (d, k)."""

    n: int
    mean: Tensor
    root: Tensor


def frechet_distance(a: Moments, b: Moments) -> Tensor:
    """Return the squared 2-Wasserstein distance of two Gaussians with these moments.

    d^2 = |m_a - m_b|^2 + tr S_a + tr S_b - 2 tr (S_a S_b)^(1/2), a float64 scalar, in squared units
    of the features.
    """
    mean, covariance = frechet_terms(a, b)
    return mean + covariance


def frechet_terms(a: Moments, b: Moments) -> FrechetTerms:
    """Return the mean term and the covariance term of the Frechet distance."""
    small, large = sorted((a, b), key=lambda moments: moments.n)
    return _terms(_Factored(small.n, small.mean, root(small)), large)


def frechet_terms_of_vectors(x: Tensor, b: Moments) -> FrechetTerms:
    """Return the terms of the distance from vectors (n, d), without their covariance.

    The root of a covariance of n centred vectors X is X^T / sqrt(n - 1), so that what remains are
    the eigenvalues of a Gram matrix, X S_b X^T / (n - 1), n by n: exact and quick where n <= d.

    Raises:
        NonFiniteFeatures: if a vector holds NaN or infinity.
        ValueError: of fewer than two vectors there is no covariance.
    """
    n = len(x)
    if n < 2:
        raise ValueError(f"a covariance needs at least 2 images, there are {n}")
    offsets = finite(x) - b.mean
    shift = offsets.mean(0)
    return _terms(_Factored(n, b.mean + shift, (offsets - shift).T / math.sqrt(n - 1)), b)


def _terms(a: _Factored, b: Moments) -> FrechetTerms:
    difference = a.mean - b.mean
    mean = difference @ difference
    traces = a.root.square().sum() + b.covariance.trace()
    products = _products(a, b)
    covariance = traces - 2 * products.sqrt().sum()
    if _rounding(products) > TOLERANCE * (mean + covariance.abs()):
        covariance = traces - 2 * torch.linalg.svdvals(a.root.T @ root(b)).sum()
    # Nonnegative by Cauchy-Schwarz; of equal sets rounding leaves some -1e-15.
    return FrechetTerms(mean, covariance.clamp(min=0))


def _products(a: _Factored, b: Moments) -> Tensor:
    """Return the eigenvalues of R^T S_b R, whose roots sum to tr (S_a S_b)^(1/2); S_a = R R^T.

    R^T S_b R is symmetric, so its eigenvalues are real and nonnegative; those of S_a S_b, which
    libraries take, are complex after rounding. The covariance of n features has rank n - 1 at most:
    there are no more eigenvalues.
    """
    rank = min(a.n - 1, b.n - 1, len(a.mean))
    products: Tensor = torch.linalg.eigvalsh(a.root.T @ b.covariance @ a.root)
    return products[-rank:].clamp(min=0)


def _rounding(products: Tensor) -> Tensor:
    """Return by how much rounding may shift twice the sum of the roots of these eigenvalues.

    Each is uncertain by eps times the largest, which weighs most in the roots of the least: of null
    eigenvalues, where features are of low rank, they are 1e-8. Cutting these off would need a limit
    between them and small ones that count. Singular values of R_a^T R_b are the roots themselves,
    certain to eps, but take several times as long.
    """
    error = torch.finfo(products.dtype).eps * products[-1:]
    return 2 * ((products + error).sqrt() - products.sqrt()).sum()


def root(moments: Moments) -> Tensor:
    """Return R (d, k) with S = R R^T: Cholesky's factor where S is definite beyond rounding.

    Otherwise it has a column for each eigenvector with a variance above rounding, at ten times the
    cost.
    """
    n, mean, covariance = moments
    d = len(mean)
    least = d * torch.finfo(covariance.dtype).eps
    factor: Tensor
    if n > d:
        factor, failed = torch.linalg.cholesky_ex(covariance)
        pivots = factor.diagonal().square()
        if not failed and pivots.min() > least * pivots.max():
            return factor
    eigenvalues, eigenvectors = torch.linalg.eigh(covariance)
    real = eigenvalues > least * eigenvalues[-1]
    factor = eigenvectors[:, real] * eigenvalues[real].sqrt()
    return factor


class FrechetDistance(SampleMetric):
    """FID: the Frechet distance of samples to the reference, in the extractor's features.

    Its summands, of the means and of the covariances, are columns of their own. The bias of the
    value falls as 1/N, so values at different numbers of images do not compare.

    Keeps the vectors of the first d samples, whose Gram matrix is smaller than their covariance;
    with more, sums of size O(d^2), which add up across batches and devices.
    """

    limits = dict.fromkeys(("fid", "fid_mean_term", "fid_covariance_term"), (0.0, math.inf))
    count: Tensor
    first: Tensor
    second: Tensor
    vectors: list[Tensor]

    def __init__(self, reference: Reference) -> None:
        super().__init__(reference)
        d = len(reference.moments.mean)
        zeros = torch.zeros(d, d, dtype=torch.float64)
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("first", zeros[0].clone(), dist_reduce_fx="sum")
        self.add_state("second", zeros, dist_reduce_fx="sum")
        self.add_state("vectors", [], dist_reduce_fx="cat")

    def update(self, features: Features) -> None:
        """Update with the vectors (B, d) of one batch; raises ``NonFiniteFeatures``."""
        finite(features.vectors)
        self.vectors.append(features.vectors.to(self.device))
        if self.count or sum(map(len, self.vectors)) > len(self.first):
            kept = self._kept()
            self.count, self.first, self.second = self._sums(kept)
            # Devices gather this list, and one that is empty has no shape.
            self.vectors = [kept[:0]]

    def compute(self) -> dict[str, Figure | str]:
        """Return fid, which is d^2, and its summands fid_mean_term and fid_covariance_term.

        Raises:
            ValueError: with fewer than two images.
        """
        n, mean, covariance = self.reference.moments
        reference = Moments(n, mean.to(self.device), covariance.to(self.device))
        kept = self._kept()
        if self.count or len(kept) > len(self.first):
            terms = frechet_terms(moments_of_sums(self._sums(kept), reference.mean), reference)
        else:
            terms = frechet_terms_of_vectors(kept, reference)
        return {
            "fid": Figure(terms.mean + terms.covariance),
            "fid_mean_term": Figure(terms.mean),
            "fid_covariance_term": Figure(terms.covariance),
        }

    def _kept(self) -> Tensor:
        """Return the vectors that are not in the sums, (n, d)."""
        if not len(self.vectors):
            return self.first.new_empty(0, len(self.first))
        vectors: Tensor = dim_zero_cat(self.vectors)
        return vectors

    def _sums(self, more: Tensor) -> Sums:
        """Return the sums with more vectors."""
        batch = sums(more, self.reference.moments.mean.to(self.device))
        return Sums(self.count + batch.n, self.first + batch.first, self.second + batch.second)

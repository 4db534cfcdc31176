"""Maximum mean discrepancy between samples and real images (KID, CMMD).

One estimator for every kernel: the unbiased U-statistic of all pairs, without subsets, with its
standard error.

Gretton et al., A Kernel Two-Sample Test, 2012. Binkowski et al., Demystifying MMD GANs, 2018,
arXiv:1801.01401. Jayasumana et al., Rethinking FID, 2024, arXiv:2401.09603.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from harness.metrics.base import Figure
from harness.metrics.tiles import PairwiseMetric, squared_distances, tiles

Kernel = Callable[[Tensor, Tensor], Tensor]
"""Maps vectors (n, d) and (m, d), float64, to k(x_i, y_j), (n, m)."""


class Sums(NamedTuple):
    """Sums of a kernel over pairs, float64: of each x (n,), of each y (m,), and of all squares."""

    rows: Tensor
    columns: Tensor
    squares: Tensor


def sums_between(kernel: Kernel, x: Tensor, y: Tensor) -> Sums:
    """Return the sums of k(x_i, y_j) over all pairs of x (n, d) and y (m, d)."""
    rows, columns, squares = _zeros(len(x), x), _zeros(len(y), x), _zeros(1, x)[0]
    for tile in tiles(x, y):
        k = kernel(tile.x, tile.y)
        rows[tile.rows] += k.sum(1)
        columns[tile.columns] += k.sum(0)
        squares += k.square().sum()
    return Sums(rows, columns, squares)


def sums_within(kernel: Kernel, x: Tensor) -> Sums:
    """Return the sums of k(x_i, x_j) over the pairs i != j; rows and columns are the same."""
    total, squares = _zeros(len(x), x), _zeros(1, x)[0]
    for tile in tiles(x, x, upper=True):
        # Pairs above the diagonal stand for those below it.
        k = kernel(tile.x, tile.y).triu_(tile.rows.start - tile.columns.start + 1)
        total[tile.rows] += k.sum(1)
        total[tile.columns] += k.sum(0)
        squares += 2 * k.square().sum()
    return Sums(total, total, squares)


def squared_mmd(xx: Sums, yy: Sums, xy: Sums) -> Figure:
    """Return the unbiased MMD^2 of n and m images and its standard error.

    MMD^2 = mean_{i != j} k(x_i, x_j) + mean_{i != j} k(y_i, y_j) - 2 mean k(x_i, y_j), which may
    come out negative. By Hoeffding's decomposition, with a(x) = E k(x, X) - E k(x, Y), b(y) =
    E k(y, Y) - E k(y, X), and g the kernel centred in both arguments, its variance is

        4 Var a / n + 4 Var b / m                                                      (first order)
        + 2 E g_xx^2 / (n (n - 1)) + 2 E g_yy^2 / (m (m - 1)) + 4 E g_xy^2 / (n m)    (second order)

    without remainder. The first order vanishes as the distributions meet, the second stays. The
    empirical variances of a and b hold the second order twice, so once is taken off; see
    Sutherland, Unbiased estimators for the variance of MMD estimators, 2019, arXiv:1906.02104, for
    n = m. What remains is at least the second order, so between equal distributions, where it
    scatters about that, the error is some 20% too large.
    """
    n, m = len(xx.rows), len(yy.rows)
    of_x, of_y = xx.rows / (n - 1), yy.rows / (m - 1)
    x_of_y, y_of_x = xy.rows / m, xy.columns / n
    value = of_x.mean() + of_y.mean() - 2 * x_of_y.mean()
    second = (
        2 * _centred(xx.squares, of_x, of_x) / (n * (n - 1))
        + 2 * _centred(yy.squares, of_y, of_y) / (m * (m - 1))
        + 4 * _centred(xy.squares, x_of_y, y_of_x) / (n * m)
    )
    spread = 4 * (of_x - x_of_y).var() / n + 4 * (of_y - y_of_x).var() / m
    return Figure(value, torch.maximum(spread - second, second).sqrt())


def _centred(squares: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return E g^2 = E k^2 - E (E_y k)^2 - E (E_x k)^2 + (E k)^2, from sums and conditional means.

    ``squares`` sums over all pairs, or over those of different images.
    """
    same = rows is columns
    pairs = len(rows) * (len(rows) - 1 if same else len(columns))
    mean = rows.mean()
    value = squares / pairs - rows.square().mean() - columns.square().mean() + mean.square()
    return value.clamp(min=0)


def _zeros(n: int, like: Tensor) -> Tensor:
    return torch.zeros(n, dtype=torch.float64, device=like.device)


class _SquaredMMD(PairwiseMetric):
    """MMD^2 of samples and reference in one kernel."""

    @abstractmethod
    def kernel(self, x: Tensor, y: Tensor) -> Tensor:
        """Return k(x_i, y_j), (n, m), of float64 vectors (n, d) and (m, d)."""

    def compute(self) -> Figure:
        """Return MMD^2 with its standard error.

        Raises:
            ValueError: with fewer than two images.
        """
        x, y = self.samples(), self.reference.features.vectors.to(self.device)
        known = self.reference.derived(
            f"kernel sums 1, {type(self).__name__} {self.protocol}",
            lambda: {"rows": (sums := sums_within(self.kernel, y)).rows, "squares": sums.squares},
        )
        rows = known["rows"].to(self.device)
        yy = Sums(rows, rows, known["squares"].to(self.device))
        return squared_mmd(sums_within(self.kernel, x), yy, sums_between(self.kernel, x, y))


class KernelDistance(_SquaredMMD):
    """KID: MMD^2 with the kernel (x.y / d + 1)^3, unbiased at any number of images."""

    @property
    def protocol(self) -> str:
        """The kernel."""
        return "kernel (x.y / d + 1)^3"

    def kernel(self, x: Tensor, y: Tensor) -> Tensor:
        """Return (x.y / d + 1)^3."""
        return torch.addmm(x.new_ones(()), x, y.T, alpha=1 / x.shape[1]).pow_(3)


class GaussianDistance(_SquaredMMD):
    """MMD^2 with the kernel exp(-|x - y|^2 / (2 s^2)), which no difference of distributions evades.

    Where features do not bring a bandwidth s of their own (CLIP's have that of CMMD, 10), s^2 is
    the trace of the reference's covariance: half the mean squared distance between real images.
    Train and test split have each its own. CMMD as published is the biased estimate, which keeps
    the pairs of an image with itself.
    """

    costly = True
    limits = {"mmd": (-2.0, 2.0)}

    @property
    def bandwidth(self) -> float:
        """The bandwidth s, in units of the features.

        Raises:
            ValueError: all real images have the same features.
        """
        own = self.reference.bandwidth
        if own is not None:
            return own
        variance = float(self.reference.moments.covariance.trace())
        if not variance > 0:
            raise ValueError("a bandwidth needs real images that differ; their features are equal")
        return math.sqrt(variance)

    @property
    def protocol(self) -> str:
        """The kernel and its bandwidth."""
        return f"Gaussian kernel, s = {self.bandwidth:.6g}"

    def kernel(self, x: Tensor, y: Tensor) -> Tensor:
        """Return exp(-|x - y|^2 / (2 s^2))."""
        return squared_distances(x, y).mul_(-0.5 / self.bandwidth**2).exp_()

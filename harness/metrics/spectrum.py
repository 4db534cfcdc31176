"""The spectrum of a covariance, from as many samples as it has dimensions, or some times as many.

Eigenvalues of a sample covariance scatter about the true ones by some sqrt(d / n), so that a sum of
their roots is too small however large n, if d is as large. Where n and d grow together, that is
known and can be undone.

Mestre, On the asymptotic behavior of the sample estimates of eigenvalues and eigenvectors of
covariance matrices, 2008, doi:10.1109/TSP.2008.929662. Tiomoko and Couillet, Random matrix-improved
estimation of the Wasserstein distance between two centered Gaussian distributions, 2019,
arXiv:1903.03447.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

NODES = 8
"""Points at which each integral's integrand is taken: at n = 4 k they leave 1e-6 and less of it."""


def sum_of_roots(eigenvalues: Tensor, n: int) -> Tensor:
    """Return tr S^(1/2) of a true covariance S, from the eigenvalues of a sample covariance.

    With the l_i > 0 of n degrees of freedom, let m(x) = (1 / n) (sum_i 1 / (l_i - x) - (n - k) / x)
    be the Stieltjes transform of the n by n Gram matrix. Between l_(i-1) and l_i it has one root,
    e_i, an eigenvalue of diag(l) - l^(1/2) l^(1/2)^T / n. Then

        tr S^(1/2) ~ (2 n / pi) sum_i int_{e_i}^{l_i} m(x)^(1/2) dx,

    Mestre's contour integral of the square root, shrunk to the segments where m > 0. Its error does
    not grow with k at fixed k / n < 1, if samples are S^(1/2) z with independent entries of z.

    Args:
        eigenvalues: of the sample covariance, those above 0, ascending (k,), float64, k < n.
        n: degrees of freedom, samples less one where their mean was subtracted.
    """
    roots = eigenvalues.sqrt()
    lower = torch.linalg.eigvalsh(eigenvalues.diag() - torch.outer(roots, roots) / n)
    lengths = (eigenvalues - lower).clamp(min=0)
    step = math.pi / (2 * NODES)
    angles = step * (torch.arange(NODES, dtype=lengths.dtype, device=lengths.device)[:, None] + 0.5)
    # With x = e + (l - e) sin^2 the integrand is smooth to both ends.
    x = eigenvalues - lengths * angles.cos().square()
    poles = (1 / (eigenvalues - x[..., None])).sum(-1)
    heights = ((poles - (n - len(lengths)) / x) / n).clamp(min=0).sqrt() * (2 * angles).sin()
    # Between equal eigenvalues the pole has no width.
    area = torch.where(x < eigenvalues, heights * lengths, 0.0).sum()
    return 2 * n / math.pi * step * area

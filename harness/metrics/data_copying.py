"""C_T: do samples lie nearer to the training images than unseen real images do, cell by cell?

Meehan et al., A Non-Parametric Test to Detect Data-Copying in Generative Models, 2020,
arXiv:2004.05675.
"""

from __future__ import annotations

import warnings

import torch
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits
from torch import Tensor

from harness.metrics.base import Figure
from harness.metrics.memorisation import Nearest

CELLS = 10
"""Cells at most."""
MEAN = 50
"""Held-out images per cell, on average, at least: with fewer of them there are fewer cells."""
SEED = 0
LEAST = 20
"""Samples in a cell, and held-out images, at least: cells with fewer are left out."""


def number_of_cells(held_out: int) -> int:
    """Return the number of cells for this number of held-out images."""
    return max(1, min(CELLS, held_out // MEAN))


def cells(vectors: Tensor, count: int) -> Tensor:
    """Return which of ``count`` clusters of k-means each training vector (m, d) is in, (m,).

    A cell of the space is what lies nearest to the training images of one cluster.
    """
    # Sums of one thread come out the same every time.
    with threadpool_limits(1), warnings.catch_warnings():
        # It warns of fewer distinct vectors than clusters, which leaves cells empty: harmless.
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = KMeans(count, n_init=1, random_state=SEED).fit(vectors.cpu().double().numpy())
    return torch.from_numpy(found.labels_).long().to(vectors.device)


def mann_whitney(a: Tensor, b: Tensor) -> Tensor:
    """Return the standard score of Mann and Whitney's U, corrected for ties; float64.

    U counts the pairs with a_i > b_j, ties half. Negative where values of a (n,) are smaller than
    those of b (m,); standard normal where they are alike; 0 where all are equal.
    """
    n, m = len(a), len(b)
    order = b.sort().values
    below = torch.searchsorted(order, a) + torch.searchsorted(order, a, right=True)
    u = below.double().sum() / 2
    ties = torch.unique_consecutive(torch.cat([a, b]).sort().values, return_counts=True)[1].double()
    total = n + m
    variance = n * m / 12 * (total + 1 - (ties**3 - ties).sum() / (total * (total - 1)))
    return torch.where(variance > 0, (u - n * m / 2) / variance.sqrt(), 0.0)


def data_copying(samples: Nearest, held_out: Nearest, cell: Tensor) -> Figure | str:
    """Return C_T = sum over cells of P(cell) Z(cell) / sum of P(cell), or why there is none.

    Z is the standard score of Mann and Whitney's test, of the distances of a cell's samples to the
    training set against those of its held-out images, P its share of these. Far below 0, samples
    lie nearer to the training images than unseen real ones; far above, they lie off the data. Of k
    cells as large as each other it has the deviation 1 / sqrt(k) where all is well. In one cell for
    all, samples from where the data are dense would pass for copies.

    Samples from the middle of each mode lower it too, so it is no proof of copying by itself.

    Args:
        samples: the training image nearest to each of n samples.
        held_out: that of each held-out image.
        cell: which cell each training image is in, (m,).
    """
    of_samples, of_held_out = cell[samples.which], cell[held_out.which]
    weights, scores = [], []
    for index in range(int(cell.max()) + 1):
        mine, others = of_samples == index, of_held_out == index
        if min(mine.sum(), others.sum()) >= LEAST:
            weights.append(others.double().mean())
            scores.append(mann_whitney(samples.squared[mine], held_out.squared[others]))
    if not scores:
        return f"C_T needs {LEAST} samples and {LEAST} held-out images in a cell; none has as many"
    shares = torch.stack(weights)
    return Figure(shares @ torch.stack(scores) / shares.sum())

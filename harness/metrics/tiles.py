"""All pairs of two sets of vectors, one tile at a time, in constant memory.

Arithmetic is float64. Squared distances are |x|^2 + |y|^2 - 2 x.y, a matrix product, which in
float32 would lose small distances to cancellation; in float64 some 1e-14 |x|^2 is lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torchmetrics.utilities import dim_zero_cat

from harness.features.base import Features
from harness.metrics.base import Reference, SampleMetric
from harness.metrics.moments import finite

ROWS, COLUMNS = 512, 1024


class Tile(NamedTuple):
    """The pairs of ``x[rows]`` and ``y[columns]``, both float64."""

    rows: slice
    columns: slice
    x: Tensor
    y: Tensor


def tiles(x: Tensor, y: Tensor, *, upper: bool = False) -> Iterator[Tile]:
    """Yield the tiles of all pairs of x (n, d) and y (m, d), row by row.

    Args:
        x: vectors.
        y: vectors on the same device.
        upper: leave out tiles that lie wholly below the diagonal.
    """
    for top in range(0, len(x), ROWS):
        rows = slice(top, min(top + ROWS, len(x)))
        block = x[rows].double()
        for left in range(top if upper else 0, len(y), COLUMNS):
            columns = slice(left, min(left + COLUMNS, len(y)))
            yield Tile(rows, columns, block, y[columns].double())


def squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """Return |x_i - y_j|^2 (n, m) of float64 vectors (n, d) and (m, d), as one matrix product."""
    one = x.new_ones(1)
    left = torch.cat([x, x.square().sum(1, keepdim=True), one.expand(len(x), 1)], 1)
    right = torch.cat([-2 * y, one.expand(len(y), 1), y.square().sum(1, keepdim=True)], 1)
    return (left @ right.T).clamp_(min=0)


class PairwiseMetric(SampleMetric):
    """A metric of pairs of images: keeps the vectors of all samples, as they come."""

    vectors: list[Tensor]

    def __init__(self, reference: Reference) -> None:
        super().__init__(reference)
        self.add_state("vectors", [], dist_reduce_fx="cat")

    def update(self, features: Features) -> None:
        """Update with the vectors of one batch; raises ``NonFiniteFeatures``."""
        finite(features.vectors)
        self.vectors.append(features.vectors.to(self.device))

    def samples(self) -> Tensor:
        """Return the vectors (n, d) of all samples.

        Raises:
            ValueError: with fewer than two images.
        """
        # Between devices the list is one tensor, and empty on one that has no samples.
        joined: Tensor = dim_zero_cat(self.vectors) if len(self.vectors) else torch.empty(0)
        n = len(joined)
        if n < 2:
            raise ValueError(f"pairs need at least 2 images, there {'is 1' if n else 'are 0'}")
        return joined

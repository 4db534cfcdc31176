"""Synthetic images whose probability and entropy are known in closed form.

Each pixel d has one parent in the image, or none, and is a noisy copy of it::

    z_d = z_parent(d) with probability KEEP, otherwise drawn from MARGINAL
    x_d = (z_d + row + column) mod 4

Every z_d then has the distribution MARGINAL =: q, so with c_ij = KEEP [i = j] + (1 - KEEP) q_j

    log P(x) = sum over d of log q(z_d) or log c(z_parent(d), z_d)
    H = (pixels without a parent) H(q) + (pixels with one) sum_i q_i H(c_i)

The shift is a bijection: it leaves entropy alone and gives every pixel a distribution of its own.
No valid likelihood of such data is, on average, above -H.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.contract import DataSpec
from harness.dataset import Dataset, Split
from harness.errors import did_you_mean
from harness_datasets.errors import DatasetError

MARGINAL = np.array([0.1, 0.2, 0.3, 0.4])
LEVELS = len(MARGINAL)
KEEP = 0.6
COPY = KEEP * np.eye(LEVELS) + (1 - KEEP) * MARGINAL
SIZES = (20_000, 2_000, 10_000)

# The parent of the pixel at (row, column), or None.
Parent = Callable[[int, int], tuple[int, int] | None]
PARENTS: dict[str, Parent] = {
    "independent": lambda row, column: None,
    "markov": lambda row, column: (row, column - 1) if column else None,
    "mixture": lambda row, column: (0, 0) if row or column else None,
}


@dataclass(frozen=True)
class Density:
    """Distribution of images 1 x height x width.

    Attributes:
        name: "independent" pixels; rows that are "markov" chains from left to right; or a "mixture"
            of four kinds of image, each of which copies its first pixel everywhere.
    """

    name: str
    height: int = 4
    width: int = 4

    @property
    def entropy(self) -> float:
        """Entropy of one image, in nats."""
        copies = sum(parent is not None for _, parent in self._graph())
        alone = self.height * self.width - copies
        return float(alone * _entropy(MARGINAL) + copies * MARGINAL @ [_entropy(c) for c in COPY])

    def log_probability(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return the log-probability of images (N, 1, height, width), in nats, (N,)."""
        z = (images[:, 0].astype(np.int64) - self._shift()) % LEVELS
        nats = np.zeros(len(z))
        for (row, column), parent in self._graph():
            pixel = z[:, row, column]
            factor = MARGINAL[pixel] if parent is None else COPY[z[:, *parent], pixel]
            nats += np.log(factor)
        return nats

    def sample(self, n: int, generator: np.random.Generator) -> NDArray[np.uint8]:
        """Draw ``n`` images, uint8 (n, 1, height, width), by inverting distribution functions."""
        z = np.empty((n, self.height, self.width), dtype=np.int64)
        for (row, column), parent in self._graph():
            table = np.tile(MARGINAL, (n, 1)) if parent is None else COPY[z[:, *parent]]
            u = generator.random((n, 1))
            z[:, row, column] = (u >= np.cumsum(table, axis=1)[:, :-1]).sum(axis=1)
        return ((z + self._shift()) % LEVELS).astype(np.uint8)[:, np.newaxis]

    def _graph(self) -> list[tuple[tuple[int, int], tuple[int, int] | None]]:
        parent = PARENTS[self.name]
        return [(pixel, parent(*pixel)) for pixel in np.ndindex(self.height, self.width)]

    def _shift(self) -> NDArray[np.int64]:
        return np.add.outer(np.arange(self.height), np.arange(self.width))


def load(argument: str) -> Dataset:
    """Load independent draws of images 1x4x4 with 4 levels, always the same.

    Args:
        argument: "independent", "markov" or "mixture", see ``Density``.
    """
    if argument not in PARENTS:
        raise DatasetError(
            f"known-density:{argument} does not exist{did_you_mean(argument, PARENTS)}; "
            f"there are: {', '.join(f'known-density:{name}' for name in PARENTS)}"
        )
    density = Density(argument)
    generator = np.random.default_rng(0)
    train, validation, test = (Split(density.sample(n, generator)) for n in SIZES)
    spec = DataSpec.images((1, density.height, density.width), LEVELS)
    return Dataset(f"known-density:{argument}", spec, train, validation, test, density.entropy)


def _entropy(p: NDArray[np.float64]) -> float:
    return float(-np.sum(p * np.log(p)))

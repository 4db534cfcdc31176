"""Nearest neighbours: how real samples are, how much of the data they cover, what they copy.

Kynkaanniemi et al., Improved Precision and Recall Metric for Assessing Generative Models, 2019,
arXiv:1904.06991. Naeem et al., Reliable Fidelity and Diversity Metrics for Generative Models, 2020,
arXiv:2002.09797.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from harness.metrics.base import Figure, Reference
from harness.metrics.data_copying import SEED, cells, data_copying, number_of_cells
from harness.metrics.memorisation import (
    NOTHING_HELD_OUT,
    Nearest,
    authenticity,
    nearest,
    ratios,
    suspicious_share,
)
from harness.metrics.tiles import PairwiseMetric, squared_distances, tiles

K = 5
SLACK = 1e-12
"""Squared distances that differ by less, times the data's variance, are equal but for rounding."""


class Manifold(NamedTuple):
    """Vectors (n, d), each with the ball that reaches to its k-th nearest other.

    Attributes:
        centre: subtracted before distances are taken, which costs less rounding near the origin.
        radii: squared, (n,) float64, enlarged by rounding so that ties lie inside.
        nearest: squared distance to the nearest other, (n,) float64.
    """

    vectors: Tensor
    centre: Tensor
    radii: Tensor
    nearest: Tensor


class Comparison(NamedTuple):
    """Result of one pass over all pairs of n samples and m real images.

    Attributes:
        balls: real balls that hold each sample, (n,).
        covered: whether the ball of each real image holds a sample, (m,).
        recalled: whether each real image lies in the ball of a sample, (m,).
        nearest: real image nearest to each sample.
    """

    balls: Tensor
    covered: Tensor
    recalled: Tensor
    nearest: Nearest

    def figures(self, k: int) -> dict[str, Tensor]:
        """Return the four shares, float64 scalars; all but density lie in [0, 1].

        Precision: samples that lie in some real ball. Recall: real images that lie in some sample's
        ball. Density: real balls that hold a sample, mean over samples, divided by k; about 1 for
        real images. Coverage: real balls that hold some sample.
        """
        return {
            "precision": (self.balls > 0).double().mean(),
            "recall": self.recalled.double().mean(),
            "density": self.balls.double().mean() / k,
            "coverage": self.covered.double().mean(),
        }


def smallest_distances(x: Tensor, centre: Tensor, k: int) -> Tensor:
    """Return the squared distances (n, k) of each of n > k vectors to its nearest others, sorted.

    Raises:
        ValueError: there are too few.
    """
    if len(x) <= k:
        raise ValueError(f"{k} nearest neighbours need at least {k + 1} images, there are {len(x)}")
    best = torch.full((len(x), k), torch.inf, dtype=torch.float64, device=x.device)
    for tile in tiles(x, x):
        distances = squared_distances(tile.x - centre, tile.y - centre)
        start, stop = tile.columns.start, tile.columns.stop
        own = range(max(tile.rows.start, start), min(tile.rows.stop, stop))
        if own:
            index = torch.arange(own.start, own.stop, device=x.device)
            distances[index - tile.rows.start, index - start] = torch.inf
        least = distances.topk(min(k, stop - start), largest=False).values
        best[tile.rows] = torch.cat([best[tile.rows], least], 1).topk(k, largest=False).values
    return best.sort(dim=1).values


def manifold(x: Tensor, centre: Tensor, slack: float = 0.0, k: int = K) -> Manifold:
    """Return the balls of vectors (n, d); ``slack`` is added to the squared radii."""
    distances = smallest_distances(x, centre, k)
    return Manifold(x, centre, distances[:, -1] + slack, distances[:, 0])


def compare(samples: Manifold, real: Manifold) -> Comparison:
    """Compare n samples with m real images in one pass over all pairs."""
    n, m = len(samples.vectors), len(real.vectors)
    device = samples.vectors.device
    balls = torch.zeros(n, dtype=torch.long, device=device)
    covered, recalled = torch.zeros(2, m, dtype=torch.bool, device=device)
    nearest = Nearest.unknown(n, device)
    for tile in tiles(samples.vectors, real.vectors):
        distances = squared_distances(tile.x - real.centre, tile.y - real.centre)
        inside = distances <= real.radii[tile.columns]
        balls[tile.rows] += inside.sum(1)
        covered[tile.columns] |= inside.any(0)
        recalled[tile.columns] |= (distances <= samples.radii[tile.rows, None]).any(0)
        nearest.take(tile.rows, tile.columns.start, distances)
    return Comparison(balls, covered, recalled, nearest)


class Training(NamedTuple):
    """Training images of a model: the balls they span, and held-out images relative to them.

    Attributes:
        manifold: of the training images.
        held_out: training image nearest to each held-out image, if there are any.
        cell: which cell of C_T each training image is in, (m,); None where nothing is held out.
    """

    manifold: Manifold
    held_out: Nearest | None = None
    cell: Tensor | None = None


def training(reference: Reference, device: torch.device, k: int = K) -> Training:
    """Return the balls of the real images and the neighbours of held-out ones, computed once."""
    centre = reference.moments.mean.to(device)
    vectors = reference.features.vectors.to(device)

    def balls() -> dict[str, Tensor]:
        distances = smallest_distances(vectors, centre, k)
        return {"furthest": distances[:, -1].clone(), "nearest": distances[:, 0].clone()}

    known = reference.derived(f"neighbours 1, k = {k}", balls)
    radii, within = (known[name].to(device) for name in ("furthest", "nearest"))
    whole = Manifold(vectors, centre, radii + slack(reference), within)
    other = reference.held_out
    if other is None:
        return Training(whole)
    unseen = other.features.vectors.to(device)
    known = reference.derived(
        "neighbours 1, held out", lambda: nearest(unseen, vectors, centre)._asdict()
    )
    found = Nearest(known["squared"].to(device), known["which"].to(device))
    count = number_of_cells(len(unseen))
    parted = reference.derived(f"cells 1, {count}", lambda: {"cell": cells(vectors, count)})
    return Training(whole, found, parted["cell"].to(device))


def nearest_training_images(vectors: Tensor, reference: Reference) -> tuple[Nearest, Tensor]:
    """Return the real image nearest to each of n vectors, with the ratios of distances (n,)."""
    real = training(reference, vectors.device).manifold
    found = nearest(vectors, real.vectors, real.centre)
    return found, ratios(found, real.nearest, slack(reference))


def slack(reference: Reference) -> float:
    """Return by how much rounding may separate equal squared distances."""
    return SLACK * float(reference.moments.covariance.trace())


class Neighbours(PairwiseMetric):
    """Precision, recall, density and coverage, and the tests of copying, from one pass.

    All are taken against the train split, in balls that reach to the k-th nearest neighbour; ties
    count as inside. ``memorisation`` is the share of suspiciously near samples, which warns of
    copies; ``c_t`` and ``auth_pct`` stand beside it.
    """

    limits = dict.fromkeys(("precision", "recall", "coverage", "memorisation"), (0.0, 1.0)) | {
        "density": (0.0, math.inf),
        "auth_pct": (0.0, 100.0),
    }
    comparative = False
    costly = True
    held_out_columns = frozenset({"memorisation", "c_t"})
    k = K

    @property
    def protocol(self) -> str:
        """The number of neighbours, the images compared, and the cells of C_T."""
        reference, other = self.reference, self.reference.held_out
        against = f"k = {self.k} against {reference.moments.n} of {reference.split}"
        if other is None:
            return against
        n = other.moments.n
        parted = f"C_T in {number_of_cells(n)} cells of k-means, seed {SEED}"
        return f"{against}, {n} of {other.split} held out, {parted}"

    def compute(self) -> dict[str, Figure | str]:
        """Return precision, recall, density, coverage, memorisation, c_t and auth_pct.

        Raises:
            ValueError: with no more than k images.
        """
        x = self.samples()
        real, held_out, cell = training(self.reference, self.device, self.k)
        equal = slack(self.reference)
        comparison = compare(manifold(x, real.centre, equal, self.k), real)
        shares = comparison.figures(self.k)
        found: dict[str, Figure | str] = {name: Figure(value) for name, value in shares.items()}
        found["auth_pct"] = Figure(authenticity(comparison.nearest, real.nearest))
        if held_out is None or cell is None:
            return found | dict.fromkeys(self.held_out_columns, NOTHING_HELD_OUT)
        drawn, unseen = (ratios(n, real.nearest, equal) for n in (comparison.nearest, held_out))
        found["memorisation"] = suspicious_share(drawn, unseen)
        found["c_t"] = data_copying(comparison.nearest, held_out, cell)
        return found

"""Does a model copy its training images?

Held-out real images show how near to the training set an honest sample may lie. Nearness is
relative: where training images are dense, every honest sample has one close by. The ratio d(x, t) /
d(t, t'), with t the training image nearest to x and t' the one nearest to t, allows for that.

Alaa et al., How Faithful is your Synthetic Data?, 2022, arXiv:2102.08921.
"""

from __future__ import annotations

from typing import NamedTuple, Self

import torch
from torch import Tensor

from harness.metrics.base import Figure
from harness.metrics.tiles import squared_distances, tiles

TAIL = 0.01
"""Share of honest images that lie suspiciously near to a training image, by definition."""
ALARM = 5.0
"""Standard deviations by which the share of suspicious samples must exceed that of honest ones."""

NOTHING_HELD_OUT = "copies are detected against held-out real images; there are none"


class Nearest(NamedTuple):
    """For each of n images, the nearest one of a set: how far, squared, and which, both (n,)."""

    squared: Tensor
    which: Tensor

    @classmethod
    def unknown(cls, n: int, device: torch.device) -> Self:
        """Return n images that have not been compared yet."""
        far = torch.full((n,), torch.inf, dtype=torch.float64, device=device)
        return cls(far, torch.zeros(n, dtype=torch.long, device=device))

    def take(self, rows: slice, start: int, squared: Tensor) -> None:
        """Update with the squared distances of ``rows`` to images from ``start`` on."""
        least, index = squared.min(1)
        nearer = least < self.squared[rows]
        self.squared[rows] = torch.where(nearer, least, self.squared[rows])
        self.which[rows] = torch.where(nearer, index + start, self.which[rows])


def nearest(x: Tensor, y: Tensor, centre: Tensor) -> Nearest:
    """Return the nearest of y (m, d) to each of x (n, d); ``centre`` lies near them."""
    found = Nearest.unknown(len(x), x.device)
    for tile in tiles(x, y):
        squared = squared_distances(tile.x - centre, tile.y - centre)
        found.take(tile.rows, tile.columns.start, squared)
    return found


def ratios(found: Nearest, within: Tensor, slack: float = 0.0) -> Tensor:
    """Return d(x, t) / d(t, t') of n images, where t is the training image nearest to x.

    Args:
        found: the nearest training image of each x.
        within: squared distance d(t, t')^2 of each training image to the nearest other one, (m,).
        slack: squared distances of no more are 0 but for rounding.
    """
    across, own = (torch.where(d > slack, d, 0.0) for d in (found.squared, within[found.which]))
    # A copy of an image that the training set has twice is as near as its twin: 0 / 0 counts as 1.
    return (across / own).sqrt().nan_to_num(nan=1.0, posinf=torch.inf)


def authenticity(found: Nearest, within: Tensor) -> Tensor:
    """Return AuthPct, the percentage of samples x with d(x, t) > d(t, t'): not copied from t.

    Of real images it is some 50, not 100.
    """
    return 100 * (found.squared > within[found.which]).double().mean()


def suspicious_share(samples: Tensor, held_out: Tensor) -> Figure | str:
    """Return the share of samples whose ratio is at most that of the nearest held-out images.

    These are ``TAIL`` of them, or more where their ratios are equal, as those of copies are.
    Honest models have the same share; copies add their own. It warns where the share exceeds that
    of held-out images by ``ALARM`` standard deviations of both samples. Where not even copies alone
    would, it returns why.

    Args:
        samples: ratios (n,).
        held_out: ratios (m,).
    """
    n, m = len(samples), len(held_out)
    limit = held_out.sort().values[int(TAIL * m)]
    share, usual = (float((found <= limit).double().mean()) for found in (samples, held_out))
    alarm = usual + ALARM * (usual * (1 - usual) * (1 / n + 1 / m)) ** 0.5
    if alarm >= 1:
        return (
            f"{usual:.0%} of {m} unseen real images lie as near to a training image as the nearest "
            f"do: among {n} samples copies would not stand out"
        )
    value = torch.tensor(share, dtype=torch.float64)
    if share <= alarm:
        return Figure(value)
    return Figure(
        value,
        warning=f"copies its training data: {share:.1%} of the samples lie as near to a training "
        f"image as only {usual:.0%} of unseen real images do",
    )

"""Distributions over integer grey values."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from harness.contract import from_symmetric, to_symmetric

LOG_SCALES = (-7.0, 7.0)


class DiscretisedLogistic:
    """Each sub-pixel is a logistic variable rounded to its level, the end bins open.

    On the scale of ``to_symmetric`` levels are 2h apart, h = 1 / (levels - 1), and with
    F(x) = sigmoid((x - location) / scale)

        P(x) = F(x + h) - F(x - h),   F(-1 - h) := 0,   F(1 + h) := 1,

    which sums to one exactly (Salimans et al., 2017, arXiv:1701.05517, with one component).

    Args:
        location: (B, C, H, W); may lie beyond [-1, 1].
        log_scale: (B, C, H, W); kept within ``LOG_SCALES``: at the lower end a bin of 256 levels
            holds all but e^-4 of the mass, at the upper end the inner levels are all alike.
        levels: number of grey values.
    """

    def __init__(self, location: Tensor, log_scale: Tensor, levels: int) -> None:
        self.location = location.float()
        self.log_scale = log_scale.float().clamp(*LOG_SCALES)
        self.levels = levels

    def log_prob(self, images: Tensor) -> Tensor:
        """Return log P of each sub-pixel of uint8 images, (B, C, H, W).

        Inner bins use sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - e^(b - a)), which loses
        no digits far out in the tails.
        """
        half = 1 / (self.levels - 1)
        precision = (-self.log_scale).exp()
        centred = to_symmetric(images, self.levels) - self.location
        below_upper = F.logsigmoid((centred + half) * precision)
        above_lower = F.logsigmoid((half - centred) * precision)
        between = torch.log(-torch.expm1(-2 * half * precision))
        not_lowest, not_highest = images > 0, images < self.levels - 1
        return (
            torch.where(not_highest, below_upper, 0)
            + torch.where(not_lowest, above_lower, 0)
            + torch.where(not_lowest & not_highest, between, 0)
        )

    def sample(self) -> Tensor:
        """Draw images, uint8 (B, C, H, W)."""
        noise = torch.rand_like(self.location).logit()
        return from_symmetric(self.location + self.log_scale.exp() * noise, self.levels)

    def median(self) -> Tensor:
        """Return the median of each sub-pixel, its location's nearest level; uint8."""
        return from_symmetric(self.location, self.levels)

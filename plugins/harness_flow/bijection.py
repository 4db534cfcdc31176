"""Bijections between noise z and data x, with the log-determinants that densities need.

log p(x) = log p(z(x)) + log |det dz/dx|

Each may depend on a condition, and gives log p(x | condition) then; most ignore it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn


class Bijection(nn.Module, ABC):
    """A bijection: calling it turns noise into data, ``inverse`` turns data into noise.

    For every condition, (B, ...), it is one of its own.
    """

    @abstractmethod
    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """Return x(z); z has a batch dimension."""

    @abstractmethod
    def inverse(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return z(x) and log |det dz/dx|, (B,)."""


class Chain(Bijection):
    """Bijections one after another, listed from data to noise.

    Args:
        parts: the one nearest to the data first.
    """

    def __init__(self, *parts: Bijection) -> None:
        super().__init__()
        self.parts = cast("Sequence[Bijection]", nn.ModuleList(parts))

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """Return x, applying the last part first."""
        for part in reversed(self.parts):
            z = part(z, condition)
        return z

    def inverse(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return z and the sum of the parts' log-determinants."""
        total = x.new_zeros(len(x))
        for part in self.parts:
            x, log_det = part.inverse(x, condition)
            total = total + log_det
        return x, total


class Squeeze(Bijection):
    """Trade resolution for channels: data (B, C, H, W), noise (B, 4C, H/2, W/2).

    Channels are ordered by position in the 2x2 cell, so that the first half holds the even rows
    (Dinh et al., 2017, arXiv:1605.08803, section 3.6).
    """

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """Map (B, 4C, h, w) to (B, C, 2h, 2w)."""
        cells = z.unflatten(1, (2, 2, -1)).permute(0, 3, 4, 1, 5, 2)
        return cells.flatten(4, 5).flatten(2, 3)

    def inverse(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map (B, C, H, W), H and W even, to (B, 4C, H/2, W/2); the log-determinant is 0."""
        cells = x.unflatten(3, (-1, 2)).unflatten(2, (-1, 2)).permute(0, 3, 5, 1, 2, 4)
        return cells.flatten(1, 3), x.new_zeros(len(x))


class ActNorm(Bijection):
    """Scale and shift each channel: z = (x - mean) exp(-log_std).

    The first batch it sees in training sets both, so that z starts with mean 0 and variance 1 in
    each channel; from then on they are parameters, and no image depends on its batch (Kingma and
    Dhariwal, 2018, arXiv:1807.03039, section 3.1).

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(channels, 1, 1))
        self.log_std = nn.Parameter(torch.zeros(channels, 1, 1))
        self.initialised = False

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """Return x = z exp(log_std) + mean, (B, C, H, W)."""
        return z * self.log_std.exp() + self.mean

    def inverse(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return z, and -H W sum(log_std) for each image."""
        if self.training and not self.initialised:
            self._initialise(x)
        z = (x - self.mean) * (-self.log_std).exp()
        log_det = -self.log_std.sum() * (x.shape[2] * x.shape[3])
        return z, log_det.expand(len(x))

    @torch.no_grad()
    def _initialise(self, x: Tensor) -> None:
        std, mean = torch.std_mean(x, dim=(0, 2, 3), correction=0)
        self.mean.copy_(mean[:, None, None])
        self.log_std.copy_(std.clamp(min=1e-3).log()[:, None, None])
        self.initialised = True

    def get_extra_state(self) -> Tensor:
        """Say in a checkpoint whether a batch has been seen."""
        return torch.tensor(self.initialised)

    def set_extra_state(self, state: Tensor) -> None:
        """Take over from a checkpoint whether a batch has been seen."""
        self.initialised = bool(state)


class Logit(Bijection):
    """Open the unit interval to the real line: z = logit(alpha + (1 - 2 alpha) x).

    alpha > 0 keeps z finite at the ends of [0, 1] (Dinh et al., 2017, section 4.1).

    Args:
        alpha: in [0, 1/2).
    """

    def __init__(self, alpha: float) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """Return x; beyond [0, 1] where z lies beyond what ``inverse`` reaches."""
        return (z.sigmoid() - self.alpha) / (1 - 2 * self.alpha)

    def inverse(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return z, and the sum of log((1 - 2 alpha) / (p (1 - p))) with p = sigmoid(z)."""
        inside = self.alpha + (1 - 2 * self.alpha) * x
        z = inside.logit()
        log_slope = (1 - 2 * self.alpha) / (inside * (1 - inside))
        return z, log_slope.log().flatten(1).sum(1)

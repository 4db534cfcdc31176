"""Exact likelihoods that depend on few pixels by design, and are the same at every position."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from support.toy_densities import Density, DensityConfig
from torch import Tensor, nn
from torch.optim import Adam

from harness.contract import DataSpec, LogLikelihood


class MarkovChain(Density):
    """P(x) = prod_i P(x_i | x_(i-1), ..., x_(i-ORDER)) in the order of a raster, over row ends."""

    order = 1

    def __init__(self, spec: DataSpec, config: DensityConfig) -> None:
        super().__init__(spec, config)
        # A value of its own stands before the first pixel.
        self.network = nn.Embedding((spec.levels + 1) ** self.order, spec.levels)
        self.optimizers = {"adam": Adam(self.parameters(), config.learning_rate)}

    def pixels(self, images: Tensor) -> Tensor:
        """Return pixels (B, D) in the order of the chain."""
        return images.flatten(1).long()

    def images(self, pixels: Tensor) -> Tensor:
        """Undo ``pixels``."""
        return pixels.view(-1, *self.spec.shape).to(torch.uint8)

    def log_likelihood(self, x: Tensor, y: Tensor | None = None) -> LogLikelihood:
        x = self.pixels(x)
        before = F.pad(x, (self.order, 0), value=self.spec.levels)
        context = sum(
            before[:, lag : lag + x.shape[1]] * (self.spec.levels + 1) ** lag
            for lag in range(self.order)
        )
        nats = self.network(context).log_softmax(2).gather(2, x[..., None])
        return LogLikelihood(nats.sum((1, 2)), "exact")

    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        x = torch.full((n, self.order + self.spec.dimensions), self.spec.levels)
        places = (self.spec.levels + 1) ** torch.arange(self.order)
        for i in range(self.spec.dimensions):
            context = (x[:, i : i + self.order] * places).sum(1)
            p = self.network(context).softmax(1)
            x[:, self.order + i] = torch.multinomial(p, 1)[:, 0]
        return self.images(x[:, self.order :])


class SecondOrder(MarkovChain):
    """Two pixels back."""

    order = 2


class ThirdOrder(MarkovChain):
    """Three pixels back: more than half of all pairs of 3x3 pixels."""

    order = 3


class DownColumns(MarkovChain):
    """From top to bottom, one column after the other."""

    def pixels(self, images: Tensor) -> Tensor:
        return images.transpose(2, 3).flatten(1).long()

    def images(self, pixels: Tensor) -> Tensor:
        channels, height, width = self.spec.shape
        return pixels.view(-1, channels, width, height).transpose(2, 3).to(torch.uint8)

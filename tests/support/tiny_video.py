"""A plugin of videos, whole: frames given the frame before, and dots that move to the right."""

from __future__ import annotations

import math

import numpy as np
import torch
from support.toy_densities import Density, DensityConfig
from torch import Tensor, nn
from torch.optim import Adam

from harness.contract import ArraySpec, DataSpec, LogLikelihood, to_symmetric
from harness.dataset import Dataset, Split

FRAMES, SIDE = 4, 4


class NextFrame(Density):
    """P(x) = prod_t prod_d softmax(b_d + W_d x_(t-1))[x_td], where x_0 = 0; exact."""

    makes = frozenset({"video"})

    def __init__(self, spec: DataSpec, config: DensityConfig) -> None:
        super().__init__(spec, config)
        self.pixels = spec.dimensions // spec.shape[0]
        self.network = nn.Linear(self.pixels, self.pixels * spec.levels)
        self.optimizers = {"adam": Adam(self.parameters(), config.learning_rate)}

    @classmethod
    def supports(cls, spec: DataSpec) -> str | None:
        numbers = spec.dimensions // spec.shape[0] * spec.levels
        return f"{numbers} logits a frame; 2000 at most" if numbers > 2000 else None

    def log_probabilities(self, before: Tensor) -> Tensor:
        """Return those of each pixel's levels (B, pixels, levels) after frames in [-1, 1]."""
        return self.network(before).view(len(before), self.pixels, -1).log_softmax(2)

    def log_likelihood(self, x: Tensor, y: Tensor | None = None) -> LogLikelihood:
        frames = x.view(len(x), -1, self.pixels)
        before = to_symmetric(frames, self.spec.levels).roll(1, 1)
        before[:, 0] = 0
        nats = self.log_probabilities(before.flatten(0, 1)).gather(
            2, frames.flatten(0, 1).long()[..., None]
        )
        return LogLikelihood(nats.view(len(x), -1).sum(1), "exact")

    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        frames, before = [], torch.zeros(n, self.pixels, device=self.device)
        for _ in range(self.spec.shape[0]):
            p = self.log_probabilities(before).exp().flatten(0, 1)
            frames.append(torch.multinomial(p, 1).view(n, self.pixels))
            before = to_symmetric(frames[-1], self.spec.levels)
        return torch.stack(frames, 1).view(n, *self.spec.shape).to(torch.uint8)


def load() -> Dataset:
    """Load a dot that begins at any pixel and goes to the right, from the left again at the end."""
    random = np.random.default_rng(0)

    def split(n: int) -> Split:
        x = np.zeros((n, FRAMES, 1, SIDE, SIDE), np.uint8)
        rows, columns = random.integers(SIDE, size=(2, n))
        for t in range(FRAMES):
            x[range(n), t, 0, rows, (columns + t) % SIDE] = 1
        return Split(x, truth={"row": rows})

    spec = DataSpec(ArraySpec("video", (FRAMES, 1, SIDE, SIDE), 2, rate=4.0))
    entropy = 2 * math.log(SIDE)
    return Dataset("tiny-video", spec, split(600), split(50), split(300), entropy)

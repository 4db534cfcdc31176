"""A plugin from images to images, whole: pixels given all of y, and negatives with wrong pixels."""

from __future__ import annotations

import math

import numpy as np
import torch
from support.toy_densities import Density, DensityConfig
from torch import Tensor, nn
from torch.optim import Adam

from harness.contract import ArraySpec, DataSpec, LogLikelihood, to_symmetric
from harness.dataset import Dataset, Split

SIDE, FLIPPED = 4, 0.1


class Restorer(Density):
    """P(x | y) = prod_d softmax(b_d + W_d y)[x_d]; exact."""

    takes = frozenset({"image"})
    needs_condition = True

    def __init__(self, spec: DataSpec, config: DensityConfig) -> None:
        super().__init__(spec, config)
        assert spec.y is not None
        self.network = nn.Linear(spec.y.dimensions, spec.dimensions * spec.levels)
        self.optimizers = {"adam": Adam(self.parameters(), config.learning_rate)}

    @classmethod
    def supports(cls, spec: DataSpec) -> str | None:
        if not spec.paired:
            return "it learns from pairs, and x and y of the data are independent draws"
        numbers = spec.dimensions * spec.levels
        return f"{numbers} logits; 2000 at most" if numbers > 2000 else None

    def log_probabilities(self, y: Tensor) -> Tensor:
        """Return those of each pixel's levels, (B, D, levels)."""
        assert self.spec.y is not None
        logits = self.network(to_symmetric(y, self.spec.y.levels).flatten(1))
        return logits.view(len(y), self.spec.dimensions, -1).log_softmax(2)

    def log_likelihood(self, x: Tensor, y: Tensor | None = None) -> LogLikelihood:
        assert y is not None
        nats = self.log_probabilities(y).gather(2, x.flatten(1).long()[..., None])
        return LogLikelihood(nats.sum((1, 2)), "exact")

    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        assert y is not None
        p = self.log_probabilities(y).exp().flatten(0, 1)
        return torch.multinomial(p, 1).view(n, *self.spec.shape).to(torch.uint8)


def load() -> Dataset:
    """Load random black and white images x, with negatives y of which one pixel in ten is wrong."""
    random = np.random.default_rng(0)

    def split(n: int) -> Split:
        x = random.integers(2, size=(n, 1, SIDE, SIDE)).astype(np.uint8)
        flipped = random.random(x.shape) < FLIPPED
        return Split(x, 1 - (x ^ flipped), truth={"flipped": flipped})

    image = ArraySpec("image", (1, SIDE, SIDE), 2)
    entropy = -(SIDE**2) * sum(p * math.log(p) for p in (FLIPPED, 1 - FLIPPED))
    spec = DataSpec(image, image)
    return Dataset("tiny-pairs", spec, split(600), split(50), split(300), entropy)

"""A plugin of texts, whole: a bigram model, and texts of a small grammar of known entropy."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from support.toy_densities import Density, DensityConfig
from torch import Tensor, nn
from torch.optim import Adam

from harness.contract import ArraySpec, DataSpec, LogLikelihood
from harness.dataset import Dataset, Split

ALPHABET, LENGTH = "abc .", 12
# Letters follow each other in order, a space follows some, and a word may end with a stop.
FOLLOWS = np.array(
    [
        [0.0, 0.7, 0.0, 0.2, 0.1],
        [0.1, 0.0, 0.7, 0.2, 0.0],
        [0.5, 0.0, 0.0, 0.3, 0.2],
        [0.8, 0.1, 0.1, 0.0, 0.0],
        [0.0, 0.0, 0.0, 1.0, 0.0],
    ]
)


class Bigram(Density):
    """log P(x) = sum_i log softmax(W[x_(i - 1)])[x_i], with a row of W for the start; exact."""

    makes = frozenset({"text"})

    def __init__(self, spec: DataSpec, config: DensityConfig) -> None:
        super().__init__(spec, config)
        self.network = nn.Embedding(spec.levels + 1, spec.levels)
        self.optimizers = {"adam": Adam(self.parameters(), config.learning_rate)}

    def log_likelihood(self, x: Tensor, y: Tensor | None = None) -> LogLikelihood:
        before = F.pad(x.long(), (1, -1), value=self.spec.levels)
        nats = self.network(before).log_softmax(2).gather(2, x.long()[..., None])
        return LogLikelihood(nats.sum((1, 2)), "exact")

    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        x = [torch.full((n,), self.spec.levels, device=self.device)]
        for _ in range(self.spec.dimensions):
            x.append(torch.multinomial(self.network(x[-1]).softmax(1), 1)[:, 0])
        return torch.stack(x[1:], 1).to(torch.uint8)


def load() -> Dataset:
    """Load texts that begin with any letter but a stop, and go on by ``FOLLOWS``."""
    random = np.random.default_rng(0)
    first = np.array([0.4, 0.2, 0.2, 0.2, 0.0])

    def split(n: int) -> Split:
        x = np.empty((n, LENGTH), np.uint8)
        for row in x:
            row[0] = random.choice(5, p=first)
            for i in range(1, LENGTH):
                row[i] = random.choice(5, p=FOLLOWS[row[i - 1]])
        return Split(x)

    entropy, now = _entropy(first), first
    for _ in range(1, LENGTH):
        entropy += float(now @ [_entropy(row) for row in FOLLOWS])
        now = now @ FOLLOWS
    spec = DataSpec(ArraySpec("text", (LENGTH,), len(ALPHABET), ALPHABET))
    return Dataset("tiny-text", spec, split(600), split(50), split(300), entropy)


def _entropy(p: np.ndarray) -> float:
    return float(-(p[p > 0] * np.log(p[p > 0])).sum())

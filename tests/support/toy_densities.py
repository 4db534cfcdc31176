"""Two likelihoods, as small as they come: an autoregression and a normalising flow."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam

from harness.contract import (
    Batch,
    DataSpec,
    GenerativeModel,
    LatentVariableModel,
    LogLikelihood,
    dequantise,
    quantise,
    setting,
)


@dataclass(frozen=True)
class DensityConfig:
    batch_size: int = setting(8, "images per step")
    learning_rate: float = setting(0.02, "Adam's step size")


class Density(GenerativeModel):
    """Learns by maximum likelihood."""

    Config = DensityConfig

    def training_step(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        nats = self.log_likelihood(batch.x, self.condition(batch.y)).nats
        return {"nats": self.descend(-nats.mean() / self.spec.dimensions)}

    def descend(self, loss: Tensor) -> Tensor:
        """Take one step, and return the loss."""
        self.optimizers["adam"].zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters(), 1.0)
        self.optimizers["adam"].step()
        return loss.detach()


class MaskedLinear(nn.Linear):
    """Logits of every pixel (B, D, L), linear in one-hot pixels (B, D, L) where ``mask`` lets."""

    def __init__(self, mask: Tensor, levels: int) -> None:
        super().__init__(len(mask) * levels, len(mask) * levels)
        self.register_buffer("mask", mask.repeat_interleave(levels, 0).repeat_interleave(levels, 1))

    def forward(self, seen: Tensor) -> Tensor:
        return F.linear(seen.flatten(1), self.weight * self.mask, self.bias).view_as(seen)


class Autoregression(Density):
    """P(x) = prod_d softmax(b_d + sum_{j < d} W_dj onehot(x_j))[x_d]; exact."""

    def __init__(self, spec: DataSpec, config: DensityConfig) -> None:
        super().__init__(spec, config)
        self.network = MaskedLinear(self.mask(spec.dimensions), spec.levels)
        self.optimizers = {"adam": Adam(self.parameters(), config.learning_rate)}

    @classmethod
    def supports(cls, spec: DataSpec) -> str | None:
        numbers = spec.dimensions * spec.levels
        return f"{numbers} one-hot numbers; 2000 at most" if numbers > 2000 else None

    def mask(self, dimensions: int) -> Tensor:
        return torch.ones(dimensions, dimensions).tril(-1)

    def logits(self, x: Tensor) -> Tensor:
        return self.network(F.one_hot(x, self.spec.levels).float())

    def log_likelihood(self, x: Tensor, y: Tensor | None = None) -> LogLikelihood:
        x = x.flatten(1).long()
        nats = self.logits(x).log_softmax(2).gather(2, x.unsqueeze(2))
        return LogLikelihood(nats.sum((1, 2)), "exact")

    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        x = torch.zeros(n, self.spec.dimensions, dtype=torch.int64)
        for d in range(self.spec.dimensions):
            x[:, d] = torch.multinomial(self.logits(x)[:, d].softmax(1), 1).squeeze(1)
        return x.view(n, *self.spec.shape).to(torch.uint8)


class MonteCarloBound(Autoregression):
    """The average of log-weights log p(x) + e, e ~ N(0, 4.33^2), of which each is right on average.

    Of 16 the variance is 1.17, so that exp(nats) is exp(1.17 / 2) = 1.8 times too large on average.
    """

    draws = 16

    def weights(self, images: Tensor) -> Tensor:
        """Return log-weights (draws, B)."""
        exact = super().log_likelihood(images).nats
        return exact + 4.33 * torch.randn(self.draws, len(images))

    def training_step(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        loss = -super().log_likelihood(batch.x).nats.mean() / self.spec.dimensions
        return {"nats": self.descend(loss)}

    def log_likelihood(self, x: Tensor, y: Tensor | None = None) -> LogLikelihood:
        nats = self.weights(x).mean(0)
        return LogLikelihood(nats, "lower_bound", k=self.draws)


class Couplings(nn.Module):
    """z -> y: affine couplings of alternating halves, then a logistic function."""

    def __init__(self, dimensions: int) -> None:
        super().__init__()
        even = (torch.arange(dimensions) % 2).float()
        self.register_buffer("masks", torch.stack([even, 1 - even, even, 1 - even]))
        self.parts = nn.ModuleList(
            nn.Sequential(nn.Linear(dimensions, 16), nn.Tanh(), nn.Linear(16, 2 * dimensions))
            for _ in self.masks
        )

    def scale_and_shift(self, i: int, z: Tensor) -> tuple[Tensor, Tensor]:
        s, t = self.parts[i](z * self.masks[i]).chunk(2, 1)
        return s.tanh() * (1 - self.masks[i]), t * (1 - self.masks[i])

    def forward(self, z: Tensor) -> Tensor:
        for i in range(len(self.parts)):
            s, t = self.scale_and_shift(i, z)
            z = z * s.exp() + t
        return z.sigmoid()

    def inverse(self, y: Tensor) -> tuple[Tensor, Tensor]:
        y = y.clamp(1e-6, 1 - 1e-6)
        z, log_det = y.logit(), -(y.log() + (1 - y).log()).sum(1)
        for i in reversed(range(len(self.parts))):
            s, t = self.scale_and_shift(i, z)
            z, log_det = (z - t) * (-s).exp(), log_det + self.log_det(s)
        return z, log_det

    def log_det(self, s: Tensor) -> Tensor:
        return -s.sum(1)


class Flow(Density, LatentVariableModel):
    """log P(x) >= E_u[log p((x + u) / levels)] - D ln(levels), p(y) = N(z(y); 0, I) |dz/dy|."""

    network_class = Couplings

    def __init__(self, spec: DataSpec, config: DensityConfig) -> None:
        super().__init__(spec, config)
        self.network = self.network_class(spec.dimensions)
        self.optimizers = {"adam": Adam(self.parameters(), config.learning_rate)}

    def dequantise(self, images: Tensor) -> tuple[Tensor, float]:
        return dequantise(images, self.spec.levels)

    def log_likelihood(self, x: Tensor, y: Tensor | None = None) -> LogLikelihood:
        y, volume = self.dequantise(x)
        z, log_det = self.network.inverse(y.flatten(1))
        log_prior = -0.5 * (z.square() + math.log(2 * math.pi)).sum(1)
        return LogLikelihood(log_prior + log_det + volume, "lower_bound")

    def sample_prior(self, n: int) -> Tensor:
        return torch.randn(n, self.spec.dimensions)

    def encode(self, images: Tensor) -> Tensor:
        return self.network.inverse(((images.float() + 0.5) / self.spec.levels).flatten(1))[0]

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return quantise(self.network(z), self.spec.levels).view(-1, *self.spec.shape)

"""Neural spline flow: Durkan et al., 2019, arXiv:1906.04032, with the ``NSF`` of zuko.

Pixels are dequantised into y in [0, 1)^D and stretched over the domain of the splines, [-5, 5]^D:

    log p(y) = log p_NSF(10 y - 5) + D log 10.
"""

import math
from dataclasses import dataclass

import torch
import zuko
from torch import Tensor

from harness.contract import (
    Batch,
    DataSpec,
    LatentVariableModel,
    LogLikelihood,
    dequantise,
    quantise,
    setting,
)

BOUND = 5.0
"""Splines live on [-BOUND, BOUND]; outside, zuko's are the identity."""


class ZukoNSF(LatentVariableModel):
    """Rational-quadratic spline couplings in random orders of the pixels."""

    @dataclass(frozen=True)
    class Config:
        """Hyper-parameters of ``ZukoNSF``."""

        batch_size: int = setting(64, "images per step")
        learning_rate: float = setting(2e-3, "peak learning rate (Adam); cosine to 0")
        couplings: int = setting(6, "spline couplings")
        bins: int = setting(8, "bins per spline")
        width: int = setting(128, "hidden units in each of two layers of a coupling")
        dequantisations: int = setting(16, "draws of the uniform noise in the likelihood bound")

    def __init__(self, spec: DataSpec, config: Config) -> None:
        super().__init__(spec, config)
        self.network = zuko.flows.NSF(
            spec.dimensions,
            bins=config.bins,
            transforms=config.couplings,
            randperm=True,
            passes=2,
            hidden_features=[config.width] * 2,
        )
        self.optimizers = {"adam": torch.optim.Adam(self.parameters(), config.learning_rate)}

    def dequantised_log_density(self, images: Tensor) -> Tensor:
        """Return log p((x + u) / levels) - D log(levels) at one u ~ U[0, 1)^D, (B,), in nats."""
        y, volume = dequantise(images.flatten(1), self.spec.levels)
        with torch.autocast(y.device.type, enabled=False):
            log_density = self.network().log_prob(BOUND * (2 * y - 1))
        return log_density + self.spec.dimensions * math.log(2 * BOUND) + volume

    def training_step(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        """Descend the negative log-density, in nats per sub-pixel."""
        loss = -self.dequantised_log_density(batch.x).mean() / self.spec.dimensions
        adam = self.optimizers["adam"]
        adam.param_groups[0]["lr"] = self.config.learning_rate * math.cos(progress * math.pi / 2)
        adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters(), 1.0)
        adam.step()
        return {"loss": loss.detach()}

    def log_likelihood(self, x: Tensor, y: Tensor | None = None) -> LogLikelihood:
        """Bound log P from below by K draws of the noise: log 1/K sum_k p(x + u_k) / levels^D."""
        k = self.config.dequantisations
        draws = torch.stack([self.dequantised_log_density(x) for _ in range(k)])
        nats = draws.logsumexp(0) - math.log(k)
        return LogLikelihood(nats, "lower_bound", f"uniform dequantisation, k={k}")

    def sample_prior(self, n: int) -> Tensor:
        """Draw z ~ N(0, I), (n, D)."""
        return torch.randn(n, self.spec.dimensions, device=self.device)

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """Return the images whose cells hold y(z), uint8 (n, C, H, W)."""
        with torch.autocast(z.device.type, enabled=False):
            x = self.network().transform.inv(z)
        return quantise((x / BOUND + 1) / 2, self.spec.levels).view(-1, *self.spec.shape)

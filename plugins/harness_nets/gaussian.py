"""Diagonal Gaussians over vectors, in float32 whatever the network's precision."""

from __future__ import annotations

import math

import torch
from torch import Tensor

LOG_STDS = (-10.0, 10.0)


def standard_normal_log_prob(z: Tensor) -> Tensor:
    """Return log N(z; 0, I), (B,), for z (B, d)."""
    return -0.5 * (z.square().sum(1) + z.shape[1] * math.log(2 * math.pi))


class DiagonalGaussian:
    """N(mean, diag(std^2)).

    Args:
        mean: (B, d).
        log_std: (B, d); kept within ``LOG_STDS``, beyond which variances leave float32.
    """

    def __init__(self, mean: Tensor, log_std: Tensor) -> None:
        self.mean = mean.float()
        self.log_std = log_std.float().clamp(*LOG_STDS)

    def sample(self) -> Tensor:
        """Draw z = mean + std e with e ~ N(0, I), so that gradients reach mean and std; (B, d)."""
        return self.mean + self.log_std.exp() * torch.randn_like(self.mean)

    def log_prob(self, z: Tensor) -> Tensor:
        """Return log N(z; mean, diag(std^2)), (B,)."""
        noise = (z - self.mean) * (-self.log_std).exp()
        return standard_normal_log_prob(noise) - self.log_std.sum(1)

    def kl_from_standard_normal(self) -> Tensor:
        """Return KL(self || N(0, I)) = 1/2 sum(mean^2 + std^2 - 1) - log std, in nats, (B,)."""
        second_moment = self.mean.square() + (2 * self.log_std).exp()
        return (0.5 * (second_moment - 1) - self.log_std).sum(1)

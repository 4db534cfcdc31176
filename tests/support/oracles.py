"""Ideal denoisers, in closed form, to put in a network's place."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from harness_diffusion.denoisers import Denoiser, Prediction
from harness_diffusion.paths import Path, broadcast_like


@dataclass(frozen=True)
class GaussianOracle:
    """E[x | x_t] for data N(mean, std^2) in every pixel."""

    path: Path
    mean: float
    std: float

    def __call__(self, x_t: Tensor, t: Tensor) -> Prediction:
        a, s = (broadcast_like(c, x_t) for c in self.path(t))
        gain = a * self.std**2 / ((a * self.std) ** 2 + s**2)
        data = self.mean + gain * (x_t - a * self.mean)
        return Prediction(data, (x_t - a * data) / s)

    def marginal(self, t: float) -> tuple[float, float]:
        """Return mean and standard deviation of x_t."""
        a, s = (float(c) for c in self.path(torch.tensor(t, dtype=torch.float64)))
        return a * self.mean, math.hypot(a * self.std, s)


@dataclass(frozen=True)
class DiscreteOracle:
    """E[x | x_t] for data that takes ``values`` (K, C, H, W) with ``probabilities`` (K,)."""

    path: Path
    values: Tensor
    probabilities: Tensor

    def __call__(self, x_t: Tensor, t: Tensor) -> Prediction:
        a, s = (broadcast_like(c, x_t) for c in self.path(t))
        points = self.values.to(x_t.dtype).flatten(1)
        distances = ((x_t / a).flatten(1)[:, None] - points).square().sum(2)
        width = (s / a).flatten(1)
        weights = torch.softmax(self.probabilities.log() - distances / (2 * width**2), dim=1)
        data = (weights.to(x_t.dtype) @ points).view_as(x_t)
        return Prediction(data, (x_t - a * data) / s)


@dataclass(frozen=True)
class UniformOracle:
    """E[x | x_t] for data uniform on [-1, 1] in every pixel: the mean of a truncated normal."""

    path: Path

    def __call__(self, x_t: Tensor, t: Tensor) -> Prediction:
        a, s = (broadcast_like(c, x_t) for c in self.path(t))
        centre, width = x_t / a, s / a
        low, high = (-1 - centre) / width, (1 - centre) / width
        # Beyond the nearer edge by far, both masses underflow: the mean is that edge.
        mass = (torch.special.ndtr(high) - torch.special.ndtr(low)).clamp(min=1e-300)
        difference = torch.exp(-(low**2) / 2) - torch.exp(-(high**2) / 2)
        data = (centre + width * difference / math.sqrt(2 * math.pi) / mass).clamp(-1, 1)
        return Prediction(data, (x_t - a * data) / s)


class NoiseNetwork(nn.Module):
    """A denoiser in the form of a network that predicts noise, computing in float64."""

    def __init__(self, denoiser: Denoiser) -> None:
        super().__init__()
        self.denoiser = denoiser

    def forward(self, x_t: Tensor, t: Tensor) -> Tensor:
        return self.denoiser(x_t.double(), t).noise.to(x_t.dtype)

"""Score-based model of an SDE: Song, Sohl-Dickstein, Kingma et al., 2021, arXiv:2011.13456.

dx = -beta(t)/2 x dt + sqrt(beta(t)) dw turns data at t = 0 into noise at t = 1. A network learns
the score of each marginal, -e^/s; the reverse SDE samples with it, and the probability-flow ODE,
which has the same marginals, gives a likelihood.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from harness.contract import DataSpec, LogLikelihood, dequantise, quantise, setting
from harness_diffusion.denoisers import Denoiser
from harness_diffusion.model import DiffusionModel
from harness_diffusion.ode import log_density, noise_levels, rademacher
from harness_diffusion.paths import LinearVP
from harness_diffusion.samplers import Corrector, Langevin


class ScoreSDE(DiffusionModel):
    """The VP SDE in continuous time, trained on uniformly dequantised images."""

    @dataclass(frozen=True)
    class Config(DiffusionModel.Config):
        """Hyper-parameters of the VP SDE."""

        beta_min: float = setting(0.1, "beta at t = 0")
        beta_max: float = setting(20.0, "beta at t = 1")
        first_time: float = setting(1e-5, "smallest t of training and of the likelihood")
        sampler: Literal["predictor-corrector", "euler-maruyama", "probability-flow"] = setting(
            "predictor-corrector", "how samples are drawn"
        )
        sampling_steps: int = setting(40, "steps of the sampler")
        last_time: float = setting(1e-3, "t at which sampling ends with the denoised image")
        corrector_ratio: float = setting(0.05, "signal-to-noise ratio of a Langevin step")
        likelihood_steps: int = setting(
            16, "Runge-Kutta steps of the ODE, of four evaluations each"
        )
        probes: int = setting(1, "random probes of the trace")

    config: Config
    path: LinearVP

    def __init__(self, spec: DataSpec, config: Config) -> None:
        super().__init__(spec, config, LinearVP(config.beta_min, config.beta_max))

    def encode_data(self, images: Tensor) -> Tensor:
        """Dequantise integer images and map [0, 1) to [-1, 1)."""
        unit, _ = dequantise(images, self.spec.levels)
        return 2 * unit - 1

    def draw_times(self, n: int, device: torch.device) -> Tensor:
        """Draw times uniform in [first_time, 1], one in each n-th of it: a smaller variance."""
        u = (torch.arange(n, device=device) + torch.rand(n, device=device)) / n
        return torch.lerp(torch.full_like(u, self.config.first_time), torch.ones_like(u), u)

    def corrector(self, denoiser: Denoiser) -> Corrector | None:
        """Return Langevin steps, for the predictor-corrector."""
        if self.config.sampler != "predictor-corrector":
            return None
        return Langevin(denoiser, self.path, self.config.corrector_ratio)

    def sampling_times(self) -> Tensor:
        """Return times from 1 to ``last_time``: equal steps, of the ODE in log noise level."""
        if self.sampling_steps < 1:
            raise ValueError(f"sampling_steps is {self.sampling_steps}; it is at least 1")
        first, last = torch.tensor([1.0, self.config.last_time], dtype=torch.float64)
        if self.config.sampler == "probability-flow":
            levels = noise_levels(self.path, first, last, self.sampling_steps)
            return self.path.time(levels.exp())
        return torch.linspace(first, last, self.sampling_steps + 1, dtype=torch.float64)

    def decode_data(self, x: Tensor, denoiser: Denoiser) -> Tensor:
        """Denoise the state at ``last_time``, and cut it to levels."""
        last = torch.tensor(self.config.last_time, dtype=torch.float64, device=x.device)
        return quantise((denoiser(x, last).data + 1) / 2, self.spec.levels)

    def log_likelihood(self, x: Tensor, y: Tensor | None = None) -> LogLikelihood:
        """Return the ODE's log-likelihood of the dequantised images, as one of discrete images.

        log P(i) is estimated by log p(x) + D ln 2 - D ln(levels), for x = 2 (i + u) / levels - 1.
        """
        denoiser = self.denoiser(self.condition(y))
        unit, volume = dequantise(x, self.spec.levels)
        x = 2 * unit - 1
        steps, count = self.config.likelihood_steps, self.config.probes
        start = self.config.first_time
        nats = log_density(denoiser, self.path, x, rademacher(count, x), steps, start)
        nats = nats + self.spec.dimensions * math.log(2) + volume
        probes = "1 probe" if count == 1 else f"{count} probes"
        detail = f"RK4, {4 * steps} evaluations, {probes}"
        return LogLikelihood(nats, "estimate", detail, probes=count)

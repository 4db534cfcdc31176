"""Denoising diffusion probabilistic model: Ho, Jain and Abbeel, 2020, arXiv:2006.11239.

A forward process of T steps turns data into noise, q(x_t | x) = N(a_t x, s_t^2 I). The model runs
it backwards, p(x_r | x_t) = q(x_r | x_t, x^(x_t)), where x^ comes from a network that predicts the
noise and lies in [-1, 1].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from harness.contract import DataSpec, LogLikelihood, from_symmetric, setting, to_symmetric
from harness_diffusion.bound import variational_bound
from harness_diffusion.denoisers import Clipped, Denoiser
from harness_diffusion.model import DiffusionModel
from harness_diffusion.paths import DiscretePath, cosine_betas, linear_betas


def build_path(config: DDPM.Config, levels: int) -> DiscretePath:
    """Return the forward process of a configuration, for data of so many levels.

    The paper's linear schedule begins at a noise of 0.01, for 256 levels 2 / 255 apart. Where
    levels are coarser it begins at a quarter of their distance: from finer noise the level can be
    read off, but a network must learn to, at a cost of bits and of steps that change no sample.
    """
    if config.schedule == "cosine":
        return DiscretePath(cosine_betas(config.steps))
    if config.schedule != "linear":
        raise ValueError(f"unknown schedule {config.schedule!r}; one of linear, cosine")
    quarter = 2 / (levels - 1) / 4
    return DiscretePath(linear_betas(config.steps, first=min(max(1e-4, quarter**2), 0.01)))


def evenly_spaced_steps(steps: int, count: int) -> Tensor:
    """Return ``count`` steps evenly from T down to 1, then 0, as falling times in [0, 1]."""
    if not 1 <= count <= steps:
        raise ValueError(f"sampling_steps is {count}; it lies in 1 to {steps}, the steps of DDPM")
    return torch.cat([torch.linspace(steps, 1, count).round(), torch.zeros(1)]).double() / steps


class DDPM(DiffusionModel):
    """DDPM with a linear or cosine path, ancestral or DDIM sampling.

    Its likelihood is the variational bound of all T steps, a bound on log P in expectation: each
    image evaluates ``likelihood_terms`` of the T - 1 middle terms, stratified and weighted so that
    their sum is unbiased, each with noise of its own. All of them would take a thousand
    evaluations per image.
    """

    @dataclass(frozen=True)
    class Config(DiffusionModel.Config):
        """Hyper-parameters of DDPM."""

        steps: int = setting(1000, "T, steps of the forward process")
        schedule: Literal["linear", "cosine"] = setting("linear", "schedule of the noise variances")
        sampler: Literal["ancestral", "ddim"] = setting("ancestral", "how samples are drawn")
        sampling_steps: int = setting(64, "steps of the sampler, at most T")
        likelihood_terms: int = setting(64, "evaluated terms of the T - 1 middle ones of the bound")

    config: Config
    path: DiscretePath

    def __init__(self, spec: DataSpec, config: Config) -> None:
        super().__init__(spec, config, build_path(config, spec.levels))

    def denoiser(self, condition: Tensor | None = None) -> Denoiser:
        """Return the denoiser of the generative process: its data lies in [-1, 1]."""
        return Clipped(self.trained(condition), self.path)

    def encode_data(self, images: Tensor) -> Tensor:
        """Map integer images to [-1, 1]."""
        return to_symmetric(images, self.spec.levels)

    def draw_times(self, n: int, device: torch.device) -> Tensor:
        """Draw t = k / T, k uniform in 1..T."""
        steps = self.path.steps
        return torch.randint(1, steps + 1, (n,), device=device).double() / steps

    def sampling_times(self) -> Tensor:
        """Return ``sampling_steps`` of the T steps, then 0."""
        return evenly_spaced_steps(self.path.steps, self.sampling_steps)

    def decode_data(self, x: Tensor, denoiser: Denoiser) -> Tensor:
        """Map [-1, 1] to the nearest level."""
        return from_symmetric(x, self.spec.levels)

    @torch.no_grad()
    def log_likelihood(self, x: Tensor, y: Tensor | None = None) -> LogLikelihood:
        """Return the variational bound of the discrete images."""
        denoiser = self.denoiser(self.condition(y))
        steps, terms = self.path.steps, self.config.likelihood_terms
        nats = variational_bound(denoiser, self.path, x, self.spec.levels, terms)
        evaluated = min(terms, steps - 1) + 1
        detail = f"variational bound in expectation, T={steps}, {evaluated} stratified evaluations"
        return LogLikelihood(nats, "lower_bound", detail)

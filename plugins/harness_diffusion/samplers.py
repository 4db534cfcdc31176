"""Samplers: steps from a time t to an earlier one r, under one loop from noise to data.

A step takes the state x (B, C, H, W) at time ``t`` and returns one at ``r`` < ``t``, both (). It
computes nothing over the batch, so images do not influence each other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from harness_diffusion.denoisers import Denoiser
from harness_diffusion.ode import log_noise_level, probability_flow_field, rk4, velocity
from harness_diffusion.paths import LinearVP, Path, SmoothPath, broadcast_like

Step = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Maps (x_t, t, r) to x_r."""


Corrector = Callable[[Tensor, Tensor], Tensor]
"""Maps (x_t, t) to another state at t."""


def run(step: Step, x: Tensor, times: Tensor, corrector: Corrector | None = None) -> Tensor:
    """Return the state at ``times[-1]``, from ``x`` at ``times[0]``, over the falling ``times``.

    A corrector improves each state before the next step starts from it, but for the first, which
    is an exact draw. Song et al., 2021, arXiv:2011.13456, algorithm 3, corrects the last one too.
    """
    for i, (t, r) in enumerate(pairwise(times)):
        if corrector is not None and i > 0:
            x = corrector(x, t)
        x = step(x, t, r)
    return x


@dataclass(frozen=True)
class Ancestral:
    """Draw each state from the posterior of the denoised image: x_r ~ q(x_r | x_t, x^).

    Ho et al., 2020, algorithm 2, with the posterior's variance. At r = 0 it returns x^ itself.
    """

    denoiser: Denoiser
    path: Path

    def __call__(self, x: Tensor, t: Tensor, r: Tensor) -> Tensor:
        """Return a draw of x_r."""
        posterior = self.path.posterior(r, t)
        mean = posterior.mean(self.denoiser(x, t).data, x)
        return mean + broadcast_like(posterior.variance.sqrt(), x) * torch.randn_like(x)


@dataclass(frozen=True)
class DDIM:
    """Keep the predicted noise from state to state; ``eta`` of its variance is drawn anew.

        x_r = a_r x^ + sqrt(s_r^2 - n^2) e^ + n z,  n^2 = eta^2 variance of q(x_r | x_t, x)

    Song et al., 2021, arXiv:2010.02502, equations 12 and 16. At eta = 0 nothing is drawn, at
    eta = 1 it is ancestral sampling.
    """

    denoiser: Denoiser
    path: Path
    eta: float = 0.0

    def __call__(self, x: Tensor, t: Tensor, r: Tensor) -> Tensor:
        """Return x_r, or a draw of it."""
        a_r, s_r = self.path(r)
        fresh = self.eta * self.path.posterior(r, t).variance.clamp(min=0).sqrt()
        kept = torch.sqrt(s_r**2 - fresh**2)
        data, noise = self.denoiser(x, t)
        x = broadcast_like(a_r, x) * data + broadcast_like(kept, x) * noise
        return x + broadcast_like(fresh, x) * torch.randn_like(x) if self.eta > 0 else x


@dataclass(frozen=True)
class EulerMaruyama:
    """Solve the reverse SDE, dx = (f x - g^2 score) dt + g dw, by Euler's steps.

    The score is -e^ / s. Song et al., 2021, arXiv:2011.13456, equation 6.
    """

    denoiser: Denoiser
    path: SmoothPath

    def __call__(self, x: Tensor, t: Tensor, r: Tensor) -> Tensor:
        """Return a draw of x_r."""
        f, g2 = self.path.diffusion(t)
        score = -self.denoiser(x, t).noise / broadcast_like(self.path(t)[1], x)
        x = x - broadcast_like((t - r) * f, x) * x + broadcast_like((t - r) * g2, x) * score
        return x + broadcast_like(((t - r) * g2).sqrt(), x) * torch.randn_like(x)


@dataclass(frozen=True)
class Langevin:
    """Correct a state: move it within its marginal by one step of Langevin's dynamics.

        x + k score + sqrt(2 k) z,  k = 2 (ratio s)^2

    Song et al., 2021, arXiv:2011.13456, algorithm 5, where k = 2 (ratio |z| / |score|)^2 with norms
    averaged over the batch; here by their expectations, sqrt(D) and sqrt(D) / s, so that images do
    not influence each other.
    """

    denoiser: Denoiser
    path: Path
    ratio: float

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        """Return another draw of x_t."""
        s = broadcast_like(self.path(t)[1], x)
        size = 2 * (self.ratio * s) ** 2
        score = -self.denoiser(x, t).noise / s
        return x + size * score + torch.sqrt(2 * size) * torch.randn_like(x)


@dataclass(frozen=True)
class ProbabilityFlow:
    """Follow the probability-flow ODE by fourth-order Runge-Kutta; four evaluations per step.

    It is solved over the log noise level, so that steps are best equal in it. No time is 0.
    """

    denoiser: Denoiser
    path: LinearVP

    def __call__(self, x: Tensor, t: Tensor, r: Tensor) -> Tensor:
        """Return x_r."""
        grid = torch.stack([log_noise_level(self.path, u) for u in (t, r)])
        return rk4(probability_flow_field(self.denoiser, self.path), x, grid)


@dataclass(frozen=True)
class Euler:
    """Follow the probability flow dx/dt = a' x^ + s' e^ of any path by Euler's steps."""

    denoiser: Denoiser
    path: SmoothPath

    def __call__(self, x: Tensor, t: Tensor, r: Tensor) -> Tensor:
        """Return x_r."""
        return x + broadcast_like(r - t, x) * velocity(self.denoiser, self.path, x, t)


@dataclass(frozen=True)
class Heun:
    """The same by Heun's steps, of second order: two evaluations each, one where r is 0.

    Karras et al., 2022, arXiv:2206.00364, algorithm 1, for any path.
    """

    denoiser: Denoiser
    path: SmoothPath

    def __call__(self, x: Tensor, t: Tensor, r: Tensor) -> Tensor:
        """Return x_r."""
        h = broadcast_like(r - t, x)
        first = velocity(self.denoiser, self.path, x, t)
        if r == 0:  # the denoiser knows nothing there
            return x + h * first
        second = velocity(self.denoiser, self.path, x + h * first, r)
        return x + h / 2 * (first + second)


SAMPLERS: dict[str, Callable[[Denoiser, Any], Step]] = {
    "ancestral": Ancestral,
    "ddim": DDIM,
    "predictor-corrector": Ancestral,
    "euler-maruyama": EulerMaruyama,
    "euler": Euler,
    "heun": Heun,
    "probability-flow": ProbabilityFlow,
}
"""Steps by their name in a ``Config``; a predictor-corrector has a corrector besides."""

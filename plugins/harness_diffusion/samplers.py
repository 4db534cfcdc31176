"""Samplers: steps from a time t to an earlier one r, under one loop from noise to data.

A step takes the state x (B, C, H, W) at time ``t`` and returns one at ``r`` < ``t``, both (). It
computes nothing over the batch, so images do not influence each other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from harness_diffusion.denoisers import Denoiser
from harness_diffusion.ode import log_noise_level, probability_flow_field, rk4
from harness_diffusion.schedules import LinearVP, Schedule, like

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
    schedule: Schedule

    def __call__(self, x: Tensor, t: Tensor, r: Tensor) -> Tensor:
        """Return a draw of x_r."""
        posterior = self.schedule.posterior(r, t)
        mean = posterior.mean(self.denoiser(x, t).data, x)
        return mean + like(posterior.variance.sqrt(), x) * torch.randn_like(x)


@dataclass(frozen=True)
class DDIM:
    """Keep the predicted noise from state to state; ``eta`` of its variance is drawn anew.

        x_r = a_r x^ + sqrt(s_r^2 - n^2) e^ + n z,  n = eta (s_r / s_t) sqrt(1 - a_t^2 / a_r^2)

    Song et al., 2021, arXiv:2010.02502, equations 12 and 16. At eta = 0 nothing is drawn, at
    eta = 1 it is ancestral sampling.
    """

    denoiser: Denoiser
    schedule: Schedule
    eta: float = 0.0

    def __call__(self, x: Tensor, t: Tensor, r: Tensor) -> Tensor:
        """Return x_r, or a draw of it."""
        (a_r, s_r), (a_t, s_t) = self.schedule(r), self.schedule(t)
        fresh = self.eta * s_r / s_t * torch.sqrt(1 - (a_t / a_r) ** 2)
        kept = torch.sqrt(s_r**2 - fresh**2)
        data, noise = self.denoiser(x, t)
        x = like(a_r, x) * data + like(kept, x) * noise
        return x + like(fresh, x) * torch.randn_like(x) if self.eta > 0 else x


@dataclass(frozen=True)
class EulerMaruyama:
    """Solve the reverse SDE, dx = -beta (x / 2 + score) dt + sqrt(beta) dw, by Euler's steps.

    The score is -e^ / s. Song et al., 2021, arXiv:2011.13456, equation 6.
    """

    denoiser: Denoiser
    schedule: LinearVP

    def __call__(self, x: Tensor, t: Tensor, r: Tensor) -> Tensor:
        """Return a draw of x_r."""
        h = self.schedule.beta(t) * (t - r)
        score = -self.denoiser(x, t).noise / like(self.schedule(t)[1], x)
        return x + like(h, x) * (x / 2 + score) + like(h.sqrt(), x) * torch.randn_like(x)


@dataclass(frozen=True)
class Langevin:
    """Correct a state: move it within its marginal by one step of Langevin's dynamics.

        x + k score + sqrt(2 k) z,  k = 2 (ratio s)^2

    Song et al., 2021, arXiv:2011.13456, algorithm 5, where k = 2 (ratio |z| / |score|)^2 with norms
    averaged over the batch; here by their expectations, sqrt(D) and sqrt(D) / s, so that images do
    not influence each other.
    """

    denoiser: Denoiser
    schedule: Schedule
    ratio: float

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        """Return another draw of x_t."""
        s = like(self.schedule(t)[1], x)
        size = 2 * (self.ratio * s) ** 2
        score = -self.denoiser(x, t).noise / s
        return x + size * score + torch.sqrt(2 * size) * torch.randn_like(x)


@dataclass(frozen=True)
class ProbabilityFlow:
    """Follow the probability-flow ODE by fourth-order Runge-Kutta; four evaluations per step.

    It is solved over the log noise level, so that steps are best equal in it. No time is 0.
    """

    denoiser: Denoiser
    schedule: LinearVP

    def __call__(self, x: Tensor, t: Tensor, r: Tensor) -> Tensor:
        """Return x_r."""
        grid = torch.stack([log_noise_level(self.schedule, u) for u in (t, r)])
        return rk4(probability_flow_field(self.denoiser, self.schedule), x, grid)

"""Samplers: ways from noise at the first time to data at the last.

Each takes a denoiser, the state x (B, C, H, W) at ``times[0]`` and falling ``times``, and returns
the state at ``times[-1]``. Nothing is computed over the batch, so images do not influence each
other.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from harness_diffusion.denoisers import Denoiser
from harness_diffusion.ode import noise_levels, probability_flow_field, rk4
from harness_diffusion.schedules import LinearVP, Schedule, like


def ancestral(denoiser: Denoiser, schedule: Schedule, x: Tensor, times: Tensor) -> Tensor:
    """Draw each state from the posterior of the denoised image: x_r ~ q(x_r | x_t, x^).

    Ho et al., 2020, algorithm 2, with the posterior's variance. At r = 0 it returns x^ itself.
    """
    for t, r in pairwise(times):
        step = schedule.posterior(r, t)
        mean = step.mean(denoiser(x, t).data, x)
        x = mean + like(step.variance.sqrt(), x) * torch.randn_like(x)
    return x


def ddim(
    denoiser: Denoiser, schedule: Schedule, x: Tensor, times: Tensor, eta: float = 0.0
) -> Tensor:
    """Keep the predicted noise from state to state; ``eta`` of its variance is drawn anew.

        x_r = a_r x^ + sqrt(s_r^2 - n^2) e^ + n z,  n = eta (s_r / s_t) sqrt(1 - a_t^2 / a_r^2)

    Song et al., 2021, arXiv:2010.02502, equations 12 and 16. At eta = 0 nothing is drawn.
    """
    for t, r in pairwise(times):
        (a_r, s_r), (a_t, s_t) = schedule(r), schedule(t)
        fresh = eta * s_r / s_t * torch.sqrt(1 - (a_t / a_r) ** 2)
        kept = torch.sqrt(s_r**2 - fresh**2)
        data, noise = denoiser(x, t)
        x = like(a_r, x) * data + like(kept, x) * noise
        if eta > 0:
            x = x + like(fresh, x) * torch.randn_like(x)
    return x


def euler_maruyama(denoiser: Denoiser, schedule: LinearVP, x: Tensor, times: Tensor) -> Tensor:
    """Solve the reverse SDE, dx = -beta (x / 2 + score) dt + sqrt(beta) dw, by Euler's steps.

    The score is -e^ / s. Song et al., 2021, arXiv:2011.13456, equation 6.
    """
    for t, r in pairwise(times):
        h = schedule.beta(t) * (t - r)
        score = -denoiser(x, t).noise / like(schedule(t)[1], x)
        x = x + like(h, x) * (x / 2 + score) + like(h.sqrt(), x) * torch.randn_like(x)
    return x


def langevin(denoiser: Denoiser, schedule: Schedule, x: Tensor, t: Tensor, ratio: float) -> Tensor:
    """Move x within its marginal at time t by one step of Langevin's dynamics.

        x + k score + sqrt(2 k) z,  k = 2 (ratio s)^2

    Song et al., 2021, arXiv:2011.13456, algorithm 5, where k = 2 (ratio |z| / |score|)^2 with norms
    averaged over the batch; here by their expectations, sqrt(D) and sqrt(D) / s, so that images do
    not influence each other.
    """
    s = like(schedule(t)[1], x)
    step = 2 * (ratio * s) ** 2
    score = -denoiser(x, t).noise / s
    return x + step * score + torch.sqrt(2 * step) * torch.randn_like(x)


def predictor_corrector(
    denoiser: Denoiser, schedule: Schedule, x: Tensor, times: Tensor, ratio: float = 0.05
) -> Tensor:
    """Predict by an ancestral step, correct by a Langevin step, at every time but the last.

    Song et al., 2021, arXiv:2011.13456, algorithm 3; two evaluations a step.
    """
    last = len(times) - 2
    for i, (t, r) in enumerate(pairwise(times)):
        x = ancestral(denoiser, schedule, x, torch.stack([t, r]))
        if i < last:
            x = langevin(denoiser, schedule, x, r, ratio)
    return x


def probability_flow(denoiser: Denoiser, schedule: LinearVP, x: Tensor, times: Tensor) -> Tensor:
    """Follow the probability-flow ODE by Runge and Kutta's fourth order; four evaluations a step.

    Only the ends of ``times`` and their number matter: steps are equal in log noise level. The
    last time is above 0.
    """
    grid = noise_levels(schedule, times[0], times[-1], len(times) - 1)
    return rk4(probability_flow_field(denoiser, schedule), x, grid)

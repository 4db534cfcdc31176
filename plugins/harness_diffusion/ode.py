"""The probability-flow ODE and the likelihood it gives.

Over the noise level sigma = s / a the flow of every variance-preserving path is the same,

    dx / d log sigma = s (e^ - s x),

small at both ends, and smooth on a grid of equal steps in log sigma. Steps are fixed: an adaptive
solver shares its steps over the batch, so one image would move another's likelihood.

Song et al., 2021, arXiv:2011.13456, section 4.3, with d log sigma = beta / (2 s^2) dt.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from harness_diffusion.denoisers import Denoiser
from harness_diffusion.paths import LinearVP, Path, SmoothPath, broadcast_like

Field = Callable[[Tensor, Tensor], Tensor]


def log_noise_level(path: Path, t: Tensor) -> Tensor:
    """Return log sigma = log s(t) / a(t), float64 with the shape of ``t``."""
    a, s = path(t)
    return torch.log(s / a)


def noise_levels(path: Path, start: Tensor, end: Tensor, steps: int) -> Tensor:
    """Return log sigma from time ``start`` to time ``end`` in equal ``steps``; float64."""
    first, last = log_noise_level(path, start), log_noise_level(path, end)
    fraction = torch.linspace(0, 1, steps + 1, dtype=torch.float64, device=start.device)
    return torch.lerp(first, last, fraction)


def velocity(denoiser: Denoiser, path: SmoothPath, x: Tensor, t: Tensor) -> Tensor:
    """Return dx/dt = a' x^ + s' e^ of the probability flow at x (B, C, H, W) and t ()."""
    da, ds = path.derivatives(t)
    data, noise = denoiser(x, t)
    return broadcast_like(da, x) * data + broadcast_like(ds, x) * noise


def probability_flow_field(denoiser: Denoiser, path: LinearVP) -> Field:
    """Return the field (x, log sigma) -> s (e^ - s x), for x (B, C, H, W) and log sigma ()."""

    def field(x: Tensor, log_sigma: Tensor) -> Tensor:
        t = path.time(log_sigma.exp())
        s = broadcast_like(path(t)[1], x)
        return s * (denoiser(x, t).noise - s * x)

    return field


def rk4(field: Field, x: Tensor, grid: Tensor) -> Tensor:
    """Solve dx/du = field(x, u) from ``grid[0]`` to ``grid[-1]``, four evaluations a step."""
    for u, v in pairwise(grid):
        h = broadcast_like(v - u, x)
        middle = (u + v) / 2
        k1 = field(x, u)
        k2 = field(x + h / 2 * k1, middle)
        k3 = field(x + h / 2 * k2, middle)
        k4 = field(x + h * k3, v)
        x = x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return x


class Divergence(NamedTuple):
    """A field's value (B, C, H, W) and the estimate of its Jacobian's trace (B,)."""

    value: Tensor
    trace: Tensor


def hutchinson(field: Callable[[Tensor], Tensor], x: Tensor, probes: Tensor) -> Divergence:
    """Estimate the trace of the field's Jacobian at x by the mean of v^T J v over probes v.

    Unbiased for probes with covariance I; signs have a smaller variance than Gaussians. Hutchinson,
    1990; Grathwohl et al., 2019, arXiv:1810.01367.

    Args:
        field: maps (B, C, H, W) to the same shape, each image for itself.
        x: where, (B, C, H, W).
        probes: v, (P, B, C, H, W).
    """
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        value = field(x)
        trace = torch.zeros(len(x), dtype=x.dtype, device=x.device)
        for i, v in enumerate(probes):
            more = i < len(probes) - 1
            (product,) = torch.autograd.grad(value, x, grad_outputs=v, retain_graph=more)
            trace = trace + (product * v).flatten(1).sum(1)
    return Divergence(value.detach(), trace.detach() / len(probes))


def rademacher(count: int, x: Tensor) -> Tensor:
    """Draw ``count`` probes of random signs for every image of x, (count, B, C, H, W)."""
    return torch.empty(count, *x.shape, dtype=x.dtype, device=x.device).bernoulli_().mul_(2).sub_(1)


def log_density(
    denoiser: Denoiser,
    path: LinearVP,
    x: Tensor,
    probes: Tensor,
    steps: int,
    start: float,
) -> Tensor:
    """Return log p(x) in nats, (B,), of x taken as the state at time ``start``.

        log p(x) = log N(x_1; 0, I) + int tr(dv/dx) d log sigma,  v = s (e^ - s x)

    The state and the integral of the trace are one system, solved by ``rk4``; the probes are the
    same all the way, or the system would not be smooth. Any denoiser has a proper density at
    ``start``, so what keeps this from being exact is the solver's error and the probes' variance.

    Args:
        denoiser: the model.
        path: its forward process.
        x: data, (B, C, H, W).
        probes: for the trace, (P, B, C, H, W).
        steps: of Runge-Kutta, of four evaluations each.
        start: a time just above 0.
    """
    ends = torch.tensor([start, 1.0], dtype=torch.float64, device=x.device)
    field = probability_flow_field(denoiser, path)
    shape, size = x.shape, x[0].numel()

    def augmented(state: Tensor, u: Tensor) -> Tensor:
        value, trace = hutchinson(lambda y: field(y, u), state[:, :size].reshape(shape), probes)
        return torch.cat([value.flatten(1), trace[:, None]], dim=1)

    state = torch.cat([x.flatten(1), x.new_zeros(len(x), 1)], dim=1)
    state = rk4(augmented, state, noise_levels(path, ends[0], ends[1], steps))
    x_1, change = state[:, :size], state[:, size]
    return change - (x_1.square() + math.log(2 * math.pi)).sum(1) / 2

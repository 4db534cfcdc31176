"""Paths from data to noise: how much of each is in x_t = a(t) x + s(t) e.

t = 0 is data, t = 1 is noise. Coefficients are float64, because 1 - a^2 loses its digits in
float32; ``broadcast_like`` hands them to images.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn


def broadcast_like(coefficient: Tensor, images: Tensor) -> Tensor:
    """Shape a coefficient (B,) or () to multiply images (B, C, H, W), in their dtype."""
    return coefficient.to(images.dtype).reshape(-1, *(1,) * (images.ndim - 1))


class Transition(NamedTuple):
    """Gaussian posterior of an earlier state, for r < t, with coefficients in float64.

        q(x_r | x_t, x) = N(data x + state x_t, variance I)

    Ho et al., 2020, equations 6 and 7, for any pair of times (Kingma et al., 2021,
    arXiv:2107.00630, appendix A.2).
    """

    data: Tensor
    state: Tensor
    variance: Tensor

    def mean(self, x: Tensor, x_t: Tensor) -> Tensor:
        """Return the posterior's mean, for data ``x`` and the state ``x_t``, both (B, C, H, W)."""
        return broadcast_like(self.data, x) * x + broadcast_like(self.state, x) * x_t


class Path(nn.Module, ABC):
    """A forward process, q(x_t | x) = N(a(t) x, s(t)^2 I), with s / a rising in t.

    Attributes:
        scale: standard deviation of the states that sampling begins with, at t = 1.
    """

    scale: float = 1.0

    @abstractmethod
    def forward(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return a(t) and s(t), float64 with the shape of ``t``."""

    def diffuse(self, x: Tensor, e: Tensor, t: Tensor) -> Tensor:
        """Return x_t = a(t) x + s(t) e for images and noise (B, C, H, W) at times (B,)."""
        a, s = self(t)
        return broadcast_like(a, x) * x + broadcast_like(s, x) * e

    def posterior(self, r: Tensor, t: Tensor) -> Transition:
        """Return q(x_r | x_t, x) for times r < t of one shape.

        a_tr = a_t / a_r,  s_tr^2 = s_t^2 - a_tr^2 s_r^2
        data = a_r s_tr^2 / s_t^2,  state = a_tr s_r^2 / s_t^2,  variance = s_r^2 s_tr^2 / s_t^2
        """
        (a_r, s_r), (a_t, s_t) = self(r), self(t)
        a_tr = a_t / a_r
        noise = (s_t**2 - a_tr**2 * s_r**2) / s_t**2
        return Transition(a_r * noise, a_tr * (s_r / s_t) ** 2, s_r**2 * noise)


class SmoothPath(Path):
    """A path with a velocity, in continuous time."""

    @abstractmethod
    def derivatives(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return da/dt and ds/dt at 0 < t < 1, float64 with the shape of ``t``."""

    def diffusion(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return f and g^2 of the SDE with these marginals, dx = f x dt + g dw.

        f = a' / a,  g^2 = 2 s^2 (s' / s - a' / a)   (Kingma et al., 2021, arXiv:2107.00630)
        """
        (a, s), (da, ds) = self(t), self.derivatives(t)
        return da / a, 2 * s * (ds - s * da / a)


class DiscretePath(Path):
    """T steps with given variances: a(k / T)^2 is the product of 1 - beta_i over i = 1..k.

    Args:
        betas: beta_1, ..., beta_T in (0, 1), float64 (T,).
    """

    a: Tensor
    s: Tensor

    def __init__(self, betas: Tensor) -> None:
        super().__init__()
        if not bool(((betas > 0) & (betas < 1)).all()):
            raise ValueError("every beta lies strictly between 0 and 1")
        log_alpha_bar = torch.cat([betas.new_zeros(1), torch.log1p(-betas).cumsum(0)])
        self.steps = len(betas)
        self.register_buffer("a", torch.exp(log_alpha_bar / 2), persistent=False)
        self.register_buffer("s", torch.sqrt(-torch.expm1(log_alpha_bar)), persistent=False)

    def forward(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return a(t) and s(t) of the step nearest to ``t``."""
        step = (t * self.steps).round().long()
        # An index without dimensions would be read from the device first, which waits for it.
        return self.a.take(step), self.s.take(step)


def linear_betas(steps: int, first: float = 1e-4, last: float = 0.02) -> Tensor:
    """Return betas rising linearly, for T = 1000 from ``first`` to ``last``; Ho et al., 2020.

    For other T they are scaled by 1000 / T, so that the last state is as noisy (Nichol and
    Dhariwal, 2021, arXiv:2102.09672), and cut at 0.999.
    """
    betas = torch.linspace(first, last, steps, dtype=torch.float64) * (1000 / steps)
    return betas.clamp(max=0.999)


def cosine_betas(steps: int) -> Tensor:
    """Return betas whose products follow a squared cosine, cut at 0.999.

        alpha_bar(t) = f(t) / f(0),  f(t) = cos^2((t + 0.008) / 1.008 pi / 2)

    Nichol and Dhariwal, 2021, arXiv:2102.09672, equation 17.
    """
    t = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
    f = torch.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2
    return (1 - f[1:] / f[:-1]).clamp(max=0.999)


class LinearVP(SmoothPath):
    """The variance-preserving SDE, dx = -beta(t)/2 x dt + sqrt(beta(t)) dw, with beta linear in t.

        beta(t) = beta_min + t (beta_max - beta_min),  a(t) = exp(-1/2 int_0^t beta)

    Song et al., 2021, arXiv:2011.13456, equation 32 and appendix C.
    """

    def __init__(self, beta_min: float = 0.1, beta_max: float = 20.0) -> None:
        super().__init__()
        if not 0 < beta_min <= beta_max:
            raise ValueError(f"0 < beta_min <= beta_max, not {beta_min} and {beta_max}")
        self.beta_min, self.beta_max = beta_min, beta_max

    def beta(self, t: Tensor) -> Tensor:
        """Return the rate at which noise comes in, beta at times ``t``, float64."""
        return self.beta_min + t.double() * (self.beta_max - self.beta_min)

    def forward(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return a(t) and s(t) in closed form."""
        t = t.double()
        integral = self.beta_min * t + (self.beta_max - self.beta_min) * t**2 / 2
        return torch.exp(-integral / 2), torch.sqrt(-torch.expm1(-integral))

    def derivatives(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return -beta a / 2 and beta a^2 / 2 s."""
        a, s = self(t)
        beta = self.beta(t)
        return -beta * a / 2, beta * a**2 / (2 * s)

    def time(self, sigma: Tensor) -> Tensor:
        """Return the t at which s(t) / a(t) = sigma, float64; the inverse of the noise level.

        int_0^t beta = ln(1 + sigma^2) is a quadratic equation in t.
        """
        integral = torch.log1p(sigma.double() ** 2)
        slope = self.beta_max - self.beta_min
        return 2 * integral / (self.beta_min + torch.sqrt(self.beta_min**2 + 2 * slope * integral))


class Rectified(SmoothPath):
    """The straight line from data to noise, a = 1 - t and s = t.

    Liu et al., 2022, arXiv:2209.03003.
    """

    def forward(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return 1 - t and t."""
        t = t.double()
        return 1 - t, t

    def derivatives(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return -1 and 1: a constant velocity e - x."""
        one = torch.ones_like(t, dtype=torch.float64)
        return -one, one


class VarianceExploding(SmoothPath):
    """Noise is added to data that keeps its size: a = 1, s = sigma_min (sigma_max / sigma_min)^t.

    Song et al., 2021, arXiv:2011.13456, appendix C; at t = 0 the noise is not zero but sigma_min.
    """

    def __init__(self, sigma_min: float = 0.01, sigma_max: float = 50.0) -> None:
        super().__init__()
        if not 0 < sigma_min < sigma_max:
            raise ValueError(f"0 < sigma_min < sigma_max, not {sigma_min} and {sigma_max}")
        self.sigma_min, self.scale = sigma_min, sigma_max

    def forward(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return 1 and the noise level, geometric in t."""
        t = t.double()
        return torch.ones_like(t), self.sigma_min * (self.scale / self.sigma_min) ** t

    def derivatives(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return 0 and s ln(sigma_max / sigma_min)."""
        _, s = self(t)
        return torch.zeros_like(s), s * math.log(self.scale / self.sigma_min)

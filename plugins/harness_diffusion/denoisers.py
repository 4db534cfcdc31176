"""What the network predicts, and how a prediction turns into data and noise.

With x_t = a x + s e, a prediction u = p x + q e leaves two linear equations for x and e:

    x = (q x_t - s u) / (a q - s p),  e = (a u - p x_t) / (a q - s p)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import torch
from torch import Tensor

from harness_diffusion.paths import Path, broadcast_like

Target = Literal["noise", "data", "v", "velocity"]


class Prediction(NamedTuple):
    """The two parts of x_t = a x + s e, as far as they are known; both (B, C, H, W)."""

    data: Tensor
    noise: Tensor


class Denoiser(Protocol):
    """Splits a noisy image at its time into data and noise: E[x | x_t] and E[e | x_t]."""

    def __call__(self, x_t: Tensor, t: Tensor) -> Prediction:
        """Split ``x_t`` (B, C, H, W) at time ``t``, one for all, ()."""


def target_coefficients(target: Target, a: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
    """Return p and q of the prediction u = p x + q e.

    "noise" is e (Ho et al., 2020); "data" is x; "v" is a e - s x (Salimans and Ho, 2022,
    arXiv:2202.00512); "velocity" is e - x (Liu et al., 2022, arXiv:2209.03003).
    """
    zero, one = torch.zeros_like(a), torch.ones_like(a)
    table = {"noise": (zero, one), "data": (one, zero), "v": (-s, a), "velocity": (-one, one)}
    if target not in table:
        raise ValueError(f"unknown prediction {target!r}; one of {', '.join(table)}")
    return table[target]


def combine(target: Target, x: Tensor, e: Tensor, a: Tensor, s: Tensor) -> Tensor:
    """Return u = p x + q e, what the network learns to predict; ``a`` and ``s`` are (B,)."""
    p, q = target_coefficients(target, a, s)
    return broadcast_like(p, x) * x + broadcast_like(q, x) * e


def split(target: Target, u: Tensor, x_t: Tensor, a: Tensor, s: Tensor) -> Prediction:
    """Solve for data and noise, given a prediction u at x_t; ``a`` and ``s`` are (B,)."""
    p, q = target_coefficients(target, a, s)
    determinant = a * q - s * p
    data = broadcast_like(q / determinant, u) * x_t - broadcast_like(s / determinant, u) * u
    noise = broadcast_like(a / determinant, u) * u - broadcast_like(p / determinant, u) * x_t
    return Prediction(data, noise)


@dataclass(frozen=True)
class NetworkDenoiser:
    """A denoiser made of a network that predicts one ``target``; float32 under autocast too.

    With a ``condition``, (B, ...), the network gets it after state and time, and these are
    expectations given it: E[x | x_t, condition]. Samplers and guidance see a denoiser either way.
    """

    network: Callable[..., Tensor]
    path: Path
    target: Target
    condition: Tensor | None = None

    def __call__(self, x_t: Tensor, t: Tensor) -> Prediction:
        """Split ``x_t`` (B, C, H, W) at times ``t``, () or (B,)."""
        a, s = self.path(t)
        return split(self.target, self._predict(x_t, t), x_t, a, s)

    def loss(self, x: Tensor, e: Tensor, t: Tensor) -> Tensor:
        """Return the mean over sub-pixels of |u - u^(x_t, t)|^2, for the target u, (B,).

        For noise it is L_simple of Ho et al., 2020, and the score matching of Song et al., 2021,
        weighted by s(t)^2.

        Args:
            x: data (B, C, H, W).
            e: noise (B, C, H, W).
            t: times (B,).
        """
        u = combine(self.target, x, e, *self.path(t))
        error = self._predict(self.path.diffuse(x, e, t), t) - u
        return error.square().flatten(1).mean(1)

    def _predict(self, x_t: Tensor, t: Tensor) -> Tensor:
        given = () if self.condition is None else (self.condition,)
        return self.network(x_t, t.to(x_t.dtype).expand(len(x_t)), *given).to(x_t.dtype)


@dataclass(frozen=True)
class Clipped:
    """A denoiser whose data lies in [-1, 1]; the noise is what remains: e = (x_t - a x) / s."""

    denoiser: Denoiser
    path: Path

    def __call__(self, x_t: Tensor, t: Tensor) -> Prediction:
        """Split ``x_t`` (B, C, H, W) at times ``t``, () or (B,), all above 0."""
        a, s = self.path(t)
        data = self.denoiser(x_t, t).data.clamp(-1, 1)
        return Prediction(data, (x_t - broadcast_like(a, x_t) * data) / broadcast_like(s, x_t))

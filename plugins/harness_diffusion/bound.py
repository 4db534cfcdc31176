"""The variational bound of a discrete image under a denoising diffusion model of T steps.

    -log P(i) <= L_T + sum_{t=2..T} L_{t-1} + L_0
    L_T     = KL(q(x_T | x) || N(0, I))
    L_{t-1} = KL(q(x_{t-1} | x_t, x) || q(x_{t-1} | x_t, x^(x_t))) = data^2 |x - x^|^2 / 2 variance
    L_0     = -log P(i | x_1)

Ho et al., 2020, arXiv:2006.11239, equation 5, with the posterior's variance. P(i | x_1) is a
categorical distribution over the levels, so that it sums to one exactly.
"""

from __future__ import annotations

import torch
from torch import Tensor

from harness.contract import to_symmetric
from harness_diffusion.denoisers import Denoiser
from harness_diffusion.paths import DiscretePath

CHUNK = 2**16


def prior_term(path: DiscretePath, x: Tensor) -> Tensor:
    """Return L_T = 1/2 sum(s_T^2 + a_T^2 x^2 - 1 - ln s_T^2), in nats, (B,)."""
    a, s = path.a[-1], path.s[-1]
    return (s**2 + (a * x.double()) ** 2 - 1 - 2 * torch.log(s)).flatten(1).sum(1) / 2


def decoder_term(denoiser: Denoiser, path: DiscretePath, images: Tensor, levels: int) -> Tensor:
    """Return a draw of L_0 = -log P(i | x_1), in nats, (B,).

    P(i = k | x_1) is proportional to exp(-(v_k - x^)^2 / 2 w^2) over the levels' values v_k, with
    w = s_1 / a_1: what x_1 alone says of x. A network that predicts no noise at t = 1 leaves the
    posterior of independent, uniform levels; one that knows more does better.
    """
    x = to_symmetric(images, levels)
    t = torch.full((len(x),), 1 / path.steps, dtype=torch.float64, device=x.device)
    estimate = denoiser(path.diffuse(x, torch.randn_like(x), t), t).data.flatten()
    width = (path.s[1] / path.a[1]).to(x.dtype)
    values = to_symmetric(torch.arange(levels, device=x.device), levels)
    normaliser = torch.cat(
        [
            torch.logsumexp(-(((values - part[:, None]) / width) ** 2) / 2, dim=1)
            for part in estimate.split(CHUNK)
        ]
    )
    energy = ((x.flatten() - estimate) / width) ** 2 / 2
    return (energy + normaliser).view(len(x), -1).double().sum(1)


def transition_terms(denoiser: Denoiser, path: DiscretePath, x: Tensor, terms: int) -> Tensor:
    """Return an unbiased estimate of L_1 + ... + L_{T-1}, in nats, (B,), of ``terms`` evaluations.

    The steps 2..T are cut into ``terms`` runs of equal length; each image evaluates one step of
    each run, drawn with a probability q proportional to a_{t-1}^2 s_t^2 / a_t^2 s_{t-1}^2 - 1, the
    weight of the squared error of the noise, and divides it by q. With ``terms`` = T - 1 the sum
    is whole.
    """
    steps = torch.arange(2, path.steps + 1, device=x.device)
    total = torch.zeros(len(x), dtype=torch.float64, device=x.device)
    for run in steps.tensor_split(terms):
        ratio = path.a[run - 1] * path.s[run] / (path.a[run] * path.s[run - 1])
        q = (ratio**2 - 1) / (ratio**2 - 1).sum()
        u = torch.rand(len(x), dtype=torch.float64, device=x.device)
        drawn = torch.searchsorted(q.cumsum(0), u).clamp(max=len(run) - 1)
        step = run[drawn]
        t = step.double() / path.steps
        posterior = path.posterior((step - 1).double() / path.steps, t)
        error = x - denoiser(path.diffuse(x, torch.randn_like(x), t), t).data
        squared = error.square().flatten(1).sum(1).double()
        total += posterior.data**2 / (2 * posterior.variance) * squared / q[drawn]
    return total


def variational_bound(
    denoiser: Denoiser, path: DiscretePath, images: Tensor, levels: int, terms: int
) -> Tensor:
    """Return an unbiased estimate of the bound, nats <= log P(image), (B,) in float64.

    Args:
        denoiser: the model.
        path: its forward process, of T steps.
        images: integers (B, C, H, W).
        levels: of the images.
        terms: steps of the T - 1 between that each image evaluates, at least 1.
    """
    terms = min(terms, path.steps - 1)
    if terms < 0 or (terms == 0 and path.steps > 1):
        raise ValueError("the bound needs at least one of its terms evaluated")
    x = to_symmetric(images, levels)
    loss = prior_term(path, x) + decoder_term(denoiser, path, images, levels)
    if terms:
        loss = loss + transition_terms(denoiser, path, x, terms)
    return -loss

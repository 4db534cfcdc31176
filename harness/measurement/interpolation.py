"""Interpolation between latent variables."""

from __future__ import annotations

import torch
from torch import Tensor

from harness.contract import GenerativeModel, HasLatent
from harness.machine.precision import Precision, autocast
from harness.machine.seeding import INTERPOLATION, reseed
from harness.measurement.sampling import evaluating
from harness.plugins.contract_validation import validate_examples

ROWS = 6
"""Arcs in a picture."""
STEPS = 10
"""Examples on each."""

PARALLEL = 1e-6
"""Sine of the angle below which two latent variables count as parallel."""


def spherical(start: Tensor, end: Tensor, steps: int) -> Tensor:
    """Return points on the arc between latent variables, both ends included.

    z_t = (sin((1 - t) w) z_0 + sin(t w) z_1) / sin w, where w is the angle between z_0 and z_1. A
    Gaussian prior of many dimensions lives on a sphere, and the middle of a straight line lies far
    inside it. Parallel ones are joined by the straight line.

    White, Sampling Generative Networks, 2016, arXiv:1609.04468.

    Args:
        start: z_0 of n pairs, floating point (n, ...).
        end: z_1, of the same shape.
        steps: number of points, at least 2.

    Returns:
        (n, steps, ...).
    """
    a, b = start.flatten(1).double(), end.flatten(1).double()
    t = torch.linspace(0, 1, steps, dtype=a.dtype, device=a.device)[None, :, None]
    norms = a.norm(dim=1) * b.norm(dim=1)
    # Zero has no direction, so it counts as parallel to all.
    cosine = torch.where(norms > 0, (a * b).sum(1) / norms, 1.0)
    angle = cosine.clamp(-1, 1).acos()[:, None, None]
    sine = angle.sin()
    curved = sine > PARALLEL
    sine = torch.where(curved, sine, 1.0)
    left = torch.where(curved, ((1 - t) * angle).sin() / sine, 1 - t)
    right = torch.where(curved, (t * angle).sin() / sine, t)
    points = left * a[:, None] + right * b[:, None]
    return points.view(len(start), steps, *start.shape[1:]).to(start.dtype)


def decode(model: GenerativeModel, z: Tensor, y: Tensor | None) -> Tensor:
    """Decode latent variables, given y where the model is conditional."""
    assert isinstance(model, HasLatent)
    return model.decode(z) if y is None else model.decode(z, y)


def interpolate(
    model: GenerativeModel,
    *,
    seed: int,
    precision: Precision,
    y: Tensor | None = None,
    rows: int = ROWS,
    steps: int = STEPS,
) -> Tensor | None:
    """Return examples along ``rows`` arcs between latent variables of the prior, on the CPU.

    Args:
        model: of which there is a picture.
        seed: of the ends.
        precision: of the network.
        y: a condition for each row (rows, ...), where the model is conditional.
        rows: arcs.
        steps: images on each.

    Returns:
        uint8 (rows * steps, *x.shape), row by row; None of a model without a latent variable, or
        with one that is not of real numbers.
    """
    if not isinstance(model, HasLatent):
        return None
    reseed(model.device, seed, INTERPOLATION)
    with evaluating(model), autocast(precision, model.device):
        ends = model.sample_prior(2 * rows)
        if not ends.is_floating_point():
            return None
        points = spherical(ends[:rows], ends[rows:], steps).flatten(0, 1)
        x = decode(model, points, None if y is None else y.repeat_interleave(steps, 0))
        validate_examples(x, rows * steps, model.spec, "decode")
        return x.to("cpu", copy=True)

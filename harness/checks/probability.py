"""The check that a likelihood is one: probabilities of all images sum to one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from harness.checks.subject import NotApplicable, build, seeded, train
from harness.contract import Batch, DataSpec, GenerativeModel, HasLikelihood

TINY = DataSpec((1, 2, 2), levels=4)
REPEATS = 4
TOLERANCE = {"exact": 1e-3, "lower_bound": 0.02, "estimate": 0.1}


def all_images(spec: DataSpec) -> Tensor:
    """Return each of the levels^D images once, uint8 (levels^D, C, H, W)."""
    pixels = torch.arange(spec.levels, dtype=torch.uint8)
    return torch.cartesian_prod(*[pixels] * spec.dimensions).view(-1, *spec.shape)


def check_total_probability(
    model_class: type[GenerativeModel], spec: DataSpec, overrides: Mapping[str, Any]
) -> None:
    """On 1x2x2 images with 4 levels, sum_x exp(log P(x)) is 1 if exact, and at most 1 otherwise.

    A likelihood with noise of its own is scored several times; what is held to the limit is the
    mean, less three standard errors.
    """
    try:
        model = build(model_class, TINY, overrides)
    except NotApplicable as reason:
        raise NotApplicable(f"needs 1x2x2 images: {reason}") from None
    if not isinstance(model, HasLikelihood):
        raise NotApplicable("no likelihood")
    images = all_images(TINY)
    # Trained, so that the mass is not spread too thin to show an error of the volume.
    train(model, Batch(images[::37], None), range(100), 100)
    model.eval()
    totals = []
    for repeat in range(REPEATS):
        with seeded(repeat), torch.no_grad():
            nats, kind, _ = model.log_likelihood(images)
        assert nats.shape == (len(images),), f"nats has shape {tuple(nats.shape)}, not (B,)"
        totals.append(nats.double().logsumexp(0).exp())
    total = torch.stack(totals)
    mean, error = float(total.mean()), float(total.std()) / math.sqrt(REPEATS)
    limit = 1 + TOLERANCE[kind]
    assert mean - 3 * error <= limit, (
        f"probabilities of all 256 images of 1x2x2 pixels and 4 levels sum to {mean:.4f} "
        f"(standard error {error:.4f}), above 1: this {kind} promises too much"
    )
    if kind == "exact":
        assert mean > 1 - TOLERANCE[kind], (
            f"probabilities of all 256 images sum to {mean:.4f}: an exact likelihood's sum to 1"
        )

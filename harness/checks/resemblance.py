"""The check that samples look like the data after a brief training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from harness.checks.subject import (
    build,
    conditions,
    draw,
    log_likelihood,
    noise_batch,
    seeded,
    train,
)
from harness.checks.training import SAMPLES
from harness.contract import Batch, DataSpec, GenerativeModel, HasLikelihood

ROUNDS = (100, 800)
# Share of the distance of noise that counts as near.
NEARER = 0.6


def check_resemblance(
    model_class: type[GenerativeModel], spec: DataSpec, overrides: Mapping[str, Any]
) -> None:
    """Trained on examples that are almost alike, samples are nearer to them than noise is.

    Or else the model's likelihood of its samples is about that of the examples: a chain that is the
    same at every pixel makes the dark and bright runs that it saw, but not where it saw them.
    """
    batch = _alike(spec, 16)
    noise = _distance(noise_batch(spec, SAMPLES).x, batch.x, spec)
    figures = []
    for steps in ROUNDS:
        model = build(model_class, spec, overrides)
        train(model, batch, range(steps), steps)
        samples = draw(model.eval(), SAMPLES)
        distance = _distance(samples, batch.x, spec)
        figures.append(f"{distance:.3f} after {steps}")
        if distance < NEARER * noise or _are_as_likely(model, samples, batch.x):
            return
    raise AssertionError(
        "samples do not come to look like the data, 16 examples that are almost alike: their RMS "
        f"distance to the nearest is {', '.join(figures)} steps, and that of noise {noise:.3f}; "
        "does sampling run from noise to data, with the scales that training has?"
    )


def _alike(spec: DataSpec, n: int) -> Batch:
    """Return ``n`` x, dark on the left and bright on the right, up to one level of noise."""
    batch = noise_batch(spec, n)
    image = torch.zeros(spec.shape, dtype=torch.int64)
    image[..., spec.shape[-1] // 2 :] = spec.levels - 1
    x = image + batch.x.long() % 3 - 1
    return Batch(x.clamp(0, spec.levels - 1).to(torch.uint8), conditions(spec, n))


def _are_as_likely(model: GenerativeModel, samples: Tensor, images: Tensor) -> bool:
    """Whether a likelihood has learnt the data, and is nearer to it for samples than for noise.

    The mean log-likelihood of a model's own samples is minus its entropy, which is that of the
    images if it fits them.
    """
    if not isinstance(model, HasLikelihood):
        return False
    noise = noise_batch(model.spec, SAMPLES, seed=1).x
    with seeded(0), torch.no_grad():
        nats = [
            log_likelihood(model, Batch(x, conditions(model.spec, len(x)))).nats.mean().item()
            for x in (images, samples, noise)
        ]
    of_images, of_samples, of_noise = nats
    has_learnt = of_images > NEARER * of_noise
    return has_learnt and of_images - of_samples < NEARER * (of_images - of_noise)


def _distance(samples: Tensor, images: Tensor, spec: DataSpec) -> float:
    """Return the RMS distance of samples to their nearest x, in the range of one value."""
    pairs = torch.cdist(samples.flatten(1).float(), images.flatten(1).float())
    rms = pairs.amin(1).square().mean().div(spec.dimensions).sqrt()
    return float(rms) / (spec.levels - 1)

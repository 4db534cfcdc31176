"""Checks of what samples look like after a brief training: like the data, and like their label."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from harness.checks.subject import (
    NotApplicable,
    build,
    conditions,
    conditions_for,
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
    """Trained on images that are almost alike, samples are nearer to them than noise is.

    Or else the model's likelihood of its samples is about that of the images: a chain that is the
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
        "samples do not come to look like the data, 16 images that are almost alike: their RMS "
        f"distance to the nearest is {', '.join(figures)} steps, and that of noise {noise:.3f}; "
        "does sampling run from noise to data, with the scales that training has?"
    )


def check_labels(
    model_class: type[GenerativeModel], spec: DataSpec, overrides: Mapping[str, Any]
) -> None:
    """Trained on one kind of image a class, ``sample`` gives the kind that is asked for."""
    if not model_class.takes:
        raise NotApplicable("it takes no condition")
    if spec.classes < 2 or not model_class.is_conditional(spec):
        raise NotApplicable("the data has no labels that it takes")
    kinds = _kinds(spec)
    batch = Batch(kinds.repeat(4, 1, 1, 1), torch.arange(spec.classes).repeat(4))
    chance = 1 / spec.classes
    figures = []
    for steps in ROUNDS:
        model = build(model_class, spec, overrides)
        train(model, batch, range(steps), steps)
        right = _share_of_right_kind(model.eval(), kinds)
        figures.append(f"{right:.0%} after {steps}")
        if right > (1 + chance) / 2:
            return
    raise AssertionError(
        f"samples do not show their label: {', '.join(figures)} steps are of the kind that was "
        f"asked for, where chance is {chance:.0%}; do training and sample use labels, and in the "
        "same way?"
    )


def _alike(spec: DataSpec, n: int) -> Batch:
    """Return ``n`` images, dark on the left and bright on the right, up to one level of noise."""
    batch = noise_batch(spec, n)
    image = torch.zeros(spec.shape, dtype=torch.int64)
    image[..., spec.shape[-1] // 2 :] = spec.levels - 1
    images = image + batch.x.long() % 3 - 1
    return batch._replace(x=images.clamp(0, spec.levels - 1).to(torch.uint8))


def _kinds(spec: DataSpec) -> Tensor:
    """Return one image a class, black but for a white run of pixels where its class says."""
    kinds = torch.zeros(spec.classes, spec.dimensions, dtype=torch.uint8)
    borders = torch.linspace(0, spec.dimensions, spec.classes + 1).round().int().tolist()
    for kind, start, stop in zip(kinds, borders, borders[1:], strict=False):
        kind[start : max(stop, start + 1)] = spec.levels - 1
    return kinds.view(-1, *spec.shape)


def _share_of_right_kind(model: GenerativeModel, kinds: Tensor) -> float:
    samples = draw(model, SAMPLES).flatten(1).float()
    nearest = torch.cdist(samples, kinds.flatten(1).float()).argmin(1)
    asked = conditions_for(model, SAMPLES)
    assert asked is not None
    return float((nearest == asked).float().mean())


def _are_as_likely(model: GenerativeModel, samples: Tensor, images: Tensor) -> bool:
    """Whether a likelihood has learnt the images, and is nearer to theirs for samples than noise's.

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
    """Return the RMS distance of samples to their nearest image, in the range of a sub-pixel."""
    pairs = torch.cdist(samples.flatten(1).float(), images.flatten(1).float())
    rms = pairs.amin(1).square().mean().div(spec.dimensions).sqrt()
    return float(rms) / (spec.levels - 1)

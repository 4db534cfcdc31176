"""The check that an encoder and a decoder share one latent variable."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from harness.checks.own_data import resized
from harness.checks.subject import NotApplicable, build, noise_batch, perturb, seeded, train
from harness.contract import DataSpec, GenerativeModel, HasEncoder, HasLatent, HasSteps
from harness.measurement.interpolation import decode

TOLERATED = 0.01


def check_latent_round_trip(
    model_class: type[GenerativeModel], spec: DataSpec, overrides: Mapping[str, Any]
) -> None:
    """``encode`` gives what ``decode`` takes, and a bijection's ``decode(encode(x))`` is x.

    A map is a bijection if its latent variable has as many dimensions as x of every size.
    """
    model = build(model_class, spec, overrides)
    if not (isinstance(model, HasEncoder) and isinstance(model, HasLatent)):
        raise NotApplicable("needs sample_prior, decode and encode")
    batch = noise_batch(spec, 8)
    # Layers initialised from the data's moments see them first, then zero-initialised ones are
    # perturbed.
    train(model, batch, range(model.period), model.period)
    perturb(model)
    model.eval()
    with seeded(0), torch.no_grad():
        codes, drawn = model.encode(batch.x), model.sample_prior(len(batch.x))
        assert codes.shape == drawn.shape, (
            f"encode gives {tuple(codes.shape)}, but sample_prior {tuple(drawn.shape)}: decode "
            "cannot accept both"
        )
        decoded = decode(model, codes, model.condition(batch.y))
    if isinstance(model, HasSteps) or not _keeps_dimensions(model_class, spec, overrides):
        return
    lost = float((decoded != batch.x).float().mean())
    assert lost <= TOLERATED, (
        f"decode(encode(x)) differs from x in {lost:.1%} of values: the latent variable has "
        "the dimensions of x, so one of the two is not the other's inverse"
    )


def _keeps_dimensions(
    model_class: type[GenerativeModel], spec: DataSpec, overrides: Mapping[str, Any]
) -> bool:
    """Whether codes have as many dimensions as x, at two sizes of other proportions."""
    for size in (spec, resized(spec, _other_shape(spec.shape))):
        try:
            model = build(model_class, size, overrides)
        except Exception:
            # The check chose this size; `sizes` checks those that the model has to support.
            return False
        assert isinstance(model, HasLatent)
        if model.sample_prior(1).numel() != size.dimensions:
            return False
    return True


def _other_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return one of other proportions: twice as high, or twice as long, gray for colour."""
    if len(shape) < 3:
        return (*shape[:-1], 2 * shape[-1])
    *frames, channels, height, width = shape
    return (*frames, 3 if channels == 1 else 1, 2 * height, width)

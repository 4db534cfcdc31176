"""The check that a model runs on all that it says it supports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.checks.sampling import STEPS, check_examples
from harness.checks.subject import NotApplicable, build, draw, log_likelihood, noise_batch, seeded
from harness.contract import DataSpec, GenerativeModel, HasLikelihood, HasSteps

# No smaller than the contract asks for.
SPECS = (
    DataSpec.images((1, 8, 8), levels=17, classes=10),
    DataSpec.images((3, 8, 8), levels=256),
    DataSpec.images((1, 8, 16), levels=2, classes=2),
)


def check_sizes(
    model_class: type[GenerativeModel], spec: DataSpec, overrides: Mapping[str, Any]
) -> None:
    """It runs on gray and colour, few levels and many, with labels and without, or refuses them."""
    supported = 0
    for other in SPECS:
        try:
            check_size(model_class, other, overrides)
            supported += 1
        except NotApplicable as reason:
            refusal = reason
    if not supported:
        raise NotApplicable(str(refusal))


def check_size(
    model_class: type[GenerativeModel], spec: DataSpec, overrides: Mapping[str, Any]
) -> None:
    """It takes a step, samples and scores at one size, or refuses it."""
    try:
        model = build(model_class, spec, overrides)
    except NotApplicable:
        raise
    except Exception as error:
        raise AssertionError(_told(spec, "__init__", error)) from error
    batch = noise_batch(model.spec, 4)
    method = "training_step"
    try:
        with seeded(0):
            model.training_step(batch, 0.5)
        model.eval()
        if isinstance(model, HasSteps):
            model.sampling_steps = STEPS
        method = "sample"
        check_examples(draw(model, 2), 2, model.spec, "sample")
        if isinstance(model, HasLikelihood):
            method = "log_likelihood"
            with seeded(0):
                log_likelihood(model, batch)
    except Exception as error:
        raise AssertionError(_told(model.spec, method, error)) from error


def _told(spec: DataSpec, method: str, error: Exception) -> str:
    size = "x".join(map(str, spec.shape))
    return (
        f"supports() accepts images of {size} with {spec.levels} levels and {spec.classes} "
        f"classes, but {method} fails on them with {type(error).__name__}: {error}; derive sizes "
        "from spec, or let supports() return why not"
    )

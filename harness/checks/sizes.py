"""The check that a model runs on every spec that it claims to support."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from harness.checks.own_data import Size, data_of, describe_spec, without_condition
from harness.checks.sampling import STEPS, check_examples
from harness.checks.subject import NotApplicable, build, draw, log_likelihood, noise_batch, seeded
from harness.contract import DataSpec, GenerativeModel, HasLikelihood, HasSteps

# No smaller than the contract requires.
SQUARE = Size({"image": (1, 8, 8), "video": (2, 1, 8, 8), "audio": (1, 64), "text": (16,)}, 17)
COLOUR = Size({"image": (3, 8, 8), "video": (2, 3, 8, 8), "audio": (2, 64), "text": (16,)}, 256)
OBLONG = Size({"image": (1, 8, 16), "video": (3, 1, 8, 16), "audio": (1, 96), "text": (24,)}, 2)


def check_sizes(
    model_class: type[GenerativeModel], spec: DataSpec, overrides: Mapping[str, Any]
) -> None:
    """It runs on gray and colour, few levels and many, each kind and condition, or refuses them."""
    supported = 0
    for other in _variants(model_class, spec):
        try:
            check_size(model_class, other, overrides)
            supported += 1
        except NotApplicable as reason:
            refusal = reason
    if not supported:
        raise NotApplicable(str(refusal))


def _variants(model_class: type[GenerativeModel], spec: DataSpec) -> Iterator[DataSpec]:
    """Yield three sizes of the kinds of ``spec``, and one of each other kind that is claimed."""
    yield SQUARE.of(spec)
    yield without_condition(COLOUR.of(spec))
    yield OBLONG.of(spec, classes=2)
    y = spec.y.kind if spec.y else "label"
    for kind in sorted(model_class.makes - {spec.x.kind}):
        yield SQUARE.of(data_of(kind, y))
    for kind in sorted(model_class.takes - {y}):
        yield SQUARE.of(data_of(spec.x.kind, kind))


def check_size(
    model_class: type[GenerativeModel], spec: DataSpec, overrides: Mapping[str, Any]
) -> None:
    """It takes a step, samples and scores at one size, or refuses it."""
    try:
        model = build(model_class, spec, overrides)
    except NotApplicable:
        raise
    except Exception as error:
        raise AssertionError(_failure(spec, "__init__", error)) from error
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
        raise AssertionError(_failure(model.spec, method, error)) from error


def _failure(spec: DataSpec, method: str, error: Exception) -> str:
    return (
        f"makes, takes and supports() accept {describe_spec(spec)}, but {method} fails on them "
        f"with {type(error).__name__}: {error}; derive sizes from spec, or let supports() return "
        "the reason"
    )

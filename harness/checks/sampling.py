"""Checks of what a model gives: samples, and examples of one batch that do not see each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from harness.checks.noise import PerExampleNoise
from harness.checks.subject import (
    NotApplicable,
    build,
    conditions_for,
    differences,
    draw,
    held_to_contract,
    log_likelihood,
    noise_batch,
    perturb,
    seeded,
    state,
    train,
)
from harness.contract import (
    Batch,
    DataSpec,
    GenerativeModel,
    HasLatent,
    HasLikelihood,
    HasSteps,
)
from harness.measurement.interpolation import decode
from harness.plugins.contract_validation import validate_examples, validate_levels

# Lengths that, with their sum, only the batch axis is likely to have.
PARTS = (5, 7)
STEPS = 8


def check_samples(
    model_class: type[GenerativeModel], spec: DataSpec, overrides: Mapping[str, Any]
) -> None:
    """Samples are uint8 (n, *x.shape) in [0, levels), equal from equal seeds; state stays."""
    model = build(model_class, spec, overrides).eval()
    before = {name: value.clone() for name, value in _tensors(model).items()}
    for n in (1, 3):
        first, again = (draw(model, n) for _ in range(2))
        check_examples(first, n, spec, "sample")
        assert torch.equal(first, again), (
            "two samples from one seed differ: draw randomness from torch's global generator alone"
        )
    if isinstance(model, HasLatent):
        with seeded(0), torch.no_grad():
            decoded = decode(model, model.sample_prior(3), conditions_for(model, 3))
            check_examples(decoded, 3, spec, "decode")
    assert not model.training, "sample left the model in training mode"
    different = differences(before, _tensors(model))
    assert not different, f"sampling in eval mode changed the model's {', '.join(different[:5])}"


def _tensors(model: GenerativeModel) -> dict[str, Tensor]:
    values = state(model)["model"]
    return {name: value for name, value in values.items() if isinstance(value, Tensor)}


def check_examples(x: Any, n: int, spec: DataSpec, method: str) -> None:
    """Hold what ``method`` returned to being ``n`` examples of ``spec``."""
    with held_to_contract():
        validate_examples(x, n, spec, method)
        validate_levels(x, spec, method)


def check_batch_independence(
    model_class: type[GenerativeModel], spec: DataSpec, overrides: Mapping[str, Any]
) -> None:
    """In eval mode each example gets the same result, whichever others are in its batch."""
    model = build(model_class, spec, overrides)
    train(model, noise_batch(spec, 8), range(model.period), model.period)
    perturb(model)
    model.eval()
    if isinstance(model, HasSteps):
        model.sampling_steps = STEPS
    n = sum(PARTS)
    _compare("sample", lambda first, size: draw(model, size, first=first))
    if isinstance(model, HasLatent):
        with seeded(0):
            z = model.sample_prior(n)

        def decoded(first: int, size: int) -> Tensor:
            return decode(model, z[first : first + size], conditions_for(model, size, first))

        _compare("decode", decoded)
    if isinstance(model, HasLikelihood):
        x, y = noise_batch(spec, n)

        def nats(first: int, size: int) -> Tensor:
            own = slice(first, first + size)
            part = Batch(x[own], None if y is None else y[own])
            return log_likelihood(model, part).nats

        together, parts = _in_parts(nats)
        worst = float(((parts - together).abs() / together.abs().clamp(min=1)).max())
        assert worst < 1e-3, (
            f"log_likelihood of an example depends on the others in its batch: up to {worst:.2%} "
            "apart when scored in two parts"
        )


def _compare(method: str, results: Callable[[int, int], Tensor]) -> None:
    together, parts = _in_parts(results)
    share = float((parts != together).float().mean())
    assert share < 0.02, (
        f"{method} gives an example other values in another batch: {share:.1%} of values differ "
        "when the same examples are made in two parts (batch statistics in eval mode?)"
    )


def _in_parts(results: Callable[[int, int], Tensor]) -> tuple[Tensor, Tensor]:
    """Return results for all at once, and in two parts, every example with its own noise."""
    pieces, shared = [], set()
    first = 0
    for first, size in ((0, sum(PARTS)), (0, PARTS[0]), (PARTS[0], PARTS[1])):
        with seeded(0), torch.no_grad(), PerExampleNoise(size, first) as noise:
            pieces.append(results(first, size).clone())
        shared |= set(noise.shared)
    together, parts = pieces[0], torch.cat(pieces[1:])
    if shared and not torch.allclose(together.float(), parts.float(), rtol=1e-3, atol=1):
        names = ", ".join(sorted(shared))
        raise NotApplicable(f"{names} draws noise with no axis for the batch: nothing to compare")
    return together, parts

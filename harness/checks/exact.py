"""Checks of exact likelihoods against the model's own samples; and how such a model is made."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch

from harness.checks.own_sizes import scorable
from harness.checks.probability import all_nats, enumerable, score, trained
from harness.checks.subject import (
    NotApplicable,
    all_images,
    condition_for,
    draw,
    draw_from,
)
from harness.contract import DataSpec, GenerativeModel

DRAWS = 8192


def check_frequencies(
    model_class: type[GenerativeModel], spec: DataSpec, overrides: Mapping[str, Any]
) -> None:
    """Of 256 images 1x2x2, or as many texts, each is sampled as often as its likelihood says.

    With conditions, as many are drawn of each as were shown; and as many of one alone.
    """
    for own, kind in enumerable(model_class, spec, overrides):
        _require_exact(kind)
        model = trained(model_class, own, overrides)
        _compare_frequencies(model)
        if model_class.is_conditional(own):
            _compare_frequencies(model, condition=1)


def exact_size(
    model_class: type[GenerativeModel],
    spec: DataSpec,
    overrides: Mapping[str, Any],
    candidates: Iterable[DataSpec],
) -> DataSpec:
    """Return the first of ``candidates`` that works; not applicable without an exact likelihood.

    Raises:
        NotApplicable: no size works, or the likelihood is of another kind.
    """
    own, kind = scorable(model_class, spec, overrides, candidates)
    _require_exact(kind)
    return own


def _require_exact(kind: str) -> None:
    if kind != "exact":
        raise NotApplicable(f"its likelihood is not exact: {kind}")


def _compare_frequencies(model: GenerativeModel, condition: int | None = None) -> None:
    """Compare samples of one condition, or of all in turn, with probabilities of all x."""
    spec = model.spec
    if condition is None:
        samples, nats, given = draw(model, DRAWS), all_nats(model), ""
    else:
        samples = draw_from(model, condition_for(model, DRAWS, condition), DRAWS)
        nats, given = score(model, all_images(spec), 0, condition).nats, " given one y"
    expected = nats.softmax(0) * DRAWS
    places = spec.levels ** torch.arange(spec.dimensions - 1, -1, -1)
    numbers = (samples.flatten(1).long() * places).sum(1)
    observed = torch.bincount(numbers, minlength=len(expected)).double()
    # Pearson's test asks for at least five of each; what is rarer counts as one.
    common = expected >= 5
    e = torch.cat([expected[common], expected[~common].sum().clamp(min=1)[None]])
    o = torch.cat([observed[common], observed[~common].sum()[None]])
    statistic, freedom = float(((o - e).square() / e).sum()), len(e) - 1
    limit = freedom + 6 * math.sqrt(2 * freedom) + 6
    assert statistic <= limit, (
        f"samples and likelihood{given} are of two distributions: chi^2 of {DRAWS} samples is "
        f"{statistic:.0f} with {freedom} degrees of freedom, where {limit:.0f} is the most that "
        "chance explains; a leak in a mask, a temperature, or an order that only one of them has?"
        + (" Is y used in the same way by both?" if given else "")
    )

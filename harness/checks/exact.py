"""Checks of exact likelihoods against the model's own samples; and how such a model is made."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch

from harness.checks.own_sizes import scorable
from harness.checks.probability import all_nats, enumerable, trained
from harness.checks.subject import NotApplicable, draw
from harness.contract import DataSpec, GenerativeModel

DRAWS = 8192


def check_frequencies(
    model_class: type[GenerativeModel], spec: DataSpec, overrides: Mapping[str, Any]
) -> None:
    """Of images 1x2x2 with 4 levels each is sampled as often as its exact likelihood says.

    With classes, as many are drawn of each as were shown.
    """
    for own, kind in enumerable(model_class, spec, overrides):
        _require_exact(kind)
        _compare_frequencies(trained(model_class, own, overrides))


def exact_size(
    model_class: type[GenerativeModel],
    spec: DataSpec,
    overrides: Mapping[str, Any],
    candidates: Iterable[DataSpec],
) -> DataSpec:
    """Return the first of ``candidates`` that will do; not applicable without an exact likelihood.

    Raises:
        NotApplicable: none will do, or the likelihood is of another kind.
    """
    own, kind = scorable(model_class, spec, overrides, candidates)
    _require_exact(kind)
    return own


def _require_exact(kind: str) -> None:
    if kind != "exact":
        raise NotApplicable(f"its likelihood is not exact: {kind}")


def _compare_frequencies(model: GenerativeModel) -> None:
    spec = model.spec
    expected = all_nats(model).softmax(0) * DRAWS
    pixels = draw(model, DRAWS).flatten(1).long()
    places = spec.levels ** torch.arange(spec.dimensions - 1, -1, -1)
    observed = torch.bincount((pixels * places).sum(1), minlength=len(expected)).double()
    # Pearson's test asks for at least five of each; rarer images count as one.
    common = expected >= 5
    e = torch.cat([expected[common], expected[~common].sum().clamp(min=1)[None]])
    o = torch.cat([observed[common], observed[~common].sum()[None]])
    statistic, freedom = float(((o - e).square() / e).sum()), len(e) - 1
    limit = freedom + 6 * math.sqrt(2 * freedom) + 6
    assert statistic <= limit, (
        f"samples and likelihood are of two distributions: chi^2 of {DRAWS} samples is "
        f"{statistic:.0f} with {freedom} degrees of freedom, where {limit:.0f} is the most that "
        "chance explains; a leak in a mask, a temperature, or an order that only one of them has?"
    )

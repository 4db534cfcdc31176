"""Checks of exact likelihoods, against the model's own samples and against its own structure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from harness.checks.probability import TINY, trained
from harness.checks.subject import NotApplicable, all_images, build, seeded, stir
from harness.contract import DataSpec, GenerativeModel, HasLikelihood

BINARY = DataSpec((1, 3, 3), levels=2)
DRAWS = 8192
INTERACTION = 1e-5


def check_frequencies(
    model_class: type[GenerativeModel], spec: DataSpec, overrides: Mapping[str, Any]
) -> None:
    """Of images 1x2x2 with 4 levels each is sampled as often as its exact likelihood says."""
    model = _exact(model_class, TINY, overrides)
    expected = _nats(model).softmax(0) * DRAWS
    with seeded(0), torch.no_grad():
        pixels = model.sample(DRAWS).flatten(1).long()
    places = TINY.levels ** torch.arange(TINY.dimensions - 1, -1, -1)
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


def check_coverage(
    model_class: type[GenerativeModel], spec: DataSpec, overrides: Mapping[str, Any]
) -> None:
    """On 1x3x3 binary images every pixel depends on every one before it, if it does on any.

    P(x_d | x_<d), summed out of the 512 probabilities, has to change with each of x_<d.
    """
    model = _exact(model_class, BINARY, overrides)
    # Weights that start at zero hide what they connect.
    stir(model)
    nats = _nats(model).view([BINARY.levels] * BINARY.dimensions)
    changes = _interactions(nats)
    if max(changes.values()) < INTERACTION:
        raise NotApplicable("its pixels are independent of each other")
    blind = [pair for pair, change in changes.items() if change < INTERACTION]
    told = ", ".join(f"{_place(d)} on {_place(j)}" for d, j in blind[:3])
    assert not blind, (
        f"{len(blind)} of {len(changes)} pairs of pixels (row, column) do not interact: {told}; a "
        "blind spot of masked convolutions, or a receptive field that is too small?"
    )


def _exact(
    model_class: type[GenerativeModel], spec: DataSpec, overrides: Mapping[str, Any]
) -> GenerativeModel:
    """Return a trained model; not applicable if its likelihood is not exact."""
    model = build(model_class, spec, overrides).eval()
    if not isinstance(model, HasLikelihood):
        raise NotApplicable("no likelihood")
    with seeded(0), torch.no_grad():
        kind = model.log_likelihood(all_images(spec)[:2]).kind
    if kind != "exact":
        raise NotApplicable(f"its likelihood is not exact: {kind}")
    return trained(model_class, spec, overrides)


def _nats(model: GenerativeModel) -> Tensor:
    """Return the log-probabilities of all images, float64."""
    assert isinstance(model, HasLikelihood)
    with seeded(0), torch.no_grad():
        return model.log_likelihood(all_images(model.spec)).nats.double()


def _interactions(nats: Tensor) -> dict[tuple[int, int], float]:
    """Return how much log P(x_d | x_<d) changes at most with x_j, for all j < d."""
    changes = {}
    for d in range(1, nats.ndim):
        later = tuple(range(d + 1, nats.ndim))
        joint = nats.logsumexp(later) if later else nats
        conditional = joint - joint.logsumexp(d, keepdim=True)
        for j in range(d):
            changes[d, j] = float(conditional.diff(dim=j).abs().max())
    return changes


def _place(pixel: int) -> tuple[int, int]:
    return divmod(pixel, BINARY.shape[2])

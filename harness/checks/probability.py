"""Checks that a likelihood is one: it sums to one, and foresees nothing of pure noise."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

from harness.checks.subject import NotApplicable, all_images, build, noise_batch, seeded, train
from harness.contract import Batch, DataSpec, GenerativeModel, HasLikelihood, LogLikelihood

TINY = DataSpec((1, 2, 2), levels=4)
REPEATS = 4
TOLERANCE = {"exact": 1e-3, "lower_bound": 0.02, "estimate": 0.1}
FLAT = DataSpec((1, 4, 4), levels=4)
STEPS, BATCH = 150, 64
SLACK = {"exact": 1e-3, "lower_bound": 1e-3, "estimate": 0.02}


def trained(
    model_class: type[GenerativeModel], spec: DataSpec, overrides: Mapping[str, Any]
) -> GenerativeModel:
    """Return a model in eval mode, trained on a few of all images of ``spec``, without labels."""
    size = "x".join(map(str, spec.shape))
    try:
        model = build(model_class, spec, overrides)
    except NotApplicable as reason:
        raise NotApplicable(f"needs images of {size}: {reason}") from None
    if not isinstance(model, HasLikelihood):
        raise NotApplicable("no likelihood")
    # Trained, so that the mass is not spread too thin to show an error of the volume.
    train(model, Batch(all_images(spec)[::37], None), range(100), 100)
    return model.eval()


def check_total_probability(
    model_class: type[GenerativeModel], spec: DataSpec, overrides: Mapping[str, Any]
) -> None:
    """On 1x2x2 images with 4 levels, sum_x exp(log P(x)) is 1 if exact, and at most 1 otherwise.

    A likelihood with noise of its own is scored several times. Held to the limit is the mean of the
    sum's logarithm, less three standard errors: by Jensen it is below log 1 if the sum's mean is 1,
    and its tails are light.
    """
    model = trained(model_class, TINY, overrides)
    assert isinstance(model, HasLikelihood)
    images = all_images(TINY)
    totals = []
    for repeat in range(REPEATS):
        with seeded(repeat), torch.no_grad():
            scored = model.log_likelihood(images)
        _check_form(scored, len(images))
        assert torch.equal(images, all_images(TINY)), "log_likelihood changed its images"
        totals.append(scored.nats.double().logsumexp(0))
    logs = torch.stack(totals)
    error = float(logs.std()) / math.sqrt(REPEATS)
    total = math.exp(min(float(logs.mean()), 700))
    limit = 1 + TOLERANCE[scored.kind]
    assert logs.mean() - 3 * error <= math.log(limit), (
        f"probabilities of all 256 images of 1x2x2 pixels and 4 levels sum to {total:.4g} "
        f"(relative error {error:.2g}), above 1: this {scored.kind} promises too much; "
        f"{_cause_of_excess(total)}"
    )
    if scored.kind == "exact":
        assert total > 1 - TOLERANCE["exact"], (
            f"probabilities of all 256 images sum to {total:.4g}: an exact likelihood's sum to 1; "
            "is it in nats, of whole images, over all levels?"
        )


def _check_form(scored: LogLikelihood, n: int) -> None:
    nats, kind = scored.nats, scored.kind
    assert nats.shape == (n,), f"nats has shape {tuple(nats.shape)}, not (B,)"
    assert not nats.isnan().any() and float(nats.max()) < math.inf, "nats has NaN or infinity"
    assert kind in TOLERANCE, f"kind is {kind!r}; it is one of {', '.join(map(repr, TOLERANCE))}"


def _cause_of_excess(total: float) -> str:
    """Return what makes probabilities sum to ``total``, as far as that tells."""
    volumes = TINY.levels**TINY.dimensions
    layers = "the log-determinant, its sign and whether every layer counts"
    if 0.2 * volumes < total < 1.1 * volumes:
        return (
            f"a density's would sum to {volumes} = 4^4: is the volume term -D ln(levels) missing? "
            f"If not, look at {layers}, and for a pixel that sees itself through a mask"
        )
    return f"look at {layers}, and for a pixel that sees itself through a mask"


def check_entropy(
    model_class: type[GenerativeModel], spec: DataSpec, overrides: Mapping[str, Any]
) -> None:
    """Of images that are pure noise nothing can be foreseen: no honest score beats their entropy.

    E[log P(x)] <= -H = -D ln(levels), where every image has the same probability; a model that is
    not dequantised learns to put its density on the grid of levels, and scores better.
    """
    try:
        model = build(model_class, FLAT, overrides)
    except NotApplicable as reason:
        raise NotApplicable(f"needs images of 1x4x4: {reason}") from None
    if not isinstance(model, HasLikelihood):
        raise NotApplicable("no likelihood")
    for step in range(STEPS):
        train(model, noise_batch(FLAT, BATCH, step), range(step, step + 1), STEPS)
    model.eval()
    with seeded(0), torch.no_grad():
        scored = model.log_likelihood(noise_batch(FLAT, 4 * BATCH, STEPS).images)
    bits = scored.nats.double() / (-FLAT.dimensions * math.log(2))
    mean, error = float(bits.mean()), float(bits.std()) / math.sqrt(len(bits))
    least = math.log2(FLAT.levels) - SLACK[scored.kind]
    assert mean + 3 * error >= least, (
        f"images of pure noise with {FLAT.levels} levels get {mean:.3f} bits/dim (standard error "
        f"{error:.3f}), below the log2({FLAT.levels}) = {math.log2(FLAT.levels):g} that they have: "
        "is noise added to dequantise them, in training and in the likelihood alike, and does no "
        "pixel see itself?"
    )

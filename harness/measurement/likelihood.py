"""The likelihood of held-out data under a model, in bits per dimension."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from harness.contract import DataSpec, GenerativeModel, HasLikelihood
from harness.dataset import Split
from harness.machine.seeding import LIKELIHOOD, reseed
from harness.measurement.figures import ignore, why_missing
from harness.measurement.plausibility import impossible_mean, impossible_nats
from harness.measurement.references import HELD_OUT
from harness.measurement.sampling import CallCounter, evaluating
from harness.metrics.likelihood import BitsPerDimension
from harness.plugins.capabilities import likelihood_kind
from harness.plugins.contract_validation import validate_likelihood
from harness.row import Measurement


def measure_likelihood(
    model: GenerativeModel,
    test: Split,
    *,
    images: int | None,
    batch_size: int,
    seed: int,
    on_batch: Callable[[], None] = ignore,
) -> Measurement:
    """Score test images in bits per dimension, with the standard error over images."""
    if not isinstance(model, HasLikelihood):
        return Measurement(value=None, reason="the model has no likelihood")
    chosen = torch.from_numpy(test.x[:images])
    if not len(chosen):
        return Measurement(value=None, reason="the data set has no test images")
    spec, device = model.spec, model.device
    if model.is_conditional(spec) and not spec.paired:
        return Measurement(value=None, reason="x and y of the data are not paired: no p(x | y)")
    given = model.condition(None if test.y is None else torch.from_numpy(test.y[: len(chosen)]))
    bits = BitsPerDimension(spec.dimensions)
    # Rows of one model share a line of the leaderboard if they share the kind, even without a
    # value.
    kind = likelihood_kind(type(model))
    try:
        for index, start in enumerate(range(0, len(chosen), batch_size)):
            x = chosen[start : start + batch_size].to(device)
            y = None if given is None else given[start : start + batch_size].to(device)
            reseed(device, seed, LIKELIHOOD, index)
            with evaluating(model), CallCounter(model.network) as calls:
                likelihood = model.log_likelihood(x, y)
            validate_likelihood(likelihood, len(x))
            kind = likelihood.kind
            if impossible := impossible_nats(likelihood, spec):
                raise ValueError(impossible)
            bits.update(likelihood.nats.double().cpu(), kind)
            on_batch()
    except Exception as fault:
        return Measurement(value=None, kind=kind, reason=why_missing(("bits_per_dim",), fault))
    protocol = likelihood_protocol(len(chosen), spec)
    if given is not None and spec.y is not None:
        protocol += f", given its {spec.y.kind}"
    protocol += f"; {likelihood.detail}" if likelihood.detail else ""
    took = {"evaluations": calls.total, "k": likelihood.k, "probes": likelihood.probes}
    value = float(bits.compute())
    error = float(bits.standard_error) if math.isfinite(value) and len(chosen) > 1 else None
    reason = impossible_mean(kind, value, error or 0.0)
    if not math.isfinite(value):
        reason = f"it came out {value}"
    return Measurement(
        value=None if reason else value,
        error=None if reason else error,
        kind=kind,
        protocol=protocol,
        reason=reason,
        details=likelihood_details(spec, len(chosen)) | {n: v for n, v in took.items() if v},
    )


def likelihood_protocol(images: int, spec: DataSpec) -> str:
    """Return the protocol of a likelihood."""
    plural = "" if images == 1 else "s"
    return f"{images} image{plural} of {HELD_OUT}, D = {spec.dimensions}, {spec.levels} levels"


def likelihood_details(spec: DataSpec, images: int | None = None) -> dict[str, int | float]:
    """Return the details of a likelihood; one in closed form is not of particular images."""
    details: dict[str, int | float] = {} if images is None else {"images": images}
    return details | {"dimensions": spec.dimensions, "levels": spec.levels}

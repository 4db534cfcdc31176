"""Checks of a metric of samples, on features whose distribution is known."""

from __future__ import annotations

import math
import warnings
from functools import partial

import torch
from torch import Tensor

from harness.checks.outcome import BoundCheck
from harness.checks.subject import NotApplicable
from harness.features.base import Features
from harness.hooks import MetricInfo
from harness.measurement.plausibility import UNLIMITED, outside
from harness.metrics.base import Figure, NonFiniteFeatures, Reference, SampleMetric
from harness.metrics.moments import moments

IMAGES, DIMENSIONS, CLASSES = 256, 8, 4
# Of the value: sums in another order differ in their last digits.
TOLERANCE = 1e-6
# Of the largest change: less is no sign of a direction.
MOVING = 0.1
Metric = type[SampleMetric]


def metric_checks(metric: Metric, info: MetricInfo) -> list[BoundCheck]:
    """Return the checks of the column that ``info`` describes."""
    functions = (check_figure, check_order, check_direction, check_refusals)
    return [
        BoundCheck(
            function.__name__.removeprefix("check_"),
            (function.__doc__ or "").partition("\n")[0],
            partial(function, metric, info),
            metric,
            "compute",
        )
        for function in functions
    ]


def check_figure(metric: Metric, info: MetricInfo) -> None:
    """For samples like the real images it has a value: one finite float64 number."""
    figure = _figure(metric, info, _real(1))
    value = figure.value
    assert isinstance(value, Tensor) and value.numel() == 1 and value.dtype == torch.float64, (
        f"compute returned {_described(value)}; expected a float64 tensor with one number"
    )
    assert value.isfinite().all(), f"the value of samples like the real images is {float(value)}"
    error = figure.error
    assert error is None or (float(error) >= 0 and math.isfinite(float(error))), (
        f"the standard error is {error}; expected a finite number of 0 or more, or None"
    )


def check_order(metric: Metric, info: MetricInfo) -> None:
    """The value depends on neither the order of the samples nor on how they come in batches.

    One that draws groups of samples depends on their order by as much as its standard error says.
    """
    samples = _real(1)
    whole, error, _ = _figure(metric, info, samples)
    for what, order, tolerated in (
        ("", samples, 0.0),
        (" and in another order", samples.flip(0), 0.0 if error is None else 3 * float(error)),
    ):
        parts = float(_figure(metric, info, order, batch=37).value)
        assert math.isclose(whole, parts, rel_tol=TOLERANCE, abs_tol=TOLERANCE + tolerated), (
            f"{len(samples)} samples in one batch have {float(whole):.9g}, and {parts:.9g} in "
            f"batches of 37{what}: sum in float64 over all batches, and divide in compute"
        )


def check_direction(metric: Metric, info: MetricInfo) -> None:
    """Worse samples have worse values: noise, one sample again and again, or copied images.

    A metric need not see all three, and may take one of them for better: noise copies nothing. It
    points the wrong way if all of those that move it well are better.
    """
    held_out = float(_figure(metric, info, _real(1)).value)
    sign = 1 if info.lower_is_better else -1
    worse = {
        "noise": 3 * torch.randn(IMAGES, DIMENSIONS, generator=_generator(2)) + 5,
        "one sample again and again": _real(1)[:1].repeat(IMAGES, 1) + 1e-3 * _real(3),
        "copies of the training images": _real(0),
    }
    changes: dict[str, float] = {}
    for name, samples in worse.items():
        try:
            value = float(_figure(metric, info, samples).value)
        except (ValueError, NotApplicable):
            continue
        changes[name] = sign * (value - held_out)
    if not any(changes.values()):
        raise NotApplicable("it takes none of noise, collapse and copies for better or worse")
    better = "lower" if info.lower_is_better else "higher"
    largest = max(abs(change) for change in changes.values())
    moving = [change for change in changes.values() if abs(change) > MOVING * largest]
    assert max(moving) > 0, (
        f"{better} is better, says lower_is_better = {info.lower_is_better}, but samples like the "
        f"real images have {held_out:.4g}, and none of {', '.join(changes)} is worse: turn "
        "`lower_is_better` in the info, or the sign"
    )


def check_refusals(metric: Metric, info: MetricInfo) -> None:
    """Non-finite features and empty sets raise an error with a reason, and have no value."""
    broken = _real(1).clone()
    broken[3, 2] = math.nan
    for what, samples in (("NaN among the features", broken), ("no samples", broken[:0])):
        try:
            value = _figure(metric, info, samples).value
        except (NonFiniteFeatures, ValueError, NotApplicable):
            continue
        except Exception as error:
            raise AssertionError(
                f"{what}: {type(error).__name__}: {error}; raise ValueError with a readable "
                "reason (harness.metrics.moments.finite does so for NaN)"
            ) from error
        assert not torch.as_tensor(value).isfinite().all(), (
            f"{what}: the value is {float(value):.4g}, as if nothing were wrong; raise ValueError "
            "(harness.metrics.moments.finite does so for NaN)"
        )


def _figure(metric: Metric, info: MetricInfo, samples: Tensor, batch: int = IMAGES) -> Figure:
    """Return the value of a new metric for samples (N, d); not applicable where it has none."""
    if reason := metric.supports(CLASSES):
        raise NotApplicable(reason)
    built = metric(_reference())
    for vectors in torch.split(samples, batch):
        if len(vectors):
            built.update(_features(vectors))
    with warnings.catch_warnings():
        # torchmetrics warns of a metric that was not updated, which is what is tested.
        warnings.simplefilter("ignore")
        computed = built.compute()
    found = _column(computed, info.name) if isinstance(computed, dict) else computed
    if isinstance(found, str):
        raise NotApplicable(found)
    figure = found if isinstance(found, Figure) else Figure(found)
    limits = built.limits.get(info.name, UNLIMITED)
    if torch.is_tensor(figure.value) and figure.value.numel() == 1 and figure.value.isfinite():
        reason = outside(float(figure.value), limits)
        assert reason is None, f"its `limits` exclude its value: {reason}"
    return figure


def _column(found: dict[str, Figure | str], name: str) -> Figure | str:
    assert name in found, f"compute returned columns {', '.join(found)}, and none is called {name}"
    return found[name]


def _reference() -> Reference:
    def split(name: str, seed: int, held_out: Reference | None) -> Reference:
        features = _features(_real(seed))
        return Reference(name, moments([features.vectors]), features, held_out)

    return split("train", 0, split("test", 4, None))


def _features(vectors: Tensor) -> Features:
    """Return vectors with logits of classes, which follow from them."""
    return Features(vectors, 2 * vectors[:, :CLASSES])


def _real(seed: int) -> Tensor:
    """Return features of real images, draws of one distribution, (N, d) float32."""
    x = torch.randn(IMAGES, DIMENSIONS, generator=_generator(seed))
    return x * torch.linspace(0.5, 2, DIMENSIONS) + 1


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _described(value: object) -> str:
    if isinstance(value, Tensor):
        return f"{value.dtype} of shape {tuple(value.shape)}"
    return type(value).__name__

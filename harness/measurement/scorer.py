"""Measuring a model: each figure with its protocol and uncertainty, or why it is missing.

A model has been trained for hours when this begins. What keeps one figure from being had, a metric
that raises or a batch too large for the memory, is therefore the reason of that figure alone.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from harness.contract import DataSpec, GenerativeModel, HasLikelihood
from harness.dataset import Dataset, Split
from harness.features.base import FeatureExtractor
from harness.files.disk import is_disk_full
from harness.files.images import ImageError
from harness.machine.exceptions import explain
from harness.machine.heartbeat import Interrupted
from harness.machine.seeding import LIKELIHOOD, reseed
from harness.measurement.plausibility import (
    UNLIMITED,
    equal_sets,
    impossible_mean,
    impossible_nats,
    outside,
    real_number,
)
from harness.measurement.references import Images, dataset_references, extract
from harness.measurement.sampling import CallCounter, Sampler, evaluating
from harness.metrics.base import Figure, Reference, SampleMetric
from harness.metrics.likelihood import BitsPerDimension
from harness.metrics.neighbours import nearest_training_images
from harness.metrics.speed import Speed, sampling_speed
from harness.plugins.capabilities import likelihood_kind
from harness.plugins.contract_validation import validate_likelihood
from harness.row import Measurement

log = logging.getLogger(__name__)

Metrics = dict[str, Measurement]
HEADLINE, HELD_OUT = "train", "test"


def ignore() -> None:
    """Do nothing at a heartbeat."""


@contextmanager
def guarded(names: Collection[str], measured: Metrics) -> Iterator[None]:
    """Go on after what is inside raises, with the reason in each of ``names`` in ``measured``."""
    try:
        yield
    except Exception as error:
        measured |= missing(names, _reason(names, error))


def _reason(names: Collection[str], error: Exception) -> str:
    """Return why there are no such figures.

    Being asked to stop is no reason, nor is a full disk, after which the next run resumes, nor are
    files of images that are damaged: these are passed on.
    """
    if isinstance(error, Interrupted | ImageError) or is_disk_full(error):
        raise error
    # A metric raises ``ValueError`` to say why, in words; anything else needs to be told in full.
    in_words = isinstance(error, ValueError) and str(error)
    told = explain(error)
    log.warning("no %s: %s", ", ".join(names), told, exc_info=None if in_words else error)
    return str(error) if in_words else told


class _Group(NamedTuple):
    """Columns that one metric computes together, against one split: its own names by the row's."""

    metric: type[SampleMetric]
    split: str
    columns: dict[str, str]


class SampleScorer:
    """Scores sets of samples in the features of one extractor, against train and against test.

    Args:
        real: the data set, or the references themselves, "train" and perhaps "test"; without the
            latter, nothing is scored against test.
        extractor: the ruler.
        metrics: classes by name; those without a value in these features report the reason. A class
            under several names is computed once, and gives each its column.
        device: where features are computed.
    """

    def __init__(
        self,
        real: Dataset | Mapping[str, Reference],
        extractor: FeatureExtractor,
        metrics: Mapping[str, type[SampleMetric]],
        device: torch.device,
    ) -> None:
        self.extractor = extractor
        self.device = device
        self.metrics = dict(metrics)
        if isinstance(real, Dataset):
            real = dataset_references(real, extractor, device)
        self.references = dict(real)

    def quick(self) -> SampleScorer:
        """Return a scorer without the metrics that are too costly to follow a training with."""
        scorer = copy(self)
        scorer.metrics = {n: metric for n, metric in self.metrics.items() if not metric.costly}
        return scorer

    def distances(self) -> SampleScorer:
        """Return a scorer of the quick metrics that compare samples with real images."""
        scorer = self.quick()
        scorer.metrics = {n: metric for n, metric in scorer.metrics.items() if metric.comparative}
        return scorer

    def score(self, sets: Sequence[Images], on_batch: Callable[[], None] = ignore) -> Metrics:
        """Return every metric of uint8 image sets: the mean over sets, the spread as its error."""
        scored = [self._score_one(images, on_batch) for images in sets]
        alike = equal_sets(sets)
        return {
            name: mean_over_sets([metrics[name] for metrics in scored], alike) for name in scored[0]
        }

    def suspects(self, images: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Return the uint8 images (count, C, H, W) that look most like copies, suspicious first.

        Returns:
            Those images, and for each the index of the nearest training image, (count,).
        """
        batches = extract(self.extractor, images, device=self.device)
        vectors = torch.cat([features.vectors for features in batches])
        found, ratio = nearest_training_images(vectors, self.references[HEADLINE])
        order = ratio.argsort(stable=True)[:count].cpu()
        return images[order], found.which.cpu()[order]

    def _score_one(self, images: Images, on_batch: Callable[[], None]) -> Metrics:
        measured: Metrics = {}
        running: list[tuple[_Group, SampleMetric]] = []
        for group in self._groups():
            with guarded(group.columns, measured):
                reason = group.metric.supports(self.extractor.classes)
                if reason is None:
                    metric = group.metric(self.references[group.split])
                    running.append((group, metric.to(self.device)))
                else:
                    measured |= missing(group.columns, reason)

        def unharmed() -> Iterator[tuple[_Group, SampleMetric]]:
            return (one for one in running if measured.keys().isdisjoint(one[0].columns))

        with guarded([name for group, _ in running for name in group.columns], measured):
            for features in extract(self.extractor, images, device=self.device):
                for group, metric in unharmed():
                    with guarded(group.columns, measured):
                        metric.update(features)
                on_batch()
        for group, metric in unharmed():
            with guarded(group.columns, measured):
                measured |= self._figures(group, metric, len(images))
            on_batch()
        return measured

    def _groups(self) -> Iterator[_Group]:
        """Yield what is computed: against test only where a metric compares."""
        names: dict[type[SampleMetric], list[str]] = {}
        for name, metric in self.metrics.items():
            names.setdefault(metric, []).append(name)
        for metric, own in names.items():
            yield _Group(metric, HEADLINE, {name: name for name in own})
        for metric, own in names.items():
            if metric.comparative and HELD_OUT in self.references:
                yield _Group(metric, HELD_OUT, {f"{name}_{HELD_OUT}": name for name in own})

    def _figures(self, group: _Group, metric: SampleMetric, n: int) -> Metrics:
        protocol = f"{type(self.extractor).__name__} {self.extractor.digest[:12]}, {n} samples"
        if metric.comparative:
            protocol += f" against {self.references[group.split].described}"
        outcome = metric.compute()
        protocol += f", {metric.protocol}" if metric.protocol else ""
        return {
            name: measured_value(
                outcome[column] if isinstance(outcome, dict) else outcome,
                protocol,
                metric.limits.get(column, UNLIMITED),
            )
            for name, column in group.columns.items()
        }


def measured_value(
    found: Tensor | Figure | str, protocol: str, limits: tuple[float, float]
) -> Measurement:
    """Return what a metric found; infinity and NaN have no mean over sets, and are no figure."""
    if isinstance(found, str):
        return Measurement(value=None, reason=found)
    figure = found if isinstance(found, Figure) else Figure(found)
    value = real_number(figure.value)
    if not math.isfinite(value):
        return Measurement(value=None, reason=f"it came out {value}")
    if impossible := outside(value, limits):
        return Measurement(value=None, reason=impossible)
    error = None if figure.error is None else real_number(figure.error)
    reasons = [figure.warning]
    if error is not None and not 0 <= error < math.inf:
        reasons.append(f"its standard error came out {error}")
        error = None
    reason = "; ".join(filter(None, reasons)) or None
    return Measurement(value=value, error=error, protocol=protocol, reason=reason)


def missing(names: Collection[str], reason: str) -> Metrics:
    """Return why each of ``names`` has no value."""
    return {name: Measurement(value=None, reason=reason) for name in names}


def mean_over_sets(measurements: Sequence[Measurement], alike: str | None = None) -> Measurement:
    """Return the mean over sets of samples, or why one of them has no value.

    Args:
        measurements: of each set.
        alike: why their spread tells of no uncertainty, or None if it does.
    """
    missing = next((m for m in measurements if m.value is None), None)
    if missing is not None or len(measurements) == 1:
        return missing or measurements[0]
    values = [m.value for m in measurements if m.value is not None]
    sets = f"mean and standard deviation of {len(values)} sets"
    warning = next((m.reason for m in measurements if m.reason), None)
    return Measurement(
        value=float(np.mean(values)),
        error=None if alike else float(np.std(values, ddof=1)),
        protocol=f"{measurements[0].protocol}, {sets}",
        reason="; ".join(filter(None, (warning, alike))) or None,
        sets=tuple(values),
    )


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
    # Rows of one model share a line of the leaderboard if they share the kind, also without value.
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
        return Measurement(value=None, kind=kind, reason=_reason(("bits_per_dim",), fault))
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
    """Return in words what a likelihood is of."""
    plural = "" if images == 1 else "s"
    return f"{images} image{plural} of {HELD_OUT}, D = {spec.dimensions}, {spec.levels} levels"


def likelihood_details(spec: DataSpec, images: int | None = None) -> dict[str, int | float]:
    """Return in numbers what a likelihood is of; one in closed form is of no certain images."""
    details: dict[str, int | float] = {} if images is None else {"images": images}
    return details | {"dimensions": spec.dimensions, "levels": spec.levels}


def measure_speed(
    sampler: Sampler,
    batch_sizes: Sequence[int],
    seconds: float,
    on_batch: Callable[[], None] = ignore,
) -> Metrics:
    """Time sampling: images/s at the largest batch, latency of one image; count its cost."""
    measured: Metrics = {}
    largest = max(batch_sizes)
    speeds: dict[int, Speed] = {}
    for size in sorted({1, *batch_sizes}):
        stands_for = [n for n, of in (("latency", 1), ("images_per_second", largest)) if of == size]
        with guarded(stands_for, measured):
            [speed] = sampling_speed(
                lambda n: sampler.draw_batch(n, sampler.conditions(n)),
                [size],
                sampler.device,
                seconds=seconds,
            )
            if not speed.seconds > 0:
                raise ValueError("the clock stood still during a call")
            speeds[size] = speed
        on_batch()
    if fast := speeds.get(largest):
        measured["images_per_second"] = Measurement(
            value=fast.images_per_second,
            error=fast.spread,
            protocol=f"median of {fast.repetitions} batches of {largest}, warm, {_on(sampler)}",
            details={
                f"batch_{size}": speed.images_per_second
                for size, speed in speeds.items()
                if size != largest
            },
        )
    if one := speeds.get(1):
        measured["latency"] = Measurement(
            value=one.seconds,
            protocol=f"median seconds of {one.repetitions} batches of 1, {_on(sampler)}",
            details={"p95": one.p95},
        )
    with guarded(("nfe", "flops_per_image"), measured):
        cost = sampler.cost()
        measured["nfe"] = Measurement(
            value=cost.evaluations, protocol="calls of the network a batch"
        )
        without = ", ".join(f"{name} ({calls} a batch)" for name, calls in cost.uncounted.items())
        measured["flops_per_image"] = Measurement(
            value=cost.flops,
            kind="at_least" if cost.uncounted else None,
            protocol="counted by dispatch" + (f"; without a formula: {without}" if without else ""),
        )
    return measured


def _on(sampler: Sampler) -> str:
    """Return what decides how fast a machine samples, in words."""
    if sampler.device.type == "cpu":
        return f"{torch.get_num_threads()} threads"
    return sampler.device.type

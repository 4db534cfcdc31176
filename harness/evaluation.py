"""Measuring a model: each figure with its protocol and uncertainty, or why it is missing."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from harness.contract import GenerativeModel, HasLikelihood
from harness.dataset import Dataset, Split
from harness.features.base import FeatureExtractor
from harness.features.reference import extract, reference_moments
from harness.metrics.base import NonFiniteFeatures, Reference, SampleMetric
from harness.metrics.likelihood import BitsPerDimension
from harness.metrics.speed import sampling_speed
from harness.row import Measurement
from harness.sampling import Sampler
from harness.seeding import LIKELIHOOD, reseed

Metrics = dict[str, Measurement]
HEADLINE, HELD_OUT = "train", "test"
FEATURE_BATCH = 500


def ignore() -> None:
    """Do nothing at a heartbeat."""


class SampleScorer:
    """Scores sets of samples in the features of one extractor, against train and against test.

    Args:
        dataset: the real data.
        extractor: the ruler.
        metrics: classes by name; those without a value in these features report the reason.
        device: where features are computed.
    """

    def __init__(
        self,
        dataset: Dataset,
        extractor: FeatureExtractor,
        metrics: Mapping[str, type[SampleMetric]],
        device: torch.device,
    ) -> None:
        self.extractor = extractor
        self.device = device
        self.metrics = dict(metrics)
        self.references = {
            split: Reference(split, reference_moments(dataset, split, extractor, device))
            for split in (HEADLINE, HELD_OUT)
        }

    def score(self, sets: Sequence[Tensor], on_batch: Callable[[], None] = ignore) -> Metrics:
        """Return every metric of uint8 image sets: the mean over sets, the spread as its error."""
        values: dict[str, list[float]] = {}
        measured: Metrics = {}
        for images in sets:
            for name, outcome in self._score_one(images, on_batch).items():
                if isinstance(outcome, str):
                    measured[name] = Measurement(value=None, reason=outcome)
                else:
                    values.setdefault(name, []).append(outcome)
        for name, found in values.items():
            if name not in measured:
                measured[name] = self._summarise(name, found, len(sets[0]))
        return measured

    def _score_one(self, images: Tensor, on_batch: Callable[[], None]) -> dict[str, float | str]:
        outcomes: dict[str, float | str] = {}
        running: dict[str, SampleMetric] = {}
        for name, split, metric in self._columns():
            reason = metric.supports(self.extractor.classes)
            if reason is None:
                running[name] = metric(self.references[split]).to(self.device)
            else:
                outcomes[name] = reason
        try:
            for features in extract(self.extractor, images, FEATURE_BATCH, self.device):
                for instance in running.values():
                    instance.update(features)
                on_batch()
        except NonFiniteFeatures as error:
            return outcomes | dict.fromkeys(running, str(error))
        for name, instance in running.items():
            try:
                outcomes[name] = float(instance.compute())
            except ValueError as error:
                outcomes[name] = str(error)
        return outcomes

    def _columns(self) -> list[tuple[str, str, type[SampleMetric]]]:
        """Name, reference split and class: against test only where the metric compares."""
        columns = [(name, HEADLINE, metric) for name, metric in self.metrics.items()]
        return columns + [
            (f"{name}_{HELD_OUT}", HELD_OUT, metric)
            for name, metric in self.metrics.items()
            if metric.comparative
        ]

    def _summarise(self, name: str, values: list[float], n: int) -> Measurement:
        split = HELD_OUT if name.endswith(f"_{HELD_OUT}") else HEADLINE
        protocol = f"{type(self.extractor).__name__} {self.extractor.digest[:12]}, {n} samples"
        if name.removesuffix(f"_{HELD_OUT}") in self.metrics:
            metric = self.metrics[name.removesuffix(f"_{HELD_OUT}")]
            if metric.comparative:
                protocol += f" against {self.references[split].moments.n} of {split}"
        sets = len(values)
        if sets > 1:
            protocol += f", mean and standard deviation of {sets} sets"
        spread = float(np.std(values, ddof=1)) if sets > 1 else None
        return Measurement(value=float(np.mean(values)), error=spread, protocol=protocol)


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
    device = next(model.parameters()).device
    chosen = torch.from_numpy(test.images[:images])
    metric = BitsPerDimension(model.spec.dimensions)
    detail = ""
    model.eval()
    with torch.no_grad():
        for index, batch in enumerate(torch.split(chosen, batch_size)):
            reseed(device, seed, LIKELIHOOD, index)
            likelihood = model.log_likelihood(batch.to(device))
            metric.update(likelihood.nats.double().cpu(), likelihood.kind)
            kind, detail = likelihood.kind, likelihood.detail
            on_batch()
    model.train()
    value = float(metric.compute())
    protocol = f"{len(chosen)} images of {HELD_OUT}, {model.spec.levels} levels"
    protocol += f"; {detail}" if detail else ""
    if not math.isfinite(value):
        return Measurement(value=None, kind=kind, protocol=protocol, reason=f"it came out {value}")
    error = float(metric.standard_error)
    return Measurement(value=value, error=error, kind=kind, protocol=protocol)


def measure_speed(
    sampler: Sampler,
    batch_sizes: Sequence[int],
    seconds: float,
    on_batch: Callable[[], None] = ignore,
) -> Metrics:
    """Time sampling: images/s at the largest batch, latency at the smallest; count its cost."""
    measured: Metrics = {}
    speeds = []
    for size in sorted(batch_sizes):
        speeds += sampling_speed(
            lambda n: sampler.draw_batch(n, sampler.labels(n)),
            [size],
            sampler.device,
            seconds=seconds,
        )
        on_batch()
    fast, first = speeds[-1], speeds[0]
    threads = f"{fast.threads} threads" if sampler.device.type == "cpu" else sampler.device.type
    measured["images_per_second"] = Measurement(
        value=fast.images_per_second,
        error=fast.spread,
        protocol=f"median of {fast.repetitions} batches of {fast.batch_size}, warm, {threads}",
    )
    measured["latency"] = Measurement(
        value=first.seconds,
        protocol=f"median seconds of {first.repetitions} batches of {first.batch_size}, {threads}",
    )
    cost = sampler.cost()
    measured["nfe"] = Measurement(value=cost.evaluations, protocol="calls of the network a batch")
    measured["flops_per_image"] = Measurement(value=cost.flops, protocol="counted by dispatch")
    return measured

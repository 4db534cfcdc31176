"""Scoring samples beside what they were asked for: conditions and truth of held-out data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from harness.dataset import Dataset
from harness.features.base import FeatureExtractor, Features
from harness.hooks import MetricInfo
from harness.measurement.extraction import extract
from harness.measurement.figures import (
    Metrics,
    guarded,
    ignore,
    mean_over_sets,
    measured_value,
    missing,
)
from harness.measurement.references import HELD_OUT
from harness.metrics.base import TaskBatch, TaskMetric


class TaskScorer:
    """Scores sets of samples of which number i was drawn from condition i of the test split.

    Args:
        dataset: whose held-out conditions and truth are compared with.
        extractor: of features, for metrics that use them.
        metrics: classes by name, with what their infos say that they need.
        device: where they are computed.
    """

    def __init__(
        self,
        dataset: Dataset,
        extractor: FeatureExtractor,
        metrics: Mapping[str, tuple[type[TaskMetric], MetricInfo]],
        device: torch.device,
    ) -> None:
        self.dataset = dataset
        self.extractor = extractor
        self.metrics = dict(metrics)
        self.device = device

    def score(
        self,
        sets: Sequence[Tensor],
        asked: Tensor | None = None,
        on_batch: Callable[[], None] = ignore,
    ) -> Metrics:
        """Return every metric: the mean over sets of samples, the spread as its error.

        Args:
            sets: uint8 (N, *x.shape) each, drawn from the conditions of the test split.
            asked: numbers of those conditions (N,); 0 to N - 1 by default.
            on_batch: called after each batch.
        """
        measured: Metrics = {}
        for name, (metric, info) in self.metrics.items():
            reason = self.missing(info) or metric.supports(
                self.dataset.spec, self.extractor.classes
            )
            if reason:
                measured |= missing((name,), reason)
        able = {n: metric for n, (metric, _) in self.metrics.items() if n not in measured}
        scored = [self._score_one(samples, asked, able, on_batch) for samples in sets]
        return measured | {name: mean_over_sets([one[name] for one in scored]) for name in able}

    def unasked(self) -> Metrics:
        """Return why there is no metric of a model that takes no condition."""
        measured: Metrics = {}
        for name, (_, info) in self.metrics.items():
            reason = self.missing(info) or f"the model takes no {self._condition}"
            measured |= missing((name,), reason)
        return measured

    def missing(self, info: MetricInfo) -> str | None:
        """Return what the data lacks of all that a metric needs, or None."""
        y = self.dataset.spec.y
        if y is None or y.kind not in info.conditions:
            return f"the data has no {' or '.join(info.conditions)} to sample from"
        if info.truth and info.truth not in self.dataset.test.truth:
            return f"the data set does not tell the {info.truth}"
        return None

    @property
    def _condition(self) -> str:
        y = self.dataset.spec.y
        return "condition" if y is None else y.kind

    def _score_one(
        self,
        samples: Tensor,
        asked: Tensor | None,
        metrics: Mapping[str, type[TaskMetric]],
        on_batch: Callable[[], None],
    ) -> Metrics:
        measured: Metrics = {}
        built: dict[str, TaskMetric] = {}
        for name, metric in metrics.items():
            with guarded((name,), measured):
                built[name] = metric(self.dataset.spec).to(self.device)
        with_features = any(metric.uses_features for metric in built.values())
        with guarded(tuple(built), measured):
            for batch in self._batches(samples, asked, with_features):
                for name, running in built.items():
                    if name not in measured:
                        with guarded((name,), measured):
                            running.update(batch)
                on_batch()
        for name, running in built.items():
            if name not in measured:
                with guarded((name,), measured):
                    measured[name] = measured_value(
                        running.compute(), self._protocol(running, len(samples)), running.limits
                    )
        return measured

    def _batches(
        self, samples: Tensor, asked: Tensor | None, with_features: bool
    ) -> Iterator[TaskBatch]:
        test, spec, size = self.dataset.test, self.dataset.spec, self.extractor.batch_size
        assert test.y is not None
        numbers = torch.arange(len(samples)) % len(test.y) if asked is None else asked
        features: Iterator[Features | None] = (
            extract(self.extractor, samples, device=self.device)
            if with_features
            else iter([None] * -(-len(samples) // size))
        )
        for start, found in zip(range(0, len(samples), size), features, strict=True):
            rows = numbers[start : start + size].numpy()
            yield TaskBatch(
                x=samples[start : start + size].to(self.device),
                y=torch.from_numpy(test.y[rows]).to(self.device),
                pair=torch.from_numpy(test.x[rows]).to(self.device) if spec.paired else None,
                truth={
                    name: torch.from_numpy(values[rows]).to(self.device)
                    for name, values in test.truth.items()
                },
                features=found,
            )

    def _protocol(self, metric: TaskMetric, n: int) -> str:
        protocol = f"{n} samples, each from the {self._condition} of an example of {HELD_OUT}"
        if metric.uses_features:
            protocol += f"; {type(self.extractor).__name__} {self.extractor.digest[:12]}"
        return protocol + (f"; {metric.protocol}" if metric.protocol else "")

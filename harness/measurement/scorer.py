"""Scores of samples: every metric in the features of one extractor, against train and test."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from typing import NamedTuple

import torch
from torch import Tensor

from harness.dataset import Dataset
from harness.features.base import FeatureExtractor
from harness.measurement.extraction import Images, extract
from harness.measurement.figures import (
    Metrics,
    guarded,
    ignore,
    mean_over_sets,
    measured_value,
    missing,
)
from harness.measurement.plausibility import (
    UNLIMITED,
    equal_sets,
)
from harness.measurement.references import HEADLINE, HELD_OUT, dataset_references
from harness.metrics.base import Reference, SampleMetric
from harness.metrics.neighbours import nearest_training_images


class _Group(NamedTuple):
    """Columns that one metric computes together, against one split: its own names by the row's."""

    metric: type[SampleMetric]
    split: str
    columns: dict[str, str]


class SampleScorer:
    """Scores sets of samples in the features of one extractor, against the train and test split.

    Args:
        real: the data set, or the references themselves, "train" and perhaps "test"; without the
            latter, nothing is scored against test.
        extractor: of the features.
        metrics: classes by name; those without a value in these features report the reason. A class
            under several names is computed once, with one column per name.
        device: on which features are computed.
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
        """Return a scorer without the metrics that are too costly during training."""
        scorer = copy(self)
        scorer.metrics = {n: metric for n, metric in self.metrics.items() if not metric.costly}
        return scorer

    def distances(self) -> SampleScorer:
        """Return a scorer of the cheap metrics that compare samples with real images."""
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

    def likely_copies(self, images: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Return the uint8 images (count, C, H, W) most likely to be copies, in that order.

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

        def remaining() -> Iterator[tuple[_Group, SampleMetric]]:
            return (one for one in running if measured.keys().isdisjoint(one[0].columns))

        with guarded([name for group, _ in running for name in group.columns], measured):
            for features in extract(self.extractor, images, device=self.device):
                for group, metric in remaining():
                    with guarded(group.columns, measured):
                        metric.update(features)
                on_batch()
        for group, metric in remaining():
            with guarded(group.columns, measured):
                measured |= self._figures(group, metric, len(images))
            on_batch()
        return measured

    def _groups(self) -> Iterator[_Group]:
        """Yield what is computed: against test only for comparative metrics."""
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
            protocol += f" against {self.references[group.split].description}"
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

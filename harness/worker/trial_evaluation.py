"""Evaluation of a trial: scores of its samples, during training and at its end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor

from harness.dataset import Dataset
from harness.machine.heartbeat import Heartbeat
from harness.measurement.baselines import measure_anchors, measure_null, measure_real
from harness.measurement.figures import Metrics
from harness.measurement.likelihood import measure_likelihood
from harness.measurement.references import HELD_OUT
from harness.measurement.sampling import Sampler
from harness.measurement.scorer import SampleScorer
from harness.measurement.tasks import TaskScorer
from harness.measurement.timing import measure_speed
from harness.planning.trial import REAL, Trial
from harness.plugins.loading import further_seeds, load_extractor, load_metric
from harness.plugins.registry import Registry
from harness.results import CURVE_COLUMNS
from harness.training.ledger import Ledger
from harness.training.loop import Training


class TrialEvaluation:
    """Measures the samples of one trial, during training and at its end.

    Args:
        trial: to be measured.
        dataset: of the trial.
        registry: of features and metrics.
        device: on which features are computed.
        ledger: records seconds by part of the evaluation.
        heartbeat: reports to the driver that the trial is alive.
        plugin_code: context manager around the model's code.
        curve: receives points, one for each fraction of the budget and kind of weights.

    Attributes:
        scorer: of all metrics.

    Raises:
        ValueError: the features differ from the planned ones.
    """

    def __init__(
        self,
        trial: Trial,
        dataset: Dataset,
        registry: Registry,
        device: torch.device,
        *,
        ledger: Ledger,
        heartbeat: Heartbeat,
        plugin_code: Callable[[], AbstractContextManager[None]],
        curve: list[dict[str, Any]],
    ) -> None:
        self.trial = trial
        self.dataset = dataset
        self._registry = registry
        self._ledger = ledger
        self._beat = heartbeat.beat
        self._plugin_code = plugin_code
        self._curve = curve
        features = trial.features["name"]
        extractor = load_extractor(registry, features, dataset)
        if extractor.digest != trial.features["digest"]:
            raise ValueError(f"features {features} differ from the planned ones")
        names = trial.evaluation.metrics or ()
        infos = {name: registry.metric(name).info for name in names}
        loaded = {name: load_metric(registry, name) for name in names}
        metrics = {name: found for name, found in loaded.items() if not infos[name].conditions}
        tasks = {name: (loaded[name], infos[name]) for name in names if name not in metrics}
        self.scorer = SampleScorer(dataset, extractor, metrics, device)
        self.tasks = TaskScorer(dataset, extractor, tasks, device)
        self._quick_scorer = self.scorer.quick()
        self._further_scorers: list[SampleScorer] = []
        if trial.evaluation.robustness:
            self._further_scorers = [
                SampleScorer(dataset, other, metrics, device).distances()
                for other in further_seeds(registry, features, dataset).values()
            ]

    def on_the_way(self, training: Training, sampler: Sampler, fraction: float) -> None:
        """Add points to the curve, when training has used a fraction of the budget."""
        with training.average.applied():
            self._add_to_curve(fraction, "averaged", self._quick_scores(sampler))
        if self.trial.evaluation.raw_weights:
            self._add_to_curve(fraction, "raw", self._quick_scores(sampler))

    def of_averaged_weights(self, sampler: Sampler) -> tuple[Metrics, list[Tensor]]:
        """Return the headline figures of the current model, and the sets of samples."""
        evaluation = self.trial.evaluation
        sets = [self._draw(sampler, index) for index in range(evaluation.sample_sets)]
        with self._ledger.part("scoring"):
            metrics = self.scorer.score(sets, self._beat)
            self._add_to_curve(1.0, "averaged", metrics)
            metrics |= self._further_scores(sets)
            metrics |= self._task_scores(sampler, sets)
        with self._ledger.part("likelihood"):
            metrics["bits_per_dim"] = measure_likelihood(
                sampler.model,
                self.dataset.test,
                images=evaluation.likelihood_images,
                batch_size=evaluation.batch_size,
                seed=self.trial.seed,
                on_batch=self._beat,
            )
        with self._ledger.part("speed"):
            sizes, seconds = evaluation.speed_batch_sizes, evaluation.speed_seconds
            metrics |= measure_speed(sampler, sizes, seconds, self._beat)
        return metrics, sets

    def of_raw_weights(self, sampler: Sampler) -> Metrics:
        """Return the cheap figures of the raw weights, named fid_raw and so on."""
        raw = self._quick_scores(sampler)
        self._add_to_curve(1.0, "raw", raw)
        return {f"{name}_raw": measurement for name, measurement in raw.items()}

    def of_reference(self) -> tuple[Metrics, Tensor]:
        """Return the figures of real images or of noise, and these images."""
        n = self.trial.evaluation.samples or 0
        if self.trial.model == REAL:
            with self._ledger.part("scoring"):
                metrics, samples = measure_real(self.dataset, self.scorer, self.tasks, n)
        else:
            entries = self._registry.metrics.items()
            lower = {name: entry.info.lower_is_better for name, entry in entries}
            with self._ledger.part("scoring"):
                metrics, samples = measure_null(self.dataset, self.scorer, self.tasks, n, lower)
            with self._ledger.part("likelihood"):
                metrics |= measure_anchors(self.dataset, self.trial.evaluation.likelihood_images)
        with self._ledger.part("scoring"):
            metrics |= self._further_scores([samples])
        return metrics, samples

    def _quick_scores(self, sampler: Sampler) -> Metrics:
        samples = self._draw(sampler, 0)
        with self._ledger.part("scoring"):
            return self._quick_scorer.score([samples], self._beat)

    def _draw(self, sampler: Sampler, index: int) -> Tensor:
        """Draw a set of samples for the metrics."""
        with self._ledger.part("sampling"), self._plugin_code():
            return sampler.draw(self.trial.evaluation.samples or 0, index, self._beat)

    def _task_scores(self, sampler: Sampler, sets: Sequence[Tensor]) -> Metrics:
        """Measure how well samples answer their conditions, where the model takes them."""
        if not sampler.model.is_conditional(self.dataset.spec):
            return self.tasks.unasked()
        return self.tasks.score(sets, on_batch=self._beat)

    def _further_scores(self, sets: Sequence[Tensor]) -> Metrics:
        """Measure distances in the features of further training seeds: fid_seed2, fid_seed3."""
        return {
            f"{name}_seed{number}": measurement
            for number, scorer in enumerate(self._further_scorers, start=2)
            for name, measurement in scorer.score(sets, self._beat).items()
            if not name.endswith(f"_{HELD_OUT}")
        }

    def _add_to_curve(self, fraction: float, weights: str, metrics: Mapping[str, Any]) -> None:
        trial, ledger = self.trial, self._ledger
        where = (trial.id, trial.label, trial.model, trial.seed, weights, fraction)
        used = (ledger.seconds, ledger.flops, ledger.images, ledger.steps)
        point = dict(zip(CURVE_COLUMNS, (*where, *used), strict=True))
        self._curve.append(point | {name: m.value for name, m in metrics.items()})

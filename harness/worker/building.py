"""The model of a trial, what feeds it and what draws from it, built from its description."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import torch

from harness.contract import GenerativeModel
from harness.dataset import Dataset
from harness.machine.seeding import BUILD, reseed
from harness.measurement.sampling import Sampler
from harness.planning.trial import Trial
from harness.plugins.contract_validation import validate_model
from harness.plugins.loading import load_config, load_model
from harness.plugins.registry import Registry
from harness.training.batches import BatchStream
from harness.training.parallel.replicas import SingleProcess


class Builder:
    """Builds what a trial trains; the same every time that it is asked.

    Args:
        trial: what is built for.
        dataset: of the trial.
        registry: where its model is.
        device: where the model goes.
        plugin_code: surrounds what the model's plugin computes.
    """

    def __init__(
        self,
        trial: Trial,
        dataset: Dataset,
        registry: Registry,
        device: torch.device,
        plugin_code: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self.trial = trial
        self._dataset = dataset
        self._registry = registry
        self._device = device
        self._plugin_code = plugin_code

    def model(self, replicas: SingleProcess) -> GenerativeModel:
        """Build the model in training mode, for the processes that are to train it."""
        entry = self._registry.model(self.trial.model)
        with self._plugin_code():
            model_class = load_model(self._registry, self.trial.model)
        config = load_config(entry, model_class, self.trial.config, self.trial.label)
        reseed(self._device, self.trial.seed, BUILD)
        with self._plugin_code(), self._device:
            model: GenerativeModel = model_class(self._dataset.spec, config)
        validate_model(model, self._dataset.spec, config)
        model.to(self._device).train()
        if self.trial.compile:
            model.network.compile()
        replicas.prepare(model)
        return model

    def stream(self, model: GenerativeModel) -> BatchStream:
        """Return the batches that the model is trained with."""
        return BatchStream(
            self._dataset.train,
            model.config.batch_size,
            self.trial.seed,
            self._device,
            paired=self._dataset.spec.paired,
        )

    def sampler(self, model: GenerativeModel) -> Sampler:
        """Return what draws from the model in its evaluation."""
        y = self._dataset.test.y
        return Sampler(
            model,
            seed=self.trial.seed,
            batch_size=self.trial.evaluation.batch_size,
            precision=self.trial.precision,
            conditions=None if y is None else torch.from_numpy(y),
        )

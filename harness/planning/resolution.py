"""A benchmark resolved into its trials: data loaded, settings checked, no default left open."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from harness.dataset import Dataset
from harness.errors import UserError, error_prefix
from harness.planning.benchmark import Benchmark, Entry, Evaluation, Needs
from harness.planning.plugin_identity import DISTRIBUTION, identify_measurement, identify_model
from harness.planning.trial import REFERENCES, Trial
from harness.plugins.loading import (
    further_seeds,
    load_config,
    load_dataset,
    load_extractor,
    load_metric,
    load_model,
    reason_of,
    why_not,
)
from harness.plugins.registry import Registry

LEAST = 2
"""Minimum images of a split for any metric: a covariance needs two."""


def resolve(benchmark: Benchmark, registry: Registry) -> list[Trial]:
    """Resolve a benchmark into its trials: for each data set real, the models by seed, null.

    Raises:
        UserError: something that the benchmark names does not exist or is not valid here.
    """
    for index, entry in enumerate(benchmark.models):
        if entry.model in REFERENCES:
            raise UserError(
                f"models.{index}: {entry.model!r} is a reference row; write 'references = true'"
            )
        if entry.title in REFERENCES:
            raise UserError(
                f"models.{index}.label: {entry.title!r} is a reference row; choose another label"
            )
    loaded = []
    for index, name in enumerate(benchmark.datasets):
        with error_prefix(f"datasets.{index}"):
            loaded.append(load_dataset(registry, name))
    return [trial for data in loaded for trial in _trials_on(data, benchmark, registry)]


def _trials_on(dataset: Dataset, benchmark: Benchmark, registry: Registry) -> list[Trial]:
    evaluation = _resolve_evaluation(benchmark.evaluation, dataset, registry)
    with error_prefix("evaluation.features"):
        features, fault = _features(benchmark.evaluation, dataset, registry)
    shared: dict[str, Any] = {
        "benchmark": benchmark.name,
        "dataset": dataset.name,
        "data_kind": dataset.spec.x.kind,
        "fingerprint": dataset.fingerprint,
        "precision": benchmark.precision,
        "compile": benchmark.compile,
        "averaging": benchmark.averaging.amount,
        "evaluation": evaluation,
        "features": features,
        "fault": fault,
        "plugin": {"distribution": DISTRIBUTION}
        | identify_measurement(features["name"], evaluation.metrics or (), registry),
        "checkpoint_seconds": benchmark.checkpoint_seconds,
        "patience_seconds": benchmark.patience_seconds,
    }
    trials = [
        trial
        for index, entry in enumerate(benchmark.models)
        for trial in _trials_of(entry, index, benchmark, dataset, registry, shared)
    ]
    if not benchmark.references:
        return trials
    real, null = (
        Trial(
            **shared,
            model=name,
            label=name,
            type=kind,
            config={},
            seed=0,
            budget="",
        )
        for name, kind in REFERENCES.items()
    )
    return [real, *trials, null]


def _features(
    evaluation: Evaluation, dataset: Dataset, registry: Registry
) -> tuple[dict[str, str], str | None]:
    """Return the names and digests of the extractors, and the error of their plugin, if any."""
    name = evaluation.features
    if name == "auto":
        name = registry.dataset(dataset.name).info.features
    try:
        extractor = load_extractor(registry, name, dataset)
        further = further_seeds(registry, name, dataset) if evaluation.robustness else {}
    except UserError:
        raise
    except Exception as error:
        return {"name": name, "digest": ""}, reason_of(error, f"features {name!r}")
    features = {"name": name, "digest": extractor.digest}
    if further:
        features["further"] = ", ".join(f"{n} {e.digest[:12]}" for n, e in further.items())
    return features, None


def _trials_of(
    entry: Entry,
    index: int,
    benchmark: Benchmark,
    dataset: Dataset,
    registry: Registry,
    shared: Mapping[str, Any],
) -> list[Trial]:
    """Return the trials of an entry, which is resolved once for all seeds."""
    with error_prefix(f"models.{index}"):
        plugin = registry.model(entry.model)
        model_class = load_model(registry, entry.model)
    where = f"models.{index}.settings ({entry.title})"
    config = load_config(plugin, model_class, entry.settings, where)
    unsupported, fault = None, shared["fault"]
    try:
        unsupported = why_not(model_class, dataset.spec)
    except Exception as error:
        fault = fault or reason_of(error, f"{entry.model}.supports")
    available = len(dataset.train)
    if config.batch_size > available and not (unsupported or fault):
        raise UserError(
            f"{where}.batch_size: {config.batch_size} is more than the {available} training "
            f"images of {dataset.name}; write at most {available}"
        )
    first = Trial(
        **{**shared, "fault": fault, "plugin": shared["plugin"] | identify_model(plugin)},
        model=entry.model,
        label=entry.title,
        type=plugin.info.type,
        config=dataclasses.asdict(config),
        seed=benchmark.seeds[0],
        budget=str(benchmark.budget),
        needs=_needs(entry, config.batch_size, benchmark, where),
        unsupported=unsupported,
    )
    return [first.model_copy(update={"seed": seed}) for seed in benchmark.seeds]


def _needs(entry: Entry, batch_size: int, benchmark: Benchmark, where: str) -> Needs:
    """Return the resources for a trial of an entry.

    Raises:
        UserError: its batches do not divide evenly by its devices.
    """
    devices = entry.devices or benchmark.devices_per_trial
    if devices > 1 and (batch_size % devices or batch_size < 2 * devices):
        raise UserError(
            f"{where}.batch_size: {batch_size} images do not divide by {devices} devices into "
            f"equal parts of at least two; write a multiple of {devices} from {2 * devices} on, "
            "or another devices_per_trial"
        )
    return Needs(devices, int(entry.memory or 0))


def _resolve_evaluation(evaluation: Evaluation, data: Dataset, registry: Registry) -> Evaluation:
    for split in ("train", "test"):
        if (images := len(data.splits[split])) < LEAST:
            raise UserError(
                f"data set {data.name!r}: the {split} split has {images} "
                f"image{'s' if images > 1 else ''}, metrics need {LEAST}"
            )
    available = len(data.test)
    samples = evaluation.samples or available
    if samples > available:
        raise UserError(
            f"evaluation.samples: {samples} is more than the {available} test images of "
            f"{data.name}, and nothing is compared at unequal N"
        )
    if evaluation.likelihood_images and evaluation.likelihood_images > available:
        raise UserError(
            f"evaluation.likelihood_images: {evaluation.likelihood_images} is more than the "
            f"{available} test images of {data.name}"
        )
    metrics = evaluation.metrics or tuple(registry.metrics)
    # Equal batches: sets are drawn in complete ones, and the excess of the last is wasted.
    batches = math.ceil(samples / evaluation.batch_size)
    with error_prefix("evaluation.metrics"):
        for name in metrics:
            # Those of this distribution are valid, and take seconds to import.
            if registry.metric(name).distribution != DISTRIBUTION:
                load_metric(registry, name)
    return evaluation.model_copy(
        update={
            "samples": samples,
            "batch_size": math.ceil(samples / batches),
            "metrics": metrics,
            "likelihood_images": evaluation.likelihood_images or available,
        }
    )

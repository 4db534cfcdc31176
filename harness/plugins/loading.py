"""Loading objects of plugins: each is validated, and errors name the plugin."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from harness.contract import DataSpec, GenerativeModel
from harness.dataset import Dataset
from harness.errors import UserError
from harness.features.base import FeatureExtractor
from harness.files.disk import is_disk_full
from harness.hooks import FeatureInfo, Info, ModelInfo
from harness.machine.exceptions import explain
from harness.plugins.contract_validation import (
    ContractBroken,
    describe_value,
    validate_class,
    validate_subclass,
)
from harness.plugins.dataset_validation import validated_dataset
from harness.plugins.hyper_parameters import resolve_config, validate_config_class
from harness.plugins.registry import Registered, Registry, split_argument

log = logging.getLogger(__name__)


@contextmanager
def faults_of(kind: str, entry: Registered[Info]) -> Iterator[None]:
    """Convert errors of a plugin's code into a ``UserError`` that names the plugin.

    Lack of memory or disk space is not the plugin's fault, and is re-raised.
    """
    try:
        yield
    except (UserError, MemoryError):
        raise
    except ContractBroken as error:
        raise UserError(f"{kind} {_named(entry)}: {error}") from error
    except Exception as error:
        if is_disk_full(error):
            raise
        log.debug("%s %s", kind, entry.info.name, exc_info=error)
        raise UserError(f"{kind} {_named(entry)} raised {explain(error)}") from error


def reason_of(error: Exception, what: str) -> str:
    """Return why a trial cannot start: what a plugin's ``what`` raised or returned."""
    if isinstance(error, ContractBroken):
        return str(error)
    return f"{what} raised {explain(error)}"


def _named(entry: Registered[Info]) -> str:
    return f"{entry.info.name!r} of {entry.origin} ({entry.info.target})"


def argument_of(name: str, wanted: str) -> str:
    """Return the argument in the name of a data set that wants one; "" if it wants none.

    Raises:
        UserError: it is missing.
    """
    argument = split_argument(name)[1] if wanted else ""
    if wanted and not argument:
        raise UserError(f"data set {name!r} needs an argument: write '{name}:{wanted}'")
    return argument


def load_dataset(registry: Registry, name: str) -> Dataset:
    """Load the data set called ``name`` or ``name:argument``.

    Raises:
        UserError: there is none, or its plugin returns something else or raises.
    """
    entry = registry.dataset(name)
    argument = argument_of(name, entry.info.argument)
    load = registry.load(entry.info)
    with faults_of("data set", entry):
        if not callable(load):
            raise ContractBroken(f"it is {describe_value(load)}; expected a function")
        return validated_dataset(load(argument) if argument else load(), name)


def load_model(registry: Registry, name: str) -> type[GenerativeModel]:
    """Load the class of the model called ``name``.

    Raises:
        UserError: there is none, or it breaks the contract.
    """
    entry = registry.model(name)
    model_class: type[GenerativeModel] = registry.load(entry.info)
    with faults_of("model", entry):
        validate_class(model_class)
        validate_config_class(getattr(model_class, "Config", None))
    return model_class


def load_config(
    entry: Registered[ModelInfo], model_class: type[GenerativeModel], settings: Any, where: str
) -> Any:
    """Return the hyper-parameters of a model; see ``resolve_config``."""
    with faults_of("model", entry):
        return resolve_config(model_class.Config, settings, where)


def load_extractor(registry: Registry, name: str, dataset: Dataset) -> FeatureExtractor:
    """Build the feature extractor called ``name`` for the images of ``dataset``.

    Raises:
        UserError: there is none, or it does not support the images.
        ContractBroken: it is not an extractor.
        Exception: anything that its plugin raises.
    """
    entry = registry.feature(name)
    build = registry.load(entry.info)
    if isinstance(build, type) and issubclass(build, FeatureExtractor):
        if reason := why_not(build, dataset.spec):
            raise UserError(f"features {name!r} do not measure {dataset.name}: {reason}")
    elif isinstance(build, type) or not callable(build):
        raise _no_extractor(entry, build)
    extractor = build(dataset.spec)
    if not isinstance(extractor, FeatureExtractor):
        raise _no_extractor(entry, extractor)
    _validate_extractor(extractor, _named(entry))
    return extractor


def _no_extractor(entry: Registered[FeatureInfo], found: Any) -> ContractBroken:
    return ContractBroken(
        f"features {_named(entry)}: {describe_value(found)} is not an extractor; the contract "
        "asks for "
        "a subclass of harness.features.base.FeatureExtractor, or a function that returns one"
    )


def _validate_extractor(extractor: FeatureExtractor, named: str) -> None:
    for attribute, kind, least in (("digest", str, 1), ("dimensions", int, 1), ("classes", int, 0)):
        value: Any = getattr(extractor, attribute, None)
        size: Any = len(value) if isinstance(value, str) else value
        if type(value) is not kind or size < least:
            raise ContractBroken(
                f"features {named}: {attribute} is {value!r:.60}; the contract asks for "
                f"{'text' if kind is str else f'a whole number, {least} or more'}"
            )


def why_not(plugin_class: Any, spec: DataSpec) -> str | None:
    """Return what a class has against some data, or None if it can run on it.

    Raises:
        ContractBroken: it returned something else.
        Exception: anything that it raises.
    """
    reason = plugin_class.refuses(spec)
    if reason is None or (isinstance(reason, str) and reason):
        return reason
    raise ContractBroken(
        f"supports returned {reason!r:.60}; the contract asks for the reason why it cannot run on "
        "the data, as text, or None if it can"
    )


def further_seeds(registry: Registry, name: str, dataset: Dataset) -> dict[str, FeatureExtractor]:
    """Build the extractors that differ from the one called ``name`` only in their training seed.

    Raises:
        UserError: there are none.
    """
    names = registry.feature(name).info.seeds
    if not names:
        able = ", ".join(n for n, entry in registry.features.items() if entry.info.seeds)
        raise UserError(
            f"evaluation.robustness: the features {name!r} have only one training seed; those "
            f"with more: {able or 'none'}"
        )
    return {further: load_extractor(registry, further, dataset) for further in names}


def load_metric(registry: Registry, name: str) -> Any:
    """Load the class of the metric called ``name``: a ``TaskMetric`` if its info has conditions.

    Raises:
        UserError: there is none, or it is not a metric.
    """
    from harness.metrics.base import SampleMetric, TaskMetric  # imports torchmetrics: seconds

    entry = registry.metric(name)
    metric = registry.load(entry.info)
    with faults_of("metric", entry):
        validate_subclass(metric, TaskMetric if entry.info.conditions else SampleMetric)
    return metric

"""Resolves ``harness check NAME``: the kind of NAME, and the object to be checked."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from harness.checks.datasets import dataset_checks
from harness.checks.metrics import metric_checks
from harness.checks.outcome import BoundCheck
from harness.checks.reports import report_checks
from harness.checks.task_metrics import task_metric_checks
from harness.contract import GenerativeModel
from harness.errors import UserError, did_you_mean, quoted
from harness.hooks import Info, MetricInfo
from harness.metrics.base import SampleMetric, TaskMetric
from harness.plugins.kinds import Kind
from harness.plugins.loading import argument_of
from harness.plugins.registry import Registry, split_argument

BASES = {Kind.model: GenerativeModel, Kind.metric: SampleMetric}


def kind_of(name: str, registry: Registry) -> Kind:
    """Return the kind of ``name``: of an installed plugin, or of an import string.

    Raises:
        UserError: it has none, or several.
    """
    found = [kind for kind in Kind if _bare(name, kind) in getattr(registry, kind.plural)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UserError(
            f"{quoted(name)} is the name of a {' and of a '.join(found)}; choose with --kind"
        )
    if _is_import_string(name):
        return _kind_of_object(name, load(name, Kind.model, registry))
    everything = [each for kind in Kind for each in getattr(registry, kind.plural)]
    if hint := did_you_mean(name, everything):
        raise UserError(f"there is nothing to check called {quoted(name)}{hint}")
    registry.model(name)
    raise AssertionError("the registry has a model that it does not list")


def load(name: str, kind: Kind, registry: Registry) -> Any:
    """Import what is called ``name``; raises ``UserError`` if there is none."""
    return registry.load(info_of(name, kind, registry))


def info_of(name: str, kind: Kind, registry: Registry) -> Info:
    """Return the info of ``name``; of an import string one that a plugin might have written."""
    known = _bare(name, kind) in getattr(registry, kind.plural)
    if _is_import_string(name) and not known:
        own = name.rpartition(":")[2]
        return (MetricInfo if kind is Kind.metric else Info)(name=own, summary="", target=name)
    entry = getattr(registry, str(kind))(name)
    info: Info = entry.info
    return info


def checks_of(name: str, kind: Kind, registry: Registry) -> list[BoundCheck]:
    """Return the checks of a data set, a metric or a report.

    Raises:
        UserError: there is none of that name, or it is of another kind.
    """
    info = info_of(name, kind, registry)
    found = registry.load(info)
    if kind is Kind.metric:
        assert isinstance(info, MetricInfo)
        if isinstance(found, type) and issubclass(found, TaskMetric):
            return task_metric_checks(found, info)
        return metric_checks(require_subclass(name, found, Kind.metric), info)
    if not callable(found):
        raise UserError(f"{quoted(name)} is not a function that could be a {kind}: {quoted(found)}")
    if kind is Kind.report:
        return report_checks(found)
    return _checks_of_dataset(name, found, info)


def require_subclass(name: str, found: Any, kind: Kind) -> Any:
    """Return the class of a model or a metric; raises ``UserError`` if ``found`` is none."""
    base = BASES[kind]
    if isinstance(found, type) and issubclass(found, base):
        return found
    raise UserError(f"{name!r} is not a subclass of {base.__module__}.{base.__name__}: {found!r}")


def _checks_of_dataset(name: str, function: Callable[..., Any], info: Info) -> list[BoundCheck]:
    argument = argument_of(name, getattr(info, "argument", ""))
    return dataset_checks(name if info.name == split_argument(name)[0] else "", function, argument)


def _bare(name: str, kind: Kind) -> str:
    return split_argument(name)[0] if kind is Kind.dataset else name


def _is_import_string(name: str) -> bool:
    return ":" in name


def _kind_of_object(name: str, found: Any) -> Kind:
    for kind, base in (*BASES.items(), (Kind.metric, TaskMetric)):
        if isinstance(found, type) and issubclass(found, base):
            return kind
    if inspect.isroutine(found):
        raise UserError(f"{quoted(name)} is a function: add --kind dataset or --kind report")
    require_subclass(name, found, Kind.model)
    return Kind.model

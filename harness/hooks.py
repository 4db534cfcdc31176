"""Hook specifications for plugins, and the infos that hooks return.

Infos name a class by import string, so that listing plugins imports none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pluggy

GROUP = "harness"
hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


@dataclass(frozen=True)
class Info:
    """Description of a plugin that needs no import of it.

    Attributes:
        name: unique among its kind; used in benchmark files.
        summary: one line.
        target: import string of the implementation, "package.module:attribute".
    """

    name: str
    summary: str
    target: str


@dataclass(frozen=True)
class ModelInfo(Info):
    """A ``GenerativeModel`` class.

    What it can do is found in the class, its paper in the docstring of the module.

    Attributes:
        type: of the system, as tables print it ("variational autoencoder").
    """

    type: str = ""


@dataclass(frozen=True)
class DatasetInfo(Info):
    """A function that loads a ``Dataset``, given what follows the colon of ``name:argument``.

    Attributes:
        argument: meaning of the part after the colon ("PATH"); empty if there is none.
        features: name of the feature extractor that this data set is measured in by default.
        files: import string of a function that looks for the files it needs, downloads none, and
            returns a ``harness.dataset.PublishedFiles``; empty if it needs none.
    """

    argument: str = ""
    features: str = "pixels"
    files: str = ""


@dataclass(frozen=True)
class FeatureInfo(Info):
    """A ``FeatureExtractor`` class or a function of a ``DataSpec`` that returns one.

    Attributes:
        needs: requirements beyond the package itself, for display: an extra to install, weights
            that are downloaded; empty if none.
        seeds: names of extractors that differ from this one only in their training seed.
    """

    needs: str = ""
    seeds: tuple[str, ...] = ()


@dataclass(frozen=True)
class MetricInfo(Info):
    """A ``SampleMetric`` class, or a ``TaskMetric`` if it needs the conditions of samples.

    Attributes:
        label: heading of its column ("FID").
        lower_is_better: the direction of its ranking.
        conditions: kinds of y of which a task metric needs one.
        truth: name of the truth of a split that it needs; empty if none.
    """

    label: str = ""
    lower_is_better: bool = True
    conditions: tuple[str, ...] = ()
    truth: str = ""


@dataclass(frozen=True)
class ReportInfo(Info):
    """A function ``write(results: Results, folder: Path) -> Path`` that renders one format.

    Attributes:
        comparison: import string of a function ``(rows, a, b, metric) -> list[str]`` which says in
            sentences whether entry ``a`` is better than entry ``b``, for ``harness compare``; empty
            if it compares none.
    """

    comparison: str = ""


class Specification:
    """The hooks of entry-point group ``harness``. Every hook may be implemented by many plugins."""

    @hookspec
    def harness_models(self) -> list[ModelInfo]:
        """Return the generative models of this plugin."""
        raise NotImplementedError

    @hookspec
    def harness_datasets(self) -> list[DatasetInfo]:
        """Return the data sets of this plugin."""
        raise NotImplementedError

    @hookspec
    def harness_features(self) -> list[FeatureInfo]:
        """Return the feature extractors of this plugin."""
        raise NotImplementedError

    @hookspec
    def harness_metrics(self) -> list[MetricInfo]:
        """Return the metrics of this plugin."""
        raise NotImplementedError

    @hookspec
    def harness_reports(self) -> list[ReportInfo]:
        """Return the report formats of this plugin."""
        raise NotImplementedError

    @hookspec
    def harness_trial_started(self, trial: Mapping[str, Any]) -> None:
        """Called in the worker when a trial starts; ``trial`` is its resolved description."""

    @hookspec
    def harness_step(self, trial: Mapping[str, Any], usage: Mapping[str, Any]) -> None:
        """Called in the worker, off the clock, with the usage after a timed window of steps."""

    @hookspec
    def harness_trial_finished(self, row: Mapping[str, Any]) -> None:
        """Called in the driver when a trial has ended, with its row."""

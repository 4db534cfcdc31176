"""What a plugin can add, and when it is told: hook specifications and the infos they return.

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
    """What is known of a plugin without importing it.

    Attributes:
        name: unique among its kind; what a benchmark file says.
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
        argument: what the part after the colon means ("PATH"); empty if there is none.
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
        needs: what it takes beyond the package itself, for people: an extra to install, weights
            that are downloaded; empty if nothing.
        seeds: names of extractors that differ from this one in their training seed alone.
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
        """Return the generative models this plugin brings."""
        raise NotImplementedError

    @hookspec
    def harness_datasets(self) -> list[DatasetInfo]:
        """Return the data sets this plugin brings."""
        raise NotImplementedError

    @hookspec
    def harness_features(self) -> list[FeatureInfo]:
        """Return the feature extractors this plugin brings."""
        raise NotImplementedError

    @hookspec
    def harness_metrics(self) -> list[MetricInfo]:
        """Return the metrics of sets of samples this plugin brings."""
        raise NotImplementedError

    @hookspec
    def harness_reports(self) -> list[ReportInfo]:
        """Return the report formats this plugin brings."""
        raise NotImplementedError

    @hookspec
    def harness_trial_started(self, trial: Mapping[str, Any]) -> None:
        """Hear, in the worker, that a trial begins; ``trial`` is its resolved description."""

    @hookspec
    def harness_step(self, trial: Mapping[str, Any], usage: Mapping[str, Any]) -> None:
        """Hear, in the worker and off the clock, what was used after a timed window of steps."""

    @hookspec
    def harness_trial_finished(self, row: Mapping[str, Any]) -> None:
        """Hear, in the driver, the row that a trial ended with."""

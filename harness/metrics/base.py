"""What a metric is: a torchmetrics ``Metric``, in float64.

A ``SampleMetric`` is of a set of samples in features, a ``TaskMetric`` of samples beside what they
were asked for.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar, NamedTuple

from torch import Tensor
from torchmetrics import Metric

from harness.contract import DataSpec
from harness.features.base import Features


class Moments(NamedTuple):
    """Moments of a set of features: size n, mean (d,) and unbiased covariance (d, d), float64."""

    n: int
    mean: Tensor
    covariance: Tensor


class Figure(NamedTuple):
    """The result of a metric.

    Attributes:
        value: float64 scalar.
        error: its standard error, if known.
        warning: what is wrong with the samples, for display; empty if nothing is.
    """

    value: Tensor
    error: Tensor | None = None
    warning: str = ""


class Reference:
    """The real images that samples are compared with: one split, as features.

    Args:
        split: its name.
        moments: of its features.
        features: of all its images; only some metrics need them.
        held_out: real images of the same kind that no model was trained on.
        bandwidth: of Gaussian kernels in these features; None derives it from the spread of the
            data.
    """

    def __init__(
        self,
        split: str,
        moments: Moments,
        features: Features | None = None,
        held_out: Reference | None = None,
        bandwidth: float | None = None,
    ) -> None:
        self.split = split
        self.moments = moments
        self.held_out = held_out
        self.bandwidth = bandwidth
        self._features = features
        self._derived: dict[str, dict[str, Tensor]] = {}

    @property
    def description(self) -> str:
        """Number of images and split, for display."""
        return f"{self.moments.n} of {self.split}"

    @property
    def features(self) -> Features:
        """Features of every image, on the CPU.

        Raises:
            ValueError: the reference has only moments.
        """
        if self._features is None:
            self._features = self._load()
        return self._features

    def derived(self, what: str, compute: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        """Return tensors that depend only on this reference, computed once.

        Args:
            what: identifies the computation, its version and parameters.
            compute: called unless the tensors are cached; they are then kept on the CPU.
        """
        if what not in self._derived:
            self._derived[what] = {name: tensor.cpu() for name, tensor in compute().items()}
        return self._derived[what]

    def _load(self) -> Features:
        raise ValueError(
            f"this metric needs the features of the {self.split} images; only moments are available"
        )


class NonFiniteFeatures(ValueError):
    """Features contain NaN or infinity, so no metric of them is meaningful."""


class SampleMetric(Metric):
    """A metric of a set of samples, updated batch by batch with their features.

    A class may have several columns, each named like a metric: they are then computed together.
    """

    full_state_update = False
    comparative: ClassVar[bool] = True
    """Whether the value depends on the reference; it is then measured against train and test."""
    held_out_columns: ClassVar[frozenset[str]] = frozenset()
    """Columns that compare samples with held-out images, and are undefined for those themselves."""
    limits: Mapping[str, tuple[float, float]] = {}
    """The least and the greatest value that a column can have; one outside is not published.
    Columns that are not listed have no limits. Where they depend on the data, an instance sets its
    own."""
    costly: ClassVar[bool] = False
    """Whether it is too slow to be measured during training, and only measured at the end."""

    def __init__(self, reference: Reference) -> None:
        super().__init__()
        self.reference = reference

    @classmethod
    def supports(cls, classes: int) -> str | None:
        """Return why it has no value in features with ``classes`` logits, or None if it has one."""
        return None

    @property
    def protocol(self) -> str:
        """What a value depends on besides features, samples and reference, as text."""
        return ""

    @abstractmethod
    def update(self, features: Features) -> None:
        """Update with the features of one batch; raises ``NonFiniteFeatures``."""

    @abstractmethod
    def compute(self) -> Tensor | Figure | dict[str, Figure | str]:
        """Return the value, a float64 scalar, or a figure; of several columns, each by its name.

        A string is the reason why a column has no value.

        Raises:
            ValueError: with the reason why there is none.
        """


class TaskBatch(NamedTuple):
    """Samples beside what they were asked for: the held-out examples of the same numbers.

    Attributes:
        x: samples, uint8 (B, *x.shape).
        y: the conditions that they were drawn from, uint8 (B, *y.shape), or int64 (B,) of labels.
        pair: the held-out x that belongs to each y, uint8 (B, *x.shape); None of unpaired data.
        truth: what else the data set tells of the held-out examples, by name, each (B, ...).
        features: of the samples, for a metric that uses them.
    """

    x: Tensor
    y: Tensor
    pair: Tensor | None
    truth: Mapping[str, Tensor]
    features: Features | None


class TaskMetric(Metric):
    """A metric of how well samples answer their conditions, updated batch by batch.

    Which kinds of condition it judges, and what truth it needs, its ``MetricInfo`` says.
    """

    full_state_update = False
    uses_features: ClassVar[bool] = False
    """Whether it needs the features of samples."""
    limits: tuple[float, float] = (-math.inf, math.inf)
    """The least and the greatest value that it can have; one outside is no figure."""

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        self.spec = spec

    @classmethod
    def supports(cls, spec: DataSpec, classes: int) -> str | None:
        """Return why it has no value on data of ``spec``, or None if it has one.

        Args:
            spec: of the data, with a condition of a kind that it judges.
            classes: number of logits of the features; 0 without any.
        """
        return None

    @property
    def protocol(self) -> str:
        """What a value depends on besides the samples and their conditions, in words."""
        return ""

    @abstractmethod
    def update(self, batch: TaskBatch) -> None:
        """Take in one batch."""

    @abstractmethod
    def compute(self) -> Tensor | Figure:
        """Return the value, a scalar, or a figure.

        Raises:
            ValueError: with the reason why there is none.
        """

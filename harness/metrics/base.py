"""What a metric of samples is: a torchmetrics ``Metric`` over features, in float64."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, NamedTuple

from torch import Tensor
from torchmetrics import Metric

from harness.features.base import Features


class Moments(NamedTuple):
    """Moments of a set of features: size n, mean (d,) and unbiased covariance (d, d), float64."""

    n: int
    mean: Tensor
    covariance: Tensor


class Reference(NamedTuple):
    """What samples are compared with: moments of the features of one split of the real data."""

    split: str
    moments: Moments


class NonFiniteFeatures(ValueError):
    """Features hold NaN or infinity, so no metric of them means anything."""


class SampleMetric(Metric):
    """A metric of a set of samples, updated batch by batch with their features.

    ``compute`` returns one float64 scalar, or raises ``ValueError`` saying why there is none.
    """

    full_state_update = False
    comparative: ClassVar[bool] = True
    """Whether the value depends on the reference; it is then measured against train and test."""

    def __init__(self, reference: Reference) -> None:
        super().__init__()
        self.reference = reference

    @classmethod
    def supports(cls, classes: int) -> str | None:
        """Return why it has no value in features with ``classes`` logits, or None if it has one."""
        return None

    @abstractmethod
    def update(self, features: Features) -> None:
        """Take in the features of one batch; raises ``NonFiniteFeatures``."""

    @abstractmethod
    def compute(self) -> Tensor:
        """Return the value, a float64 scalar."""

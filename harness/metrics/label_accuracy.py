"""Whether samples show the label that was asked for."""

from __future__ import annotations

import torch
from torch import Tensor

from harness.contract import DataSpec
from harness.metrics.base import Figure, TaskBatch, TaskMetric


class LabelAccuracy(TaskMetric):
    """Share of samples that the classifier of the features takes for the label asked for.

    Real images of the same labels are the ceiling: the classifier's own accuracy. With the standard
    error sqrt(p (1 - p) / n).
    """

    uses_features = True
    limits = (0.0, 1.0)
    right: Tensor
    count: Tensor

    def __init__(self, spec: DataSpec) -> None:
        super().__init__(spec)
        self.add_state("right", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    @classmethod
    def supports(cls, spec: DataSpec, classes: int) -> str | None:
        """Return why it has no value on data of ``spec``, or None if it has one."""
        if classes == spec.classes:
            return None
        known = (
            f"the features have {classes} classes" if classes else "the features have no classes"
        )
        return f"{known}, the data has {spec.classes}"

    def update(self, batch: TaskBatch) -> None:
        """Take in one batch, with features that have logits."""
        assert batch.features is not None and batch.features.logits is not None
        found = batch.features.logits.argmax(1)
        self.right += (found == batch.y.to(found.device)).sum()
        self.count += len(found)

    def compute(self) -> Figure:
        """Return the share, float64."""
        if not self.count:
            raise ValueError("there are no samples")
        share = self.right.double() / self.count
        return Figure(share, (share * (1 - share) / self.count).sqrt())

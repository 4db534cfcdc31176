"""How near translated images are to their true pairs, in decibels."""

from __future__ import annotations

from torch import Tensor
from torchmetrics.image import PeakSignalNoiseRatio as Ratio

from harness.contract import DataSpec
from harness.metrics.base import TaskBatch, TaskMetric


class PeakSignalNoiseRatio(TaskMetric):
    """PSNR = 10 log10((levels - 1)^2 / MSE) of each sample to its true pair, in dB, in the mean.

    The blurred mean of all answers has the best one: read it beside FID.
    """

    limits = (0.0, float("inf"))

    def __init__(self, spec: DataSpec) -> None:
        super().__init__(spec)
        axes = tuple(range(1, 1 + len(spec.shape)))
        self.ratio = Ratio(data_range=float(spec.levels - 1), dim=axes)

    @classmethod
    def supports(cls, spec: DataSpec, classes: int) -> str | None:
        """Return why it has no value on data of ``spec``, or None if it has one."""
        return None if spec.paired else "the data has no true pairs"

    def update(self, batch: TaskBatch) -> None:
        """Take in one batch, with true pairs."""
        assert batch.pair is not None
        self.ratio.update(batch.x.double(), batch.pair.double())

    def compute(self) -> Tensor:
        """Return the mean over samples, in dB; infinite if one is its pair, value by value."""
        ratio: Tensor = self.ratio.compute()
        return ratio.double()

"""How alike translated images and their true pairs are in structure."""

from __future__ import annotations

from torch import Tensor
from torchmetrics.image import StructuralSimilarityIndexMeasure

from harness.contract import DataSpec
from harness.metrics.base import TaskBatch, TaskMetric

SIDE = 11
"""Pixels of the window, which is Gaussian with a standard deviation of 1.5 (Wang et al., 2004)."""


class StructuralSimilarity(TaskMetric):
    """SSIM of each sample and its true pair, in the mean over samples.

    Wang et al., Image quality assessment: from error visibility to structural similarity, 2004,
    doi:10.1109/TIP.2003.819861.
    """

    limits = (-1.0, 1.0)

    def __init__(self, spec: DataSpec) -> None:
        super().__init__(spec)
        self.similarity = StructuralSimilarityIndexMeasure(data_range=float(spec.levels - 1))

    @classmethod
    def supports(cls, spec: DataSpec, classes: int) -> str | None:
        """Return why it has no value on data of ``spec``, or None if it has one."""
        if not spec.paired:
            return "the data has no true pairs"
        if spec.x.kind != "image":
            return f"it compares images, and the data is {spec.x.kind}"
        if min(spec.shape[1:]) < SIDE:
            return f"its window has {SIDE} pixels a side, the images {min(spec.shape[1:])}"
        return None

    def update(self, batch: TaskBatch) -> None:
        """Take in one batch, with true pairs."""
        assert batch.pair is not None
        self.similarity.update(batch.x.double(), batch.pair.double())

    def compute(self) -> Tensor:
        """Return the mean over samples."""
        similarity = self.similarity.compute()
        assert isinstance(similarity, Tensor)
        return similarity.double()

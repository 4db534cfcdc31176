"""References held in memory, for tests of metrics."""

from __future__ import annotations

from torch import Tensor

from harness.features.base import Features
from harness.metrics.base import Reference, SampleMetric
from harness.metrics.moments import moments


def real(
    vectors: Tensor,
    held_out: Tensor | None = None,
    logits: Tensor | None = None,
    bandwidth: float | None = None,
) -> Reference:
    """Return a train split with these features, and a test split beside it."""
    unseen = None
    if held_out is not None:
        unseen = Reference("test", moments([held_out]), Features(held_out, None))
    features = Features(vectors, logits)
    return Reference("train", moments([vectors]), features, unseen, bandwidth)


def updated(metric: SampleMetric, vectors: Tensor, batch_size: int = 70) -> SampleMetric:
    """Return the metric after these features, in batches."""
    for batch in vectors.split(batch_size):
        metric.update(Features(batch, None))
    return metric

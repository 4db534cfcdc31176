"""Metrics: of samples in the features of a frozen network, of likelihoods, and of speed."""

from __future__ import annotations

from harness.hooks import MetricInfo, hookimpl


@hookimpl
def harness_metrics() -> list[MetricInfo]:
    """Return the metrics of sets of samples."""
    return [
        MetricInfo(
            name="fid",
            summary="Frechet distance of samples' features to the real ones (Heusel et al., 2017)",
            target="harness.metrics.frechet:FrechetDistance",
            label="FID",
        ),
        MetricInfo(
            name="is",
            summary="Inception Score: one class a sample, all classes (Salimans et al., 2016)",
            target="harness.metrics.inception_score:InceptionScore",
            label="IS",
            lower_is_better=False,
        ),
    ]

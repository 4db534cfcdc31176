"""Metrics of sets of samples that ship with the harness."""

from __future__ import annotations

from harness.hooks import MetricInfo, hookimpl


@hookimpl
def harness_metrics() -> list[MetricInfo]:
    """List the metrics."""
    return []

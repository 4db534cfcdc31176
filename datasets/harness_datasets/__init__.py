"""Data sets that ship with the harness."""

from __future__ import annotations

from harness.hooks import DatasetInfo, hookimpl


@hookimpl
def harness_datasets() -> list[DatasetInfo]:
    """List the data sets."""
    return []

"""Reports that ship with the harness."""

from __future__ import annotations

from harness.hooks import ReportInfo, hookimpl


@hookimpl
def harness_reports() -> list[ReportInfo]:
    """List the report formats."""
    return []

"""Reports on rows: leaderboards as pandas frames, Markdown, CSV, LaTeX and one HTML page.

Knows pandas and the row, not torch; importing this package imports neither.
"""

from __future__ import annotations

from harness.hooks import ReportInfo, hookimpl


@hookimpl
def harness_reports() -> list[ReportInfo]:
    """Return the report formats of this package."""
    return [
        ReportInfo(
            name="markdown",
            summary="leaderboard in 100 columns, for the terminal and for READMEs",
            target="harness_reports.markdown:write",
            comparison="harness_reports.compare:sentences",
        ),
        ReportInfo(
            name="csv",
            summary="every row and every figure of it, one line per trial",
            target="harness_reports.rows_csv:write",
        ),
        ReportInfo(
            name="parquet",
            summary="the same with types, for pandas, R and DuckDB",
            target="harness_reports.rows_parquet:write",
        ),
        ReportInfo(
            name="latex",
            summary="leaderboard for papers: booktabs, best in bold",
            target="harness_reports.latex:write",
        ),
        ReportInfo(
            name="html",
            summary="one page that works offline: leaderboard, samples, curves, failures",
            target="harness_reports.page:write",
        ),
    ]

"""Every row as a line of Parquet, with types."""

from __future__ import annotations

from pathlib import Path

from harness.frame import rows_frame
from harness.publishing.export import write_parquet
from harness.results import Results


def write(results: Results, folder: Path) -> Path:
    """Write every row to ``rows.parquet`` in ``folder``, as ``rows_frame`` has it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "rows.parquet"
    write_parquet(rows_frame(results.rows), path)
    return path

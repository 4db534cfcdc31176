"""Every row as a line of CSV, figures in full precision."""

from __future__ import annotations

from pathlib import Path

from harness.frame import rows_frame
from harness.publishing.export import write_csv
from harness.results import Results


def write(results: Results, folder: Path) -> Path:
    """Write every row to ``rows.csv`` in ``folder``, figures in full precision.

    ``pandas.read_csv`` parses the label ``null`` as a missing value unless it is called with
    ``keep_default_na=False, na_values=[""]``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "rows.csv"
    write_csv(rows_frame(results.rows), path)
    return path

"""``harness export``: rows as tables for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.options import AlsoModels, ResultsFolder, SetOptions
from harness.cli.sources import Sources, gather, print_unplanned
from harness.cli.terminal import say


def export_rows(
    sources: Sources,
    results: ResultsFolder = Path("results"),
    also: AlsoModels = None,
    settings: SetOptions = None,
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("export"),
) -> None:
    """Write rows.* (a line a trial) and figures.* (a line a figure), as CSV and as Parquet."""
    from harness.planning.benchmark import parse_settings
    from harness.publishing.export import export
    from harness.publishing.report_folder import ordered

    gathered = gather(sources, results, also or [], parse_settings(settings or ()))
    print_unplanned(gathered.unplanned)
    for path in export(ordered(gathered.results).rows, out):
        say(path)

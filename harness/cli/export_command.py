"""``harness export``: rows as tables for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.options import AlsoModels, ResultsFolder, SetOptions
from harness.cli.sources import Sources, collect_results, print_unplanned
from harness.cli.terminal import echo


def export_rows(
    sources: Sources,
    results: ResultsFolder = Path("results"),
    also: AlsoModels = None,
    settings: SetOptions = None,
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("export"),
) -> None:
    """Write rows.* (one line per trial) and figures.* (one line per figure) as CSV and Parquet."""
    from harness.planning.benchmark import parse_settings
    from harness.publishing.export import export
    from harness.publishing.report_folder import ordered

    collected = collect_results(sources, results, also or [], parse_settings(settings or ()))
    print_unplanned(collected.unplanned)
    for path in export(ordered(collected.results).rows, out):
        echo(path)

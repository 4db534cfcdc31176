"""``harness report``: tables and page from the rows that there are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.options import AlsoModels, ResultsFolder, SetOptions
from harness.cli.sources import Sources, gather, home


def write_report(
    sources: Sources,
    results: ResultsFolder = Path("results"),
    also: AlsoModels = None,
    settings: SetOptions = None,
    format: Annotated[
        list[str] | None,
        typer.Option(help="Write this format alone; repeatable; see 'harness list reports'."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder to write to; RESULTS/BENCHMARK/report by default."),
    ] = None,
) -> None:
    """Write a report that stands alone, from rows that there are; runs nothing."""
    from harness.benchmark import parse_settings
    from harness.formats import write_formats
    from harness.registry import registry
    from harness.report_folder import ordered, write

    gathered = gather(sources, results, also or [], parse_settings(settings or ()))
    folder = out or home(sources, results, gathered)
    if format:
        print_reports(write_formats(ordered(gathered), folder, registry(), format))
    else:
        print_reports(write(gathered, folder, registry()))


def print_reports(written: dict[str, Path]) -> None:
    """Print the Markdown report, if there is one, and where the others are."""
    if "markdown" in written:
        print("\n" + written["markdown"].read_text(encoding="utf-8"))
    for name, path in written.items():
        print(f"{name}: {path}")

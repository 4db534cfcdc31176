"""``harness report``: tables and page from existing rows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options import AlsoModels, ResultsFolder, SetOptions
from harness.cli.sources import Sources, collect_results, default_folder, print_unplanned
from harness.cli.terminal import echo, for_terminal

if TYPE_CHECKING:
    from harness.publishing.formats import WrittenReport


def write_report(
    sources: Sources,
    results: ResultsFolder = Path("results"),
    also: AlsoModels = None,
    settings: SetOptions = None,
    format: Annotated[
        list[str] | None,
        typer.Option(help="Write only this format; repeatable; see 'harness list reports'."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder to write to; default: RESULTS/BENCHMARK/report."),
    ] = None,
) -> None:
    """Write a self-contained report from existing rows; runs nothing."""
    from harness.planning.benchmark import parse_settings
    from harness.plugins.registry import registry
    from harness.publishing.report_folder import write, write_alone

    found = collect_results(sources, results, also or [], parse_settings(settings or ()))
    folder = out or default_folder(sources, results, found.results)
    try:
        if format:
            written = write_alone(found.results, folder, registry(), format)
        else:
            written = write(found.results, folder, registry())
        print_reports(written)
    finally:
        # Also where the report is refused for lack of rows.
        print_unplanned(found.unplanned)
    if written.failed:
        raise typer.Exit(1)


def print_reports(written: WrittenReport) -> None:
    """Print the Markdown report, if any, the paths of the others, and which failed."""
    if "markdown" in written.files:
        echo("\n" + written.files["markdown"].read_text(encoding="utf-8"))
    for name, path in written.files.items():
        echo(f"{name}: {path}")
    for name, why in written.failed.items():
        echo(for_terminal(f"{name}: not written, it failed: {why}"), error=True)

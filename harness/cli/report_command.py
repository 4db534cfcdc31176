"""``harness report``: tables and page from the rows that there are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options import AlsoModels, ResultsFolder, SetOptions
from harness.cli.sources import Sources, gather, home, print_unplanned
from harness.cli.terminal import for_terminal, say

if TYPE_CHECKING:
    from harness.publishing.formats import Written


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
    from harness.planning.benchmark import parse_settings
    from harness.plugins.registry import registry
    from harness.publishing.report_folder import write, write_alone

    found = gather(sources, results, also or [], parse_settings(settings or ()))
    folder = out or home(sources, results, found.results)
    try:
        if format:
            written = write_alone(found.results, folder, registry(), format)
        else:
            written = write(found.results, folder, registry())
        print_reports(written)
    finally:
        # Also where the report is refused for want of rows.
        print_unplanned(found.unplanned)
    if written.failed:
        raise typer.Exit(1)


def print_reports(written: Written) -> None:
    """Print the Markdown report, if there is one, where the others are, and which failed."""
    if "markdown" in written.files:
        say("\n" + written.files["markdown"].read_text(encoding="utf-8"))
    for name, path in written.files.items():
        say(f"{name}: {path}")
    for name, why in written.failed.items():
        say(for_terminal(f"{name}: not written, it failed: {why}"), error=True)

"""``harness report``: tables and page from the rows that there are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.options import AlsoModels, BenchmarkName, ResultsFolder, SetOptions


def write_report(
    benchmark: BenchmarkName,
    results: ResultsFolder = Path("results"),
    also: AlsoModels = None,
    settings: SetOptions = None,
    format: Annotated[
        list[str] | None, typer.Option(help="See 'harness list reports'; all by default.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write to; RESULTS/BENCHMARK/report by default.")
    ] = None,
) -> None:
    """Write the report of a benchmark from its rows, without running anything."""
    from harness import api
    from harness.benchmark import parse_settings
    from harness.registry import registry

    planned = api.plan(benchmark, results, also=also or (), settings=parse_settings(settings or ()))
    folder = out or planned.store.report
    print_reports(api.write_reports(planned.results(), folder, registry(), format))


def print_reports(written: dict[str, Path]) -> None:
    """Print the Markdown report, if there is one, and where the others are."""
    if "markdown" in written:
        print("\n" + written["markdown"].read_text(encoding="utf-8"))
    for name, path in written.items():
        print(f"{name}: {path}")

"""``harness compare``: one model against another, with interval and verdict."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.options import ResultsFolder
from harness.cli.sources import Sources, collect_results, print_unplanned
from harness.cli.terminal import echo


def compare_entries(
    a: Annotated[str, typer.Argument(metavar="A", help="Label of an entry.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Label of the other entry.")],
    sources: Sources,
    metric: Annotated[str, typer.Option(help="Name of the metric, as in the rows.")] = "fid",
    results: ResultsFolder = Path("results"),
) -> None:
    """Report whether A is better than B, by how much, and how certain that is."""
    from harness.plugins.registry import registry
    from harness.publishing.formats import comparison

    compare = comparison(registry())
    collected = collect_results(sources, results, [], {})
    print_unplanned(collected.unplanned)
    for sentence in compare(collected.results.rows, a, b, metric):
        echo(sentence)

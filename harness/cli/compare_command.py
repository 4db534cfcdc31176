"""``harness compare``: one model against another, with interval and verdict."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.options import ResultsFolder
from harness.cli.sources import Sources, gather, print_unplanned
from harness.cli.terminal import say


def compare_entries(
    a: Annotated[str, typer.Argument(metavar="A", help="Label of an entry.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Label of another.")],
    sources: Sources,
    metric: Annotated[str, typer.Option(help="Name of the metric, as the rows have it.")] = "fid",
    results: ResultsFolder = Path("results"),
) -> None:
    """Say whether A is better than B, by how much, and how sure that is."""
    from harness.plugins.registry import registry
    from harness.publishing.formats import comparison

    compare = comparison(registry())
    gathered = gather(sources, results, [], {})
    print_unplanned(gathered.unplanned)
    for sentence in compare(gathered.results.rows, a, b, metric):
        say(sentence)

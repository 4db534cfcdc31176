"""Sources of a report, as arguments of a command: benchmarks, and files of rows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from harness.cli.terminal import echo, for_terminal
from harness.errors import UserError

if TYPE_CHECKING:
    from harness.planning.benchmark import Settings
    from harness.results import Results

Sources = Annotated[
    list[str],
    typer.Argument(
        metavar="NAME|FILE|ROWS...",
        help="Benchmarks (a name, or a file ending in .toml), report folders, results folders, or "
        "files of rows (.jsonl, row.json); several are merged.",
    ),
]


class CollectedResults(NamedTuple):
    """The results of sources, and lines that name rows that their benchmarks no longer plan."""

    results: Results
    unplanned: list[str]


def collect_results(
    sources: list[str], results: Path, also: list[str], settings: Settings
) -> CollectedResults:
    """Return the results of all sources as one; see ``harness.publishing.reading``."""
    from harness import api
    from harness.publishing.reading import merged, read_results

    benchmarks = [source for source in sources if not _holds_rows(source)]
    if (also or settings) and len(benchmarks) != 1:
        raise UserError("--also and --set change one benchmark: name exactly one")
    parts, unplanned = {}, []
    for source in sources:
        if _holds_rows(source):
            parts[source] = read_results(Path(source))
        else:
            planned = api.plan(source, results, also=also, settings=settings)
            parts[source] = planned.results()
            unplanned += planned.unplanned()
    return CollectedResults(merged(parts), unplanned)


def print_unplanned(lines: list[str]) -> None:
    """Print to standard error which rows on disk the plan does not have."""
    for line in lines:
        echo(for_terminal(line), error=True)


def default_folder(sources: list[str], results: Path, results_of: Results) -> Path:
    """Return the default report folder of a single source.

    Raises:
        UserError: there are several sources, or a mere file.
    """
    from harness.publishing.report_folder import is_report
    from harness.storage.store import Store

    if len(sources) > 1:
        raise UserError(
            "a report of several sources has no default folder: name one with --out DIR"
        )
    if not _holds_rows(sources[0]):
        return Store(results, results_of.benchmark).report
    path = Path(sources[0])
    if not path.is_dir():
        raise UserError("a report of a file has no default folder: name one with --out DIR")
    return path if is_report(path) else path / "report"


def _holds_rows(source: str) -> bool:
    path = Path(source)
    suffixes = (".json", ".jsonl", ".csv", ".parquet")
    return path.suffix in suffixes or path.is_dir()

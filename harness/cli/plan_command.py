"""``harness plan`` and ``harness status``: what would be done, and what is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.options import AlsoModels, BenchmarkName, ResultsFolder, SetOptions

if TYPE_CHECKING:
    from harness.store import Store
    from harness.trial import Trial


def plan_benchmark(
    benchmark: BenchmarkName,
    results: ResultsFolder = Path("results"),
    also: AlsoModels = None,
    settings: SetOptions = None,
) -> None:
    """Show the trials of a benchmark with their identities, and run nothing."""
    from harness import api
    from harness.benchmark import parse_settings

    planned = api.plan(benchmark, results, also=also or (), settings=parse_settings(settings or ()))
    _print_table(
        ["Trial", "Model", "Data set", "Seed", "Budget"],
        [
            [
                trial.id,
                trial.label,
                trial.dataset,
                "-" if trial.is_reference else str(trial.seed),
                f"skipped: {trial.unsupported}" if trial.unsupported else trial.budget or "-",
            ]
            for trial in planned.trials
        ],
    )


def show_status(
    benchmark: BenchmarkName,
    results: ResultsFolder = Path("results"),
    also: AlsoModels = None,
    settings: SetOptions = None,
) -> None:
    """Show what is done, running or failed of a benchmark, and why."""
    from harness import api
    from harness.benchmark import parse_settings

    planned = api.plan(benchmark, results, also=also or (), settings=parse_settings(settings or ()))
    _print_table(
        ["Trial", "Model", "Data set", "Seed", "Status"],
        [
            [trial.id, trial.label, trial.dataset, str(trial.seed), _state(trial, planned.store)]
            for trial in planned.trials
        ],
    )


def _state(trial: Trial, store: Store) -> str:
    import psutil

    from harness.progress import read_progress

    row = store.row(trial.id)
    if row is not None:
        return f"{row.status}: {row.reason}" if row.reason else row.status
    progress = read_progress(store.working(trial.id))
    if progress is None:
        return "waiting"
    running = psutil.pid_exists(progress.pid)
    state = progress.phase if running else "unfinished, run again to resume"
    return f"{state}, {progress.fraction:.0%} of the budget"


def _print_table(headings: list[str], lines: list[list[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*headings, box=None, pad_edge=False)
    for line in lines:
        table.add_row(*map(Text, line))
    console = Console()
    # Cut nothing where the output goes to a file or a pipe.
    Console(width=None if console.is_terminal else 300).print(table)

"""``harness plan`` and ``harness status``: what would run, and what has run."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options import (
    AlsoModels,
    BenchmarkName,
    DeviceNames,
    ResultsFolder,
    SetOptions,
    Threads,
    Workers,
)
from harness.cli.sources import print_unplanned
from harness.cli.terminal import echo, for_terminal

if TYPE_CHECKING:
    from harness.launchers.estimate import Estimate
    from harness.planning.trial import Trial
    from harness.storage.store import Store


def plan_benchmark(
    benchmark: BenchmarkName,
    results: ResultsFolder = Path("results"),
    also: AlsoModels = None,
    settings: SetOptions = None,
    estimate: Annotated[
        bool,
        typer.Option("--estimate", help="Run each model briefly, and estimate the total cost."),
    ] = False,
    device: DeviceNames = None,
    workers: Workers = None,
    threads: Threads = None,
) -> None:
    """Show the trials of a benchmark with their identities, without running them."""
    from harness import api
    from harness.planning.benchmark import parse_settings

    planned = api.plan(benchmark, results, also=also or (), settings=parse_settings(settings or ()))
    headings = ["Trial", "Model", "Data set", "Seed", "Budget"]
    lines = [
        [
            trial.id,
            trial.label,
            trial.dataset,
            "-" if trial.is_reference else str(trial.seed),
            _planned_use(trial),
        ]
        for trial in planned.trials
    ]
    if not estimate:
        _print_table(headings, lines)
        return

    from harness.launchers import estimate as estimates
    from harness.launchers.local import LocalLauncher, choose_devices

    devices = choose_devices(device or (), workers)
    found = estimates.estimate(planned.trials, LocalLauncher(devices, threads))
    costs = [_cost(found.get(trial.id)) for trial in planned.trials]
    _print_table(
        [*headings, "Training", "Evaluation", "In all"],
        [line + cost for line, cost in zip(lines, costs, strict=True)],
    )
    echo(_summary(found.values(), len(devices)))
    echo(f"It rests on {estimates.BASIS}.")


def _planned_use(trial: Trial) -> str:
    """Return the budget of a trial, or why it will not run."""
    if trial.unsupported:
        return f"skipped: {trial.unsupported}"
    return f"error: {trial.fault}" if trial.fault else trial.budget or "-"


def _cost(estimate: Estimate | None) -> list[str]:
    if estimate is None:
        return ["-", "-", "-"]
    if estimate.reason:
        return ["?", "?", estimate.reason]
    bound = "at most " * estimate.at_most
    evaluation, total = _duration(estimate.evaluation), _duration(estimate.total)
    return [_duration(estimate.training), bound + evaluation, bound + total]


def _summary(estimates: Collection[Estimate], workers: int) -> str:
    total = sum(estimate.total for estimate in estimates)
    failed = sum(estimate.reason is not None for estimate in estimates)
    at_once = f", or {_duration(total / workers)} with {workers} in parallel" if workers > 1 else ""
    unknown = f", and {failed} that could not be estimated" if failed else ""
    about = "at most" if any(estimate.at_most for estimate in estimates) else "about"
    return f"{len(estimates) - failed} trials: {about} {_duration(total)}{at_once}{unknown}."


def _duration(seconds: float) -> str:
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def show_status(
    benchmark: BenchmarkName,
    results: ResultsFolder = Path("results"),
    also: AlsoModels = None,
    settings: SetOptions = None,
) -> None:
    """Show which trials of a benchmark are done, running or failed, and why."""
    from harness import api
    from harness.planning.benchmark import parse_settings

    planned = api.plan(benchmark, results, also=also or (), settings=parse_settings(settings or ()))
    _print_table(
        ["Trial", "Model", "Data set", "Seed", "Status"],
        [
            [trial.id, trial.label, trial.dataset, str(trial.seed), _state(trial, planned.store)]
            for trial in planned.trials
        ],
    )
    print_unplanned(planned.unplanned())


def _state(trial: Trial, store: Store) -> str:
    import psutil

    from harness.machine.heartbeat import read_progress

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
    from harness.cli.tables import print_table

    cells = [dict(zip(headings, map(for_terminal, line), strict=True)) for line in lines]
    print_table(cells, whole=("Trial", "Seed"))

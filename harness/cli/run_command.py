"""``harness run``: do what is not done of a benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.options import (
    AlsoModels,
    BenchmarkName,
    DeviceNames,
    ResultsFolder,
    SetOptions,
    Threads,
    Tracking,
    Workers,
    torch_device,
)


def run_benchmark(
    benchmark: BenchmarkName,
    results: ResultsFolder = Path("results"),
    also: AlsoModels = None,
    settings: SetOptions = None,
    tracking: Annotated[
        Tracking, typer.Option(help="'off' keeps MLflow out of it.")
    ] = Tracking.auto,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Run failed trials again.")
    ] = False,
    device: DeviceNames = None,
    workers: Workers = None,
    threads: Threads = None,
) -> None:
    """Run a benchmark: finished trials are skipped, interrupted ones resume, changed ones run."""
    from harness import api
    from harness.benchmark import parse_settings
    from harness.cli.progress_display import open_display
    from harness.cli.report_command import print_reports
    from harness.launchers.local import LocalLauncher, choose_devices

    planned = api.plan(benchmark, results, also=also or (), settings=parse_settings(settings or ()))
    for name in device or ():
        torch_device(name)
    planned.store.prepare()  # before anything is printed
    launcher = LocalLauncher(choose_devices(device or (), workers), threads)
    todo = planned.open_trials(retry_failed)
    done = len(planned.trials) - len(todo)
    print(f"{planned.benchmark.name}: {len(planned.trials)} trials, {done} done before")
    with open_display(len(todo)) as display:
        tracker = api.carry_out(
            planned,
            launcher,
            tracking=tracking.value,
            retry_failed=retry_failed,
            observer=display,
        )
    print_reports(api.publish(planned, tracker))
    failed = [row for row in planned.results().rows if row.status not in ("ok", "skipped")]
    for row in failed:
        print(f"{row.label} on {row.dataset}, seed {row.seed}: {row.status}: {row.reason}")
    if failed:
        raise typer.Exit(1)

"""``harness run``: run the unfinished trials of a benchmark."""

from __future__ import annotations

from contextlib import nullcontext
from enum import StrEnum
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
    Tracking,
    Workers,
    torch_device,
)
from harness.cli.sources import print_unplanned
from harness.cli.terminal import echo, for_terminal

if TYPE_CHECKING:
    from harness.launchers import Launcher


class LauncherKind(StrEnum):
    """Where trials run."""

    local = "local"
    ray = "ray"


def run_benchmark(
    benchmark: BenchmarkName,
    results: ResultsFolder = Path("results"),
    also: AlsoModels = None,
    settings: SetOptions = None,
    tracking: Annotated[Tracking, typer.Option(help="'off' disables MLflow.")] = Tracking.auto,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Run failed trials again.")
    ] = False,
    device: DeviceNames = None,
    workers: Workers = None,
    threads: Threads = None,
    launcher: Annotated[
        LauncherKind, typer.Option(help="'ray' runs the trials on a Ray cluster.")
    ] = LauncherKind.local,
    address: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT", help="HOST:PORT of the Ray cluster; default: this machine's."
        ),
    ] = None,
) -> None:
    """Run a benchmark: finished trials are skipped, interrupted ones resume, changed ones run."""
    from harness import api
    from harness.cli.progress_display import open_display
    from harness.cli.report_command import print_reports
    from harness.planning.benchmark import parse_settings

    planned = api.plan(benchmark, results, also=also or (), settings=parse_settings(settings or ()))
    chosen = _launcher(launcher, address, device or [], workers, threads)
    todo = api.begin(planned, chosen, retry_failed=retry_failed)
    done = len(planned.trials) - len(todo)
    idle = "" if todo else "; nothing to do"
    echo(f"{planned.benchmark.name}: {len(planned.trials)} trials, {done} done before{idle}")
    with open_display(len(todo)) as display:
        sender = api.carry_out(planned, todo, chosen, tracking=tracking.value, observer=display)
    try:
        with sender or nullcontext():
            written = api.conclude(planned, todo, sender)
            print_reports(written)
    finally:
        print_unplanned(planned.unplanned())
    failed = [row for row in planned.results().rows if row.status not in ("ok", "skipped")]
    for row in failed:
        echo(for_terminal(f"{row.title}: {row.status}: {row.reason}"))
    if failed or written.failed:
        raise typer.Exit(1)


def _launcher(
    place: LauncherKind,
    address: str | None,
    devices: list[str],
    workers: int | None,
    threads: int | None,
) -> Launcher:
    """Return the launcher.

    Raises:
        UserError: an option does not apply to the launcher.
    """
    from harness.errors import UserError

    if place is LauncherKind.local:
        from harness.launchers.local import LocalLauncher, choose_devices

        if address is not None:
            raise UserError(
                f"--address {address} is the address of a Ray cluster; add --launcher ray"
            )
        for name in devices:
            torch_device(name)
        return LocalLauncher(choose_devices(devices, workers), threads)
    from harness.launchers.ray import RayLauncher

    if workers is not None:
        raise UserError("--workers: with --launcher ray, the resources of the cluster say how many")
    if len(devices) > 1 or not {"cpu", "cuda"}.issuperset(devices):
        raise UserError(
            f"--device {', '.join(devices)}: with --launcher ray, write cpu or cuda; the cluster "
            "chooses which one"
        )
    return RayLauncher(address or "auto", devices[0] if devices else None, threads or 1)

"""``harness speed``: how fast models sample."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options import DeviceName, torch_device
from harness.cli.terminal import echo

if TYPE_CHECKING:
    from harness.speed.sweep import Step, Sweep


def measure_speed(
    models: Annotated[list[str], typer.Argument(metavar="MODEL...")],
    dataset: Annotated[str, typer.Option(help="Data set whose image size is sampled.")] = "digits",
    batch_sizes: Annotated[
        str | None,
        typer.Option(help="Batch sizes, comma-separated; default: powers of two from 1 to 1024."),
    ] = None,
    seconds: Annotated[float, typer.Option(help="Seconds of timed calls per batch size.")] = 1.0,
    longest: Annotated[
        float, typer.Option(help="Stop before a call that would take longer than this, in seconds.")
    ] = 60.0,
    device: DeviceName = "cpu",
    threads: Annotated[
        int, typer.Option(min=0, help="Threads of torch on a CPU; 0: torch's default.")
    ] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Time sampling of untrained models, each in a new process: weights do not affect speed."""
    from harness.plugins.registry import registry
    from harness.speed.sweep import BATCH_SIZES, Request, measure

    torch_device(device)
    _check_seconds("--seconds", seconds)
    _check_seconds("--longest", longest)
    sizes = _sizes(batch_sizes) if batch_sizes else BATCH_SIZES
    for model in models:
        registry().model(model)
    swept = []
    for model in models:
        sweep = measure(Request(model, dataset, sizes, seconds, longest, device, threads))
        swept.append(sweep)
        if not as_json:
            _print(sweep)
    if as_json:
        import json

        from harness.machine.printing import print_json
        from harness.speed.frame import sweeps_frame

        # Through pandas, which serialises its own types.
        print_json(json.loads(sweeps_frame(swept).to_json(orient="records")))


def _check_seconds(option: str, value: float) -> None:
    from harness.errors import UserError

    if not 0 < value < math.inf:
        raise UserError(f"{option} {value:g}: write a positive, finite number of seconds")


def _sizes(text: str) -> tuple[int, ...]:
    from harness.errors import UserError, quoted

    words = text.replace(" ", "").split(",")
    if not all(re.fullmatch(r"[1-9][0-9]{0,8}", word) for word in words):
        raise UserError(f"--batch-sizes {quoted(text)}: write positive integers, such as 1,8,64")
    return tuple(sorted({int(word) for word in words}))


def _print(sweep: Sweep) -> None:
    from harness.cli.tables import print_table

    request, cost = sweep.request, sweep.cost
    title = f"{request.model} on {request.dataset}, {request.device}, untrained"
    if cost:
        least = "at least " if cost.uncounted else ""
        threads = f", {sweep.steps[0].speed.threads} threads" if sweep.steps else ""
        title += (
            f"{threads}: {cost.parameters:,} parameters, {cost.evaluations:g} network calls, "
            f"{least}{cost.flops:.3g} FLOPs per image, cold start {cost.cold_start:.3g} s"
        )
    echo(title)
    if cost and cost.uncounted:
        echo(f"without a FLOP count: {', '.join(cost.uncounted)}")
    if sweep.steps:
        print_table([_cells(step) for step in sweep.steps])
    if sweep.ended:
        echo(f"ended: {sweep.ended}")
    echo()


def _cells(step: Step) -> dict[str, str]:
    speed = step.speed
    return {
        "batch": str(speed.batch_size),
        "images/s": f"{speed.images_per_second:.4g}",
        "±": f"{speed.spread:.2g}",
        "median s": f"{speed.seconds:.3g}",
        "p95 s": f"{speed.p95:.3g}",
        "calls": str(speed.repetitions),
        "peak memory": f"{step.peak_memory / 2**20:,.0f} MiB",
    }

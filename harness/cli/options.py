"""Arguments and options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import torch

BenchmarkName = Annotated[
    str, typer.Argument(metavar="BENCHMARK", help="A name, or a file that ends in .toml.")
]
ResultsFolder = Annotated[
    Path, typer.Option("--results", help="Folder of results.", envvar="GENHARNESS_RESULTS")
]
AlsoModels = Annotated[
    list[str] | None,
    typer.Option("--also", metavar="MODEL", help="Add a model to the benchmark; repeatable."),
]
SetOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="MODEL.KEY=VALUE",
        help="Replace a hyper-parameter of a model or a label; repeatable.",
    ),
]

DeviceName = Annotated[str, typer.Option("--device", help="cpu, cuda or cuda:1, for example.")]


class Tracking(StrEnum):
    """Whether MLflow is told."""

    auto = "auto"
    off = "off"


def torch_device(name: str) -> torch.device:
    """Return the device called ``name``.

    Raises:
        UserError: there is none on this machine.
    """
    import torch

    from harness.errors import UserError

    count = torch.cuda.device_count()
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UserError(f"--device {name!r} is no device; write cpu, cuda or cuda:0") from None
    if device.type not in ("cpu", "cuda") or (
        device.type == "cuda" and count <= (device.index or 0)
    ):
        raise UserError(f"--device {name}: torch finds the cpu and {count} CUDA devices here")
    return device

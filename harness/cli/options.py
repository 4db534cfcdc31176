"""Arguments and options that several commands share."""

from __future__ import annotations

import os
import stat
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.errors import UserError, quoted

if TYPE_CHECKING:
    import torch

BenchmarkName = Annotated[
    str, typer.Argument(metavar="BENCHMARK", help="Name of a benchmark, or a file ending in .toml.")
]


def _can_be_folder(path: Path) -> Path:
    """Refuse a path that is not a folder and cannot become one."""
    why = "it is not a folder"
    try:
        if stat.S_ISDIR(os.stat(path).st_mode):
            return path
    except FileNotFoundError:
        return path
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        why = error.strerror or "" if isinstance(error, OSError) else str(error)
    raise UserError(f"{quoted(str(path))}: {why}; name another folder with --results")


ResultsFolder = Annotated[
    Path,
    typer.Option(
        "--results",
        help="Results folder.",
        envvar="GENHARNESS_RESULTS",
        callback=_can_be_folder,
    ),
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

DeviceNames = Annotated[
    list[str] | None,
    typer.Option("--device", help="cpu, cuda:0, ...; default: all CUDA devices, or the CPU."),
]
Workers = Annotated[
    int | None,
    typer.Option(min=1, help="Parallel trials; default: one per CUDA device, or one on a CPU."),
]
Threads = Annotated[
    int | None,
    typer.Option(min=1, help="Threads per worker on a CPU; default: its share of the cores."),
]

DeviceName = Annotated[str, typer.Option("--device", help="For example cpu, cuda or cuda:1.")]


class Tracking(StrEnum):
    """Whether results are sent to MLflow."""

    auto = "auto"
    off = "off"


def torch_device(name: str) -> torch.device:
    """Return the device called ``name``.

    Raises:
        UserError: there is none on this machine.
    """
    import torch

    count = torch.cuda.device_count()
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UserError(
            f"--device {quoted(name)} is not a device; write cpu, cuda or cuda:0"
        ) from None
    plain_cpu = name == "cpu"
    if not plain_cpu and (device.type != "cuda" or count <= (device.index or 0)):
        raise UserError(f"--device {name}: torch finds the CPU and {count} CUDA devices here")
    return device

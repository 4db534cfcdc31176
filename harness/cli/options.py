"""Arguments and options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

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


class Tracking(StrEnum):
    """Whether MLflow is told."""

    auto = "auto"
    off = "off"

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


class Tracking(StrEnum):
    """Whether MLflow is told."""

    auto = "auto"
    off = "off"

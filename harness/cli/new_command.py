"""``harness new``: a plugin to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.terminal import say
from harness.scaffold import Family, write_plugin


def new_plugin(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Of the model: lower-case words joined by '-'.")
    ],
    folder: Annotated[
        Path | None, typer.Argument(metavar="DIR", help="Of the project; ./NAME by default.")
    ] = None,
    family: Annotated[Family, typer.Option(help="Shape of the model.")] = Family.likelihood,
) -> None:
    """Write an installable plugin with a small model that works, and its tests."""
    folder = folder or Path(name)
    for path in write_plugin(name, family, folder):
        say(path)
    say(f"\nnext: pip install -e {folder} && harness run digits --also {name}")

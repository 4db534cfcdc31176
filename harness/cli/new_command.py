"""``harness new``: a plugin to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.terminal import echo
from harness.errors import UserError
from harness.plugins.kinds import Kind
from harness.scaffold import Family, write_plugin

NEXT = {
    Kind.model: "harness run digits --also {name}",
    Kind.dataset: "harness check {name} --kind dataset",
    Kind.metric: "harness check {name} --kind metric",
    Kind.report: "harness check {name} --kind report",
}


def new_plugin(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="Name of the plugin: lower-case words joined by '-'."),
    ],
    folder: Annotated[
        Path | None, typer.Argument(metavar="DIR", help="Folder of the project; default: ./NAME.")
    ] = None,
    kind: Annotated[Kind, typer.Option(help="Kind of plugin.")] = Kind.model,
    family: Annotated[
        Family | None, typer.Option(help="Model family; default: likelihood.")
    ] = None,
) -> None:
    """Write an installable plugin with a small working example and its tests."""
    if family and kind is not Kind.model:
        raise UserError(f"--family is for models, and this is a {kind}: omit one of them")
    folder = folder or Path(name)
    shape = (family or Family.likelihood) if kind is Kind.model else kind
    for path in write_plugin(name, shape, folder):
        echo(path)
    echo(f"\nnext: pip install -e {folder} && {NEXT[kind].format(name=name)}")

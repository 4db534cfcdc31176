"""``harness list``: what is installed, and what is broken."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.model_cards import class_facts, print_cards
from harness.cli.terminal import console, text

if TYPE_CHECKING:
    from harness.hooks import Info
    from harness.plugins.registry import Registered, Registry


class Listed(StrEnum):
    """A kind of thing that a plugin provides."""

    models = "models"
    datasets = "datasets"
    features = "features"
    metrics = "metrics"
    reports = "reports"


def list_plugins(
    kind: Annotated[
        Listed | None, typer.Argument(help="Kind of plugin to list; default: all.")
    ] = None,
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose",
            "-v",
            help="Show all details; for models, capabilities and settings too.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the installed models, datasets, features, metrics and reports."""
    from harness.plugins.registry import registry

    found = registry()
    kinds = list(Listed) if kind is None else [kind]
    entries = {kind: _by_name(getattr(found, kind).values()) for kind in kinds}
    if as_json:
        _print_json(found, entries, verbose)
    else:
        _print_tables(found, entries, verbose)


def _by_name(entries: Iterable[Registered[Info]]) -> list[Registered[Info]]:
    return sorted(entries, key=lambda entry: entry.info.name)


def _print_json(
    found: Registry, entries: dict[Listed, list[Registered[Info]]], verbose: bool
) -> None:
    from harness.machine.printing import print_json

    answer: dict[str, list[Any]] = {
        kind: [_flat(entry) for entry in of_kind] for kind, of_kind in entries.items()
    }
    if verbose and Listed.models in entries:
        pairs = zip(answer[Listed.models], entries[Listed.models], strict=True)
        answer[Listed.models] = [info | class_facts(found, entry) for info, entry in pairs]
    answer["broken"] = [asdict(plugin) for plugin in found.broken]
    answer["conflicts"] = [asdict(conflict) for conflict in found.conflicts]
    print_json(answer)


def _flat(entry: Registered[Info]) -> dict[str, Any]:
    from harness.hooks import ModelInfo
    from harness.plugins.papers import paper

    found = {"paper": paper(entry.info.target)} if isinstance(entry.info, ModelInfo) else {}
    origin = {"distribution": entry.distribution, "version": entry.version}
    return asdict(entry.info) | found | origin


def _print_tables(
    found: Registry, entries: dict[Listed, list[Registered[Info]]], verbose: bool
) -> None:
    from harness.cli.tables import print_table

    for kind, of_kind in entries.items():
        title = kind if len(entries) > 1 else None
        if verbose and kind is Listed.models and of_kind:
            print_cards(found, of_kind)
            continue
        print_table([_cells(entry, verbose) for entry in of_kind], title)
    for fault in (*found.broken, *found.conflicts):
        console().print(text(fault, "red"), soft_wrap=True)


def _cells(entry: Registered[Info], verbose: bool) -> dict[str, str]:
    """Return the table cells of an entry, by heading."""
    facts = asdict(entry.info)
    name = facts["name"] + (f":{facts['argument']}" if facts.get("argument") else "")
    cells = {"name": name}
    if "type" in facts:
        cells["type"] = facts["type"]
    cells["summary"] = facts["summary"]
    if "needs" in facts:
        cells["needs"] = facts["needs"]
    if verbose:
        cells["target"] = facts["target"]
        cells["from"] = entry.origin
    return cells

"""What ``harness list models -v`` says of each model, from its info and its class."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.padding import Padding

    from harness.hooks import Info
    from harness.registry import Entry, Registry


def class_facts(found: Registry, entry: Entry[Info]) -> dict[str, Any]:
    """Return what the class of a model tells, or the ``fault`` that keeps it from telling."""
    from harness.description import describe

    try:
        return asdict(describe(found.load(entry.info)))
    except Exception as error:
        # A stranger's class may raise anything; the other models are listed all the same.
        return {"fault": f"{type(error).__name__}: {error}"}


def print_cards(console: Console, found: Registry, entries: list[Entry[Info]]) -> None:
    """Print a card for each model."""
    from rich.text import Text

    if not console.is_terminal:
        console.width = 10_000
    for entry in entries:
        told, facts = asdict(entry.info), class_facts(found, entry)
        console.print(Text(told["name"], "bold"), Text(told["summary"]), soft_wrap=True)
        lines = {
            "family": told["family"],
            "paper": told["paper"],
            "tags": ", ".join(told["tags"]),
            "capabilities": ", ".join(facts.get("capabilities", ())),
            "likelihood": facts.get("likelihood") or "",
            "class": told["target"],
            "from": entry.origin,
        }
        for heading, line in lines.items():
            if line:
                console.print(Text(f"  {heading:<13} {line}"), soft_wrap=True)
        if "fault" in facts:
            console.print(Text(f"  {facts['fault']}", "red"), soft_wrap=True)
        else:
            console.print(_settings_table(facts["settings"]))
        console.print()


def _settings_table(settings: tuple[dict[str, Any], ...]) -> Padding:
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for heading in ("setting", "type", "default", "help"):
        table.add_column(heading, overflow="fold")
    for setting in settings:
        words = (setting["name"], setting["type"], repr(setting["default"]), setting["help"])
        table.add_row(*map(Text, words))
    return Padding.indent(table, 2)

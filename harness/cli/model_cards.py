"""The details of ``harness list models -v`` for each model, from its info and its class."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from harness.cli.terminal import console, echo, print_trimmed, text

if TYPE_CHECKING:
    from rich.padding import Padding

    from harness.hooks import Info
    from harness.plugins.registry import Registered, Registry


def class_facts(found: Registry, entry: Registered[Info]) -> dict[str, Any]:
    """Return facts about the class of a model, or the ``fault`` that prevents it."""
    from harness.plugins.capabilities import describe

    try:
        return asdict(describe(found.load(entry.info)))
    except Exception as error:
        # A third-party class may raise anything; the other models are still listed.
        return {"fault": f"{type(error).__name__}: {error}"}


def print_cards(found: Registry, entries: list[Registered[Info]]) -> None:
    """Print a card for each model."""
    from harness.plugins.papers import paper

    out = console()
    if not out.is_terminal:
        out.width = 10_000
    for entry in entries:
        info, facts = asdict(entry.info), class_facts(found, entry)
        out.print(text(info["name"], "bold"), text(info["summary"]), soft_wrap=True)
        lines = {
            "type": info["type"],
            "paper": paper(info["target"]),
            "capabilities": ", ".join(facts.get("capabilities", ())),
            "likelihood": facts.get("likelihood") or "",
            "class": info["target"],
            "from": entry.origin,
        }
        for heading, line in lines.items():
            if line:
                echo(f"  {heading:<13} {line}")
        if "fault" in facts:
            out.print(text(f"  {facts['fault']}", "red"), soft_wrap=True)
        else:
            print_trimmed(_settings_table(facts["settings"]), width=10_000)
        echo()


def _settings_table(settings: tuple[dict[str, Any], ...]) -> Padding:
    from rich.padding import Padding
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("setting", "type", "default", "help"):
        table.add_column(heading, overflow="fold")
    for setting in settings:
        words = (setting["name"], setting["type"], repr(setting["default"]), setting["help"])
        table.add_row(*map(text, words))
    return Padding.indent(table, 2)

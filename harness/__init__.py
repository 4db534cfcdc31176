"""genharness: generative image models under equal compute budgets.

``harness.run("digits")`` is ``harness run digits``, and returns the rows as a pandas frame.
"""

from __future__ import annotations

from importlib import import_module

from harness.machine.interpreters import drop_start_folder, is_command

# Before anything else is imported: a user's typing.py may be in the folder.
if is_command("harness"):
    drop_start_folder()

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from harness.api import plan as plan
    from harness.api import run as run
    from harness.publishing.export import export as export
    from harness.publishing.reading import read_results as read_results
    from harness.publishing.verification import verify as verify
    from harness.reproduction import reproduce as reproduce

_HOMES = {
    "plan": "harness.api",
    "run": "harness.api",
    "export": "harness.publishing.export",
    "read_results": "harness.publishing.reading",
    "reproduce": "harness.reproduction",
    "verify": "harness.publishing.verification",
}

__all__ = ["export", "plan", "read_results", "reproduce", "run", "verify"]


def __getattr__(name: str) -> Any:
    # Imported when first used: listing plugins must not import pandas.
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

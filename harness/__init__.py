"""genharness: generative image models under equal compute budgets.

``harness.run("digits")`` is ``harness run digits``, and returns the rows as a pandas frame.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.api import plan, run

__all__ = ["plan", "run"]


def __getattr__(name: str) -> Any:
    # Imported when first used: listing plugins must not import pandas.
    if name in __all__:
        from harness import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

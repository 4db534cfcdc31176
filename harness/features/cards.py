"""Facts about the committed weights, without importing torch."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

WEIGHTS = Path(__file__).parent / "weights"


@cache
def cards() -> dict[str, dict[str, Any]]:
    """Return, by name of the weights, their SHA-256, the classifier's accuracy and its recipe."""
    content: dict[str, dict[str, Any]] = json.loads((WEIGHTS / "cards.json").read_text("utf-8"))
    return content

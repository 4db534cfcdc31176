"""The kinds of thing that a plugin brings, and that can be started from a template and checked."""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """As ``--kind`` has it."""

    model = "model"
    dataset = "dataset"
    metric = "metric"
    report = "report"

    @property
    def plural(self) -> str:
        """The registry's name of the kind."""
        return f"{self}s"

"""The kinds of plugin, each with a template and checks."""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """A value of ``--kind``."""

    model = "model"
    dataset = "dataset"
    metric = "metric"
    report = "report"

    @property
    def plural(self) -> str:
        """The registry's name of the kind."""
        return f"{self}s"

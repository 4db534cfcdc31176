"""Watches what plugins change in the process of a trial, from before the first is imported."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from harness.machine.process_state import ENVIRONMENT, GENERATORS, SETTINGS, Surroundings

log = logging.getLogger(__name__)


class PluginGuard:
    """Puts back what the code of plugins changes, and reports it for the row.

    Called with a plugin's entry point and distribution, it guards that plugin's import and events.
    All installed plugins are imported in a worker, for they may want its events; what those change
    that bring nothing to the trial reaches nobody. A model keeps what its own package puts into the
    environment, which libraries read.

    Args:
        own: distribution of the trial's model.

    Attributes:
        reports: a sentence for each change.
        of_others: modules that were there before, or came with plugins of other distributions.
    """

    def __init__(self, own: str) -> None:
        self.reports: list[str] = []
        self.of_others = set(sys.modules)
        self._own = own
        self._before = Surroundings(SETTINGS)

    @contextmanager
    def __call__(self, entry_point: str, distribution: str) -> Iterator[None]:
        """Put back what a plugin changes while it is imported or told of an event."""
        is_other = distribution != self._own
        further = Surroundings((*GENERATORS, ENVIRONMENT) if is_other else GENERATORS)
        modules = set(sys.modules)
        try:
            yield
        finally:
            changes = self._before.restore() | further.restore()
            self._report(changes, f" by plugin {entry_point!r} of {distribution}")
            if is_other:
                self.of_others |= sys.modules.keys() - modules

    @contextmanager
    def trial_code(self) -> Iterator[None]:
        """Put back what code changes that the trial itself calls: model, data set, metrics."""
        try:
            yield
        finally:
            self._report(self._before.restore(), "")

    def _report(self, changes: Mapping[str, str], who: str) -> None:
        for name, value in changes.items():
            report = f"{name} was changed to {value}{who}, and put back"
            if report not in self.reports:
                self.reports.append(report)
                log.warning(report)

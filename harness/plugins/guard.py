"""Detects and reverts what plugins change in the process of a trial."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from harness.machine.process_state import ENVIRONMENT, GENERATORS, SETTINGS, ProcessState

log = logging.getLogger(__name__)


class PluginGuard:
    """Restores process state that plugin code changes, and reports it for the row.

    Called with a plugin's entry point and distribution, it guards that plugin's import and events.
    All installed plugins are imported in a worker, as they may handle its events; changes by
    plugins that the trial does not use are reverted. A model keeps what its own package puts into
    the environment, which libraries read.

    Args:
        own: distribution of the trial's model.

    Attributes:
        reports: one sentence per change.
        of_others: modules that were there before, or came with plugins of other distributions.
    """

    def __init__(self, own: str) -> None:
        self.reports: list[str] = []
        self.of_others = set(sys.modules)
        self._own = own
        self._before = ProcessState(SETTINGS)

    @contextmanager
    def __call__(self, entry_point: str, distribution: str) -> Iterator[None]:
        """Restore what a plugin changes while it is imported or handles an event."""
        is_other = distribution != self._own
        further = ProcessState((*GENERATORS, ENVIRONMENT) if is_other else GENERATORS)
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
        """Restore what code changes that the trial itself calls: model, data set, metrics."""
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

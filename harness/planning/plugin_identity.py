"""The plugins that a trial was planned with, and verification that they are the ones that run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from harness.plugins.guard import PluginGuard
from harness.plugins.provenance import libraries
from harness.plugins.registry import Registered, Registry
from harness.plugins.source_files import PluginFiles, source_digest
from harness.plugins.unhashed_modules import unhashed_modules

if TYPE_CHECKING:
    from harness.planning.trial import Trial

DISTRIBUTION = "genharness"

NOT_PLANNED = "is not the one that was planned"
"""Part of the reason of a refused trial."""

SHOWN = 5
"""Maximum files that a reason names."""


class PluginChanged(Exception):
    """The plugins that run are not those that a trial was planned with, or changed meanwhile."""


def identify_model(plugin: Registered[Any]) -> dict[str, str]:
    """Return the identity of a model's plugin."""
    facts = {
        "distribution": plugin.distribution,
        "version": plugin.version,
        "source": source_digest(plugin.info.target),
    }
    brought = libraries(plugin.distribution)
    versions = ", ".join(f"{name} {version}" for name, version in brought.items())
    return facts | ({"libraries": versions} if versions else {})


def identify_measurement(
    features: str, metrics: Sequence[str], registry: Registry
) -> dict[str, str]:
    """Return the identity of features and metrics of other distributions, if any are used.

    Those of the harness are covered by the version of the measurement protocol.
    """
    versions = ", ".join(
        f"{entry.info.name} of {entry.origin} ({source_digest(entry.info.target)[:14]})"
        for entry in _measuring(features, metrics, registry)
    )
    return {"measurement": versions} if versions else {}


def _measuring(features: str, metrics: Sequence[str], registry: Registry) -> list[Registered[Any]]:
    used = [registry.feature(features), *(registry.metric(name) for name in metrics)]
    return [entry for entry in used if entry.distribution != DISTRIBUTION]


class PlannedPlugins:
    """The plugins of a trial while it runs: verified against the plan, with side effects reverted.

    Data sets are verified by their content, whichever code loads them.

    Args:
        trial: as it was planned.
        registry: of its plugins; their code need not be imported yet.
        guard: of what they change, if it already covers their import.
    """

    def __init__(self, trial: Trial, registry: Registry, guard: PluginGuard | None = None) -> None:
        self._trial = trial
        self._metrics = trial.evaluation.metrics or ()
        self._registry = registry
        self._guard = guard
        self._files: list[PluginFiles] = []
        self._contents: dict[str, tuple[str, int]] = {}

    @property
    def guard(self) -> PluginGuard:
        """The guard that restores what they change in this process."""
        if self._guard is None:
            self._guard = PluginGuard(self._trial.plugin["distribution"])
        return self._guard

    def begin(self) -> None:
        """Record all files, and the state of this process if no guard did.

        Raises:
            PluginChanged: other plugins were planned.
        """
        entries = _measuring(self._trial.features["name"], self._metrics, self._registry)
        if not self._trial.is_reference:
            entries.append(self._registry.model(self._trial.model))
        self._files = [PluginFiles(entry.info.target) for entry in entries]
        # Before they are described: later changes are found by the next check.
        self._contents = self._read()
        self._compare(self._describe())

    def check(self) -> None:
        """Check whether a file has changed since the trial started.

        Raises:
            PluginChanged: one has, or was rewritten, so that other content may have been imported.
        """
        now, before = self._read(), self._contents
        changed = [name for name in before | now if before.get(name) != now.get(name)]
        if not changed:
            return
        more = f" and {len(changed) - SHOWN} more" if len(changed) > SHOWN else ""
        raise PluginChanged(
            f"files of its plugins were written while the trial ran: {', '.join(changed[:SHOWN])}"
            f"{more}; run again: with other files it is a different trial, with the same ones "
            "--retry-failed repeats it"
        )

    def check_all(self) -> None:
        """Check whether a file, a version or a library has changed since the trial was planned.

        Raises:
            PluginChanged: one has.
        """
        self.check()
        self._compare(self._describe())

    def cause(self, error: BaseException) -> BaseException:
        """Return why a trial ended: ``error``, unless other code than planned may have run."""
        try:
            self.check()
        except PluginChanged as changed:
            return changed
        return error

    def facts(self) -> dict[str, list[str]]:
        """Return facts about the plugins for the row that are not in the trial's identity."""
        if self._guard is None:
            return {}
        unhashed = unhashed_modules(self._files, self._guard.of_others)
        facts = {"restored": self._guard.reports, "unhashed": unhashed}
        return {name: found for name, found in facts.items() if found}

    def _read(self) -> dict[str, tuple[str, int]]:
        found: dict[str, tuple[str, int]] = {}
        for files in self._files:
            found |= files.contents_and_times()
        return found

    def _describe(self) -> dict[str, str]:
        """Describe the plugins as installed now."""
        facts = {"distribution": DISTRIBUTION}
        if not self._trial.is_reference:
            model = self._registry.model(self._trial.model)
            facts = identify_model(model)
            if model.version:
                facts["version"] = _version(model.distribution)
        features = self._trial.features["name"]
        return facts | identify_measurement(features, self._metrics, self._registry)

    def _compare(self, here: Mapping[str, str]) -> None:
        planned = self._trial.plugin
        differs = [name for name in {**here, **planned} if here.get(name) != planned.get(name)]
        if differs:
            parts = (f"{name} {here.get(name)}, not {planned.get(name)}" for name in differs)
            raise PluginChanged(
                f"{self._trial.model!r} {NOT_PLANNED}: {'; '.join(parts)}. It was edited or "
                "reinstalled since, or another copy of it is found here; run again, with "
                "--retry-failed if it is the same again"
            )


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "none"

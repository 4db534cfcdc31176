"""Which plugins a trial was planned with, and whether it is they that run, from start to end."""

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
"""Part of the reason of a trial that was refused."""

SHOWN = 5
"""Files that a reason names."""


class PluginChanged(Exception):
    """The plugins that run are not those that a trial was planned with, or changed meanwhile."""


def identify_model(plugin: Registered[Any]) -> dict[str, str]:
    """Return what decides how a model's plugin computes."""
    facts = {
        "distribution": plugin.distribution,
        "version": plugin.version,
        "source": source_digest(plugin.info.target),
    }
    brought = libraries(plugin.distribution)
    told = ", ".join(f"{name} {version}" for name, version in brought.items())
    return facts | ({"libraries": told} if told else {})


def identify_measurement(
    features: str, metrics: Sequence[str], registry: Registry
) -> dict[str, str]:
    """Return what decides how the features and metrics of other distributions compute, if any do.

    For those of the harness the version of the measurement's protocol speaks.
    """
    told = ", ".join(
        f"{entry.info.name} of {entry.origin} ({source_digest(entry.info.target)[:14]})"
        for entry in _measuring(features, metrics, registry)
    )
    return {"measurement": told} if told else {}


def _measuring(features: str, metrics: Sequence[str], registry: Registry) -> list[Registered[Any]]:
    used = [registry.feature(features), *(registry.metric(name) for name in metrics)]
    return [entry for entry in used if entry.distribution != DISTRIBUTION]


class PlannedPlugins:
    """The plugins of a trial while it runs: held to what was planned, and to changing nothing else.

    Data sets are held to it by their content, of whoever's code loads them.

    Args:
        trial: as it was planned.
        registry: where its plugins are; their code need not be imported yet.
        guard: of what they change, if it has watched their import already.
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
        """What puts back what they change in this process."""
        if self._guard is None:
            self._guard = PluginGuard(self._trial.plugin["distribution"])
        return self._guard

    def begin(self) -> None:
        """Take note of all files, and of this process as it is if nobody has.

        Raises:
            PluginChanged: other plugins were planned.
        """
        entries = _measuring(self._trial.features["name"], self._metrics, self._registry)
        if not self._trial.is_reference:
            entries.append(self._registry.model(self._trial.model))
        self._files = [PluginFiles(entry.info.target) for entry in entries]
        # Before they are described: what changes after that is found by the next check.
        self._contents = self._read()
        self._compare(self._describe())

    def check(self) -> None:
        """Look whether a file has changed since the trial began.

        Raises:
            PluginChanged: one has, or was written anew, so that another may have been imported.
        """
        now, before = self._read(), self._contents
        changed = [name for name in before | now if before.get(name) != now.get(name)]
        if not changed:
            return
        more = f" and {len(changed) - SHOWN} more" if len(changed) > SHOWN else ""
        raise PluginChanged(
            f"files of its plugins were written while the trial ran: {', '.join(changed[:SHOWN])}"
            f"{more}; run again: with other files it is another trial, and with the same ones "
            "--retry-failed repeats it"
        )

    def check_all(self) -> None:
        """Look whether a file, a version or a library has changed since the trial was planned.

        Raises:
            PluginChanged: one has.
        """
        self.check()
        self._compare(self._describe())

    def cause(self, error: BaseException) -> BaseException:
        """Return why a trial ended: ``error``, unless other code may have run than was planned."""
        try:
            self.check()
        except PluginChanged as changed:
            return changed
        return error

    def facts(self) -> dict[str, list[str]]:
        """Return what a row says of the plugins that is not in the trial's identity."""
        if self._guard is None:
            return {}
        unhashed = unhashed_modules(self._files, self._guard.of_others)
        facts = {"disturbed": self._guard.reports, "unhashed": unhashed}
        return {name: found for name, found in facts.items() if found}

    def _read(self) -> dict[str, tuple[str, int]]:
        found: dict[str, tuple[str, int]] = {}
        for files in self._files:
            found |= files.contents_and_times()
        return found

    def _describe(self) -> dict[str, str]:
        """Describe the plugins anew, by what is installed now."""
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
                "installed anew since, or another copy of it is found here; run again, with "
                "--retry-failed if it is the same again"
            )


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "none"

"""Discovery of installed plugins: what they provide, and which are broken.

Every plugin has its own plugin manager, so that one which fails to import, returns nonsense or
raises in an event affects no other.
"""

from __future__ import annotations

import importlib
import logging
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from importlib.metadata import Distribution, EntryPoint, entry_points
from types import MappingProxyType
from typing import Any, Generic, TypeVar

import pluggy

from harness import hooks
from harness.errors import UserError, did_you_mean, quoted
from harness.hooks import DatasetInfo, FeatureInfo, Info, MetricInfo, ModelInfo, ReportInfo

log = logging.getLogger(__name__)

KINDS: Mapping[str, type[Info]] = MappingProxyType(
    {
        "models": ModelInfo,
        "datasets": DatasetInfo,
        "features": FeatureInfo,
        "metrics": MetricInfo,
        "reports": ReportInfo,
    }
)
_SINGULAR = {
    "models": "model",
    "datasets": "data set",
    "features": "feature extractor",
    "metrics": "metric",
    "reports": "report",
}
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
_TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")

InfoT = TypeVar("InfoT", bound=Info, covariant=True)


@dataclass(frozen=True)
class Registered(Generic[InfoT]):
    """An info, and the distribution that provides it."""

    info: InfoT
    distribution: str
    version: str

    @property
    def origin(self) -> str:
        """Distribution and version, for display."""
        return f"{self.distribution} {self.version}".strip()


@dataclass(frozen=True)
class BrokenPlugin:
    """An entry point that could not be used, and why."""

    entry_point: str
    distribution: str
    reason: str

    def __str__(self) -> str:
        return f"plugin {self.entry_point!r} of {self.distribution} is broken: {self.reason}"


@dataclass(frozen=True)
class Conflict:
    """One name that several plugins claim; it cannot be used."""

    kind: str
    name: str
    entries: tuple[Registered[Info], ...]

    def __str__(self) -> str:
        claims = " and ".join(f"{entry.origin} ({entry.info.target})" for entry in self.entries)
        return (
            f"{len(self.entries)} {self.kind} are called {self.name!r}: {claims}; "
            "uninstall or rename all but one"
        )


Guard = Callable[[str, str], AbstractContextManager[None]]
"""Context manager around the code of a plugin, from its entry point and distribution."""


def _unguarded(entry_point: str, distribution: str) -> AbstractContextManager[None]:
    return nullcontext()


class Plugin:
    """One loaded entry point, with all that it provides.

    Args:
        entry_point: to load.
        guard: context manager around its import and its events.

    Raises:
        Exception: anything that the plugin's import or its hooks raise, or ``TypeError`` and
            ``ValueError`` for invalid return values.
    """

    def __init__(self, entry_point: EntryPoint, guard: Guard = _unguarded) -> None:
        self.entry_point = entry_point.name
        self.distribution, self.version = _origin(entry_point.dist)
        self._guard = guard
        self._manager = pluggy.PluginManager(hooks.GROUP)
        self._manager.add_hookspecs(hooks.Specification)
        with guard(self.entry_point, self.distribution):
            found = entry_point.load()
            self._manager.register(found, name=entry_point.name)
            self._manager.check_pending()
            _require_hooks(found, self._manager)
            self.infos = tuple(info for kind in KINDS for info in self._infos(kind))
        self._faulty: set[str] = set()

    def _infos(self, kind: str) -> Iterator[Info]:
        hook = f"harness_{kind}"
        for answer in getattr(self._manager.hook, hook)():
            if not isinstance(answer, list | tuple):
                raise TypeError(f"{hook}() returned {answer!r} instead of a list")
            for info in answer:
                _check(info, hook, KINDS[kind])
                yield info

    def notify(self, event: str, **facts: Any) -> None:
        """Notify the plugin of an event; the first time it fails, log a warning."""
        hook = getattr(self._manager.hook, event)
        if not hook.get_hookimpls():
            return
        try:
            with self._guard(self.entry_point, self.distribution):
                hook(**facts)
        except Exception as error:
            if event not in self._faulty:
                self._faulty.add(event)
                name = f"{self.entry_point!r} of {self.distribution}"
                log.warning("plugin %s failed in %s: %s", name, event, _one_line(error))


class Hooks:
    """The events, each sent to every plugin even if others fail: ``hooks.harness_step(...)``."""

    def __init__(self, plugins: Iterable[Plugin]) -> None:
        self._plugins = tuple(plugins)

    def harness_trial_started(self, trial: Mapping[str, Any]) -> None:
        """Notify plugins that a trial starts."""
        for plugin in self._plugins:
            plugin.notify("harness_trial_started", trial=trial)

    def harness_step(self, trial: Mapping[str, Any], usage: Mapping[str, Any]) -> None:
        """Notify plugins of the usage after a timed window of steps."""
        for plugin in self._plugins:
            plugin.notify("harness_step", trial=trial, usage=usage)

    def harness_trial_finished(self, row: Mapping[str, Any]) -> None:
        """Notify plugins of the row of an ended trial."""
        for plugin in self._plugins:
            plugin.notify("harness_trial_finished", row=row)


class Registry:
    """What the given entry points provide, by kind and name.

    Attributes:
        models: by name, as are the other kinds; names in conflict are left out.
        broken: entry points that could not be used.
        conflicts: names that several plugins claim.
        hooks: the events, for all plugins.
    """

    def __init__(self, points: Iterable[EntryPoint], guard: Guard = _unguarded) -> None:
        plugins: list[Plugin] = []
        broken: list[BrokenPlugin] = []
        for point in points:
            try:
                plugins.append(Plugin(point, guard))
            except (Exception, SystemExit) as error:
                broken.append(BrokenPlugin(point.name, _origin(point.dist)[0], _one_line(error)))
        self.broken = tuple(broken)
        self.hooks = Hooks(plugins)
        self.conflicts: tuple[Conflict, ...] = ()
        self.models = self._collect("models", ModelInfo, plugins)
        self.datasets = self._collect("datasets", DatasetInfo, plugins)
        self.features = self._collect("features", FeatureInfo, plugins)
        self.metrics = self._collect("metrics", MetricInfo, plugins)
        self.reports = self._collect("reports", ReportInfo, plugins)

    def _collect(
        self, kind: str, expected: type[InfoT], plugins: Iterable[Plugin]
    ) -> Mapping[str, Registered[InfoT]]:
        claims: dict[str, list[Registered[InfoT]]] = defaultdict(list)
        for plugin in plugins:
            for info in plugin.infos:
                if isinstance(info, expected):
                    claims[info.name].append(Registered(info, plugin.distribution, plugin.version))
        self.conflicts += tuple(
            Conflict(kind, name, tuple(entries))
            for name, entries in claims.items()
            if len(entries) > 1
        )
        unique = {name: entries[0] for name, entries in claims.items() if len(entries) == 1}
        return MappingProxyType(unique)

    def model(self, name: str) -> Registered[ModelInfo]:
        """Return the model called ``name``; raises ``UserError``, as do the other look-ups."""
        return self._find("models", self.models, name)

    def dataset(self, name: str) -> Registered[DatasetInfo]:
        """Return the data set of ``name`` or ``name:argument``."""
        whole = name
        name, argument = split_argument(name)
        entry = self._find("datasets", self.datasets, name)
        if whole != name and not entry.info.argument:
            raise UserError(
                f"data set {name!r} takes no argument, but was given {quoted(argument)}; "
                f"write {name!r}"
            )
        return entry

    def feature(self, name: str) -> Registered[FeatureInfo]:
        """Return the feature extractor called ``name``."""
        return self._find("features", self.features, name)

    def metric(self, name: str) -> Registered[MetricInfo]:
        """Return the metric called ``name``."""
        return self._find("metrics", self.metrics, name)

    def report(self, name: str) -> Registered[ReportInfo]:
        """Return the report called ``name``."""
        return self._find("reports", self.reports, name)

    def _find(
        self, kind: str, entries: Mapping[str, Registered[InfoT]], name: str
    ) -> Registered[InfoT]:
        if name in entries:
            return entries[name]
        for conflict in self.conflicts:
            if (conflict.kind, conflict.name) == (kind, name):
                raise UserError(str(conflict))
        hint = did_you_mean(name, entries) or f"; there are: {', '.join(sorted(entries)) or 'none'}"
        name = quoted(name)
        possible_sources = "".join(f"\n{plugin}; it may provide {name}" for plugin in self.broken)
        raise UserError(f"no {_SINGULAR[kind]} is called {name}{hint}{possible_sources}")

    def require_sound(self) -> None:
        """Raise ``UserError`` naming every broken plugin and every conflict, if there is one."""
        faults = [str(fault) for fault in (*self.broken, *self.conflicts)]
        if faults:
            raise UserError("\n".join(faults))

    @staticmethod
    def load(info: Info) -> Any:
        """Import what ``info.target`` names; raises ``UserError`` naming what is missing."""
        where = f"{info.name!r} ({info.target})"
        module_name, _, path = info.target.partition(":")
        try:
            found: Any = importlib.import_module(module_name)
        except Exception as error:
            raise UserError(f"cannot import {where}: {_one_line(error)}") from error
        for attribute in path.split("."):
            if not hasattr(found, attribute):
                hint = did_you_mean(attribute, vars(found))
                raise UserError(f"cannot import {where}: there is no {attribute!r}{hint}")
            found = getattr(found, attribute)
        return found


PLUGINS, STRICT = "GENHARNESS_PLUGINS", "GENHARNESS_STRICT"
"""Environment variables, because workers inherit them: the plugins that may load, comma-separated;
and, if not empty, that none of them may be broken."""


def registry(guard: Guard = _unguarded) -> Registry:
    """Return the registry of installed plugins that may load, discovered once per process.

    Args:
        guard: context manager around the import and the events of each plugin.

    Raises:
        UserError: a plugin that may load is not installed; or, in strict mode, one is broken or a
            name is claimed twice.
    """
    found = _installed(allowed_plugins(), guard)
    if os.environ.get(STRICT):
        found.require_sound()
    return found


def allowed_plugins() -> tuple[str, ...] | None:
    """Return which plugins may load, by distribution or entry point; None if all may."""
    text = os.environ.get(PLUGINS, "")
    return tuple(sorted({name.strip() for name in text.split(",")} - {""})) if text else None


@cache
def _installed(allowed: tuple[str, ...] | None, guard: Guard) -> Registry:
    points = sorted(
        entry_points(group=hooks.GROUP), key=lambda point: (_origin(point.dist)[0], point.name)
    )
    return Registry(points if allowed is None else _chosen(points, allowed), guard)


def _chosen(points: Iterable[EntryPoint], allowed: Iterable[str]) -> list[EntryPoint]:
    """Return the entry points of the allowed names; the others are never imported."""
    names = {point: {point.name, _origin(point.dist)[0]} for point in points}
    known = {_normal(name): name for of_point in names.values() for name in of_point}
    wanted = {_normal(name) for name in allowed}
    if not wanted:
        raise UserError("--plugins is empty; write comma-separated names")
    for name in allowed:
        if _normal(name) not in known:
            hint = did_you_mean(name, known.values())
            raise UserError(
                f"--plugins: no plugin or distribution is called {quoted(name)}"
                f"{hint or '; there are: ' + ', '.join(sorted(known.values()))}"
            )
    return [point for point, own in names.items() if wanted & {_normal(name) for name in own}]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def split_argument(name: str) -> tuple[str, str]:
    """Split "image-folder:PATH" into name and argument; the argument is "" without a colon."""
    name, _, argument = name.partition(":")
    return name, argument


def _origin(distribution: Distribution | None) -> tuple[str, str]:
    if distribution is None:
        return "an unknown distribution", ""
    return distribution.name, distribution.version


def _require_hooks(plugin: object, manager: pluggy.PluginManager) -> None:
    """Raise ``ValueError`` if a plugin has a hook that would never be called, or has none."""
    names = [name for name in vars(hooks.Specification) if name.startswith("harness_")]
    called = {caller.name for caller in manager.get_hookcallers(plugin) or ()}
    for name in names:
        if name not in called and callable(getattr(plugin, name, None)):
            raise ValueError(
                f"{name}() is not a hook, so it provides nothing: write @hookimpl above it "
                "(from harness.hooks import hookimpl)"
            )
    if not called:
        raise ValueError(f"it provides nothing: it has none of the hooks {', '.join(names)}")


def _check(info: object, hook: str, expected: type[Info]) -> None:
    if not isinstance(info, expected):
        raise TypeError(f"{hook}() returned {info!r} instead of a {expected.__name__}")
    if not _NAME.fullmatch(info.name):
        raise ValueError(f"{hook}() returned the name {info.name!r}; use letters, digits, '-._'")
    if not _TARGET.fullmatch(info.target):
        raise ValueError(
            f"{hook}() returned the target {info.target!r} for {info.name!r}; "
            "expected 'package.module:attribute'"
        )


def _one_line(error: BaseException) -> str:
    """Return an exception in one line: its type and message."""
    return " ".join(f"{type(error).__name__}: {error}".split()).rstrip(": ")

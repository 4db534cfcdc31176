"""Modules that run in a trial without being covered by its identity."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Collection, Iterable
from importlib.machinery import BuiltinImporter, FrozenImporter
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

from harness.hooks import GROUP
from harness.plugins.source_files import PluginFiles, is_installed, places_of

MOST = 20
"""Maximum modules that a row names."""

_MADE_BY_LIBRARIES = ("_cython", "cython_runtime", "_remote_module_")
"""Prefixes of modules without a file that Cython and torch generate."""

_NEVER = {"harness", "__main__", "__mp_main__"}


def unhashed_modules(hashed: Iterable[PluginFiles], exempt: Collection[str]) -> list[str]:
    """Return imported modules that are neither hashed nor known by a version, only the outermost.

    They are generated, or come from folders that a plugin adds to the path or reads itself.
    Plugins are left out: that of the trial is hashed, and others provide data that are hashed.

    Args:
        hashed: covered by the identity.
        exempt: modules to be ignored.
    """
    specs = [spec for files in hashed for spec in files.packages.values()]
    plugins = {point.module.partition(".")[0] for point in entry_points(group=GROUP)}
    roots = [str(place) for spec in specs for place in places_of(spec)]
    roots += [sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")]
    found: list[str] = []
    for name, module in sorted(sys.modules.items()):
        top = name.partition(".")[0]
        if top in _NEVER | plugins | sys.stdlib_module_names or name in exempt:
            continue
        if any(name.startswith(f"{outer}.") for outer in found[-1:]):
            continue
        if not _is_covered(module, top, roots):
            found.append(name)
    more = len(found) - MOST
    return found if more <= 0 else [*found[:MOST], f"and {more} more"]


def _is_covered(module: ModuleType, top: str, roots: Iterable[str]) -> bool:
    place = _place(module)
    if place is None:
        # Modules that a package generates within itself are covered by the package.
        outer = sys.modules.get(top)
        place = None if outer is None or outer is module else _place(outer)
    if place is None:
        return _is_built_in(module) or top.startswith(_MADE_BY_LIBRARIES)
    if any(place == root or place.startswith(f"{root}/") for root in roots):
        return True
    outer = sys.modules.get(top, module)
    path = Path(_place(outer) or place)
    return is_installed(top, path.parent if hasattr(outer, "__path__") else path)


def _place(module: ModuleType) -> str | None:
    """Return a module's file, or the place of that of a package without one."""
    file = getattr(module, "__file__", None)
    if isinstance(file, str) and file.startswith("/"):
        return file
    folders = getattr(module, "__path__", None) or ()
    try:
        return next((f"{folder}/__init__.py" for folder in folders), None)
    except (TypeError, KeyError):
        return None


def _is_built_in(module: ModuleType) -> bool:
    spec = getattr(module, "__spec__", None)
    return getattr(spec, "loader", None) in (BuiltinImporter, FrozenImporter)

"""Where a result comes from: the source files behind a plugin, and the environment it ran in."""

from __future__ import annotations

import ast
import hashlib
import json
import platform
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import (
    Distribution,
    PackageNotFoundError,
    distributions,
    entry_points,
    requires,
    version,
)
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from harness.errors import UserError
from harness.hooks import GROUP
from harness.registry import allowed_plugins


def source_digest(target: str) -> str:
    """Return the SHA-256 of the source files that make up a plugin.

    They are the module of the import string and all that it imports, directly or not, from the
    distribution that it belongs to. Imports are read from the syntax tree; nothing is executed.
    ``harness`` itself is left out, for its protocol versions speak for it, and so is a package's
    ``__init__`` that is only passed through on the way to a module.

    Args:
        target: "package.module:attribute".

    Raises:
        UserError: if there is no such module.
    """
    start = target.partition(":")[0]
    digest = hashlib.sha256()
    for name, path in sorted(_sources(start).items()):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{name} {content}\n".encode())
    return digest.hexdigest()


def libraries(distribution: str) -> dict[str, str]:
    """Return the versions of what a plugin's distribution requires, by name.

    A model that wraps a library is what that version of it computes. Left out are the harness and
    what it requires itself, which are every model's environment, and what only extras ask for.
    """
    found = {}
    for name in sorted(_required(distribution) - {"genharness", *_required("genharness")}):
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # required on other machines than this one
            continue
    return found


def environment() -> dict[str, Any]:
    """Return what a result depends on besides its inputs: packages, commit, Python, command, time.

    ``packages`` gives versions, ``direct`` where those came from that no index has: a repository
    with its commit, an archive's address, or "" for files of this machine. ``commit`` and ``dirty``
    (tracked files differ from it) are of the working tree that the harness runs from; both are None
    outside of one. ``plugins`` are those that could load; None if all could.
    """
    commit, dirty = _commit()
    return {
        "packages": _packages(),
        "direct": _direct(),
        "commit": commit,
        "dirty": dirty,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "plugins": allowed_plugins(),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _sources(start: str) -> dict[str, Path]:
    """Return the files of ``start`` and of what it imports from its own distribution, by module."""
    if _find(start) is None:
        raise UserError(f"no module is called {start!r}, which a plugin names")
    ours = _neighbours(start)
    found: dict[str, Path] = {}
    waiting = [start]
    while waiting:
        name = waiting.pop()
        spec = _find(name)
        if name in found or spec is None or not spec.has_location or spec.origin is None:
            continue
        found[name] = Path(spec.origin)
        package = name if spec.submodule_search_locations is not None else spec.parent or ""
        for module, attributes in _imports(found[name], package):
            if ours(_top(module)):
                # What is not a submodule is defined by the package itself.
                submodules = (f"{module}.{attribute}" for attribute in attributes)
                waiting += [sub if _find(sub) else module for sub in submodules] or [module]
    return found


def _imports(path: Path, package: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the modules that a file in ``package`` imports, and the names it takes from each."""
    try:
        tree = ast.parse(path.read_bytes() if path.suffix == ".py" else b"")
    except SyntaxError:  # loading the plugin will say so
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, []) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            above = parts[: len(parts) + 1 - node.level] if node.level else []
            module = ".".join([*above, node.module] if node.module else above)
            yield module, [alias.name for alias in node.names]


def _find(name: str) -> ModuleSpec | None:
    """Find a module, but execute none of its parent packages, as ``find_spec`` would."""
    parent_name, _, _ = name.rpartition(".")
    if not parent_name:
        return find_spec(name)
    parent = _find(parent_name)
    if parent is None or parent.submodule_search_locations is None:
        return None
    return PathFinder.find_spec(name, list(parent.submodule_search_locations))


def _top(module: str) -> str:
    return module.partition(".")[0]


def _neighbours(start: str) -> Callable[[str], bool]:
    """Return the test for top-level packages of the distribution that ``start`` belongs to."""
    top = _top(start)
    plugins = {point.dist.name: point.dist for point in entry_points(group=GROUP) if point.dist}
    owners = [dist for dist in plugins.values() if _holds(dist, top)]

    @cache
    def ours(other: str) -> bool:
        if other == "harness":
            return False
        return other == top or any(_holds(dist, other) for dist in owners)

    return ours


def _holds(distribution: Distribution, top: str) -> bool:
    """Whether a top-level package is among a distribution's files, or in its editable folder."""
    if any(Path(file.parts[0]).stem == top for file in distribution.files or ()):
        return True
    folder, spec = _editable_folder(distribution), find_spec(top)
    if folder is None or spec is None:
        return False
    places = [spec.origin or "", *(spec.submodule_search_locations or ())]
    # A virtual environment may lie in the folder, with the packages of others.
    return any(
        Path(place).resolve().is_relative_to(folder) and "site-packages" not in Path(place).parts
        for place in places
    )


def _editable_folder(distribution: Distribution) -> Path | None:
    record = json.loads(distribution.read_text("direct_url.json") or "{}")
    if not record.get("dir_info", {}).get("editable"):
        return None
    return Path(url2pathname(urlsplit(record["url"]).path)).resolve()


def _required(distribution: str) -> set[str]:
    """Return the normalised names of what a distribution requires without any extra."""
    try:
        requirements = requires(distribution) or []
    except PackageNotFoundError:
        return set()
    names = (re.match(r"[\w.-]+", line) for line in requirements if "extra ==" not in line)
    return {re.sub(r"[-_.]+", "-", name[0]).lower() for name in names if name}


def _packages() -> dict[str, str]:
    """Return the installed distributions and their versions, the first of each name on the path."""
    found: dict[str, str] = {}
    for distribution in distributions():
        found.setdefault(distribution.name, distribution.version)
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))


def _direct() -> dict[str, str]:
    """Return the origin of the distributions that were installed from none of pip's indexes."""
    found: dict[str, str] = {}
    for distribution in distributions():
        record = json.loads(distribution.read_text("direct_url.json") or "null")
        if record is None:
            continue
        origin = record["url"]
        if "vcs_info" in record:
            source = record["vcs_info"]
            origin = f"{source['vcs']}+{origin}@{source['commit_id']}"
        # A path tells others nothing, and more of this machine than they need to know.
        found.setdefault(distribution.name, "" if "file://" in origin else origin)
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))


def _commit() -> tuple[str | None, bool | None]:
    """Return commit and dirty flag of the working tree that tracks this very file, if any does."""
    folder, name = Path(__file__).resolve().parent, Path(__file__).name
    if _git(folder, "ls-files", "--error-unmatch", name) is None:
        return None, None
    commit = _git(folder, "rev-parse", "HEAD")
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return commit, None if changes is None else bool(changes)


def _git(folder: Path, *arguments: str) -> str | None:
    command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()

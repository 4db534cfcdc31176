"""The files that make up a plugin, and their digest: what is hashed is what may run.

They are all files of the top-level package of its target, code or not, and those of every other
package that it imports or names and whose content nothing else identifies: others of its
distribution, and modules that no installer put where they are, such as editable installations and
folders on ``PYTHONPATH``. Installed packages of others are known by their versions, the standard
library by Python's, and ``harness`` by the versions of its protocols. Nothing is executed.

Left out are what Python and editors leave behind (``__pycache__``, hidden files, backups that end
in ``~``), and results of the harness that lie within a package.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import cache, cached_property, lru_cache
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import Distribution, distributions, entry_points
from importlib.util import find_spec
from pathlib import Path

from harness.errors import UserError
from harness.hooks import GROUP

RULE = 2
"""Version of the rule of what is hashed. Rule 1 covered only modules and static imports."""

LARGE = 2**24
"""Size from which a file is read again only if its size or one of its times has changed."""

_IMPORT = re.compile(
    rb"(?:^|[;:])[ \t]*(?:from[ \t]+([A-Za-z_]\w*)|import[ \t]+([^\n;#]+))", re.MULTILINE
)
_NAME = re.compile(rb"[\"']([A-Za-z_]\w*)(?:[./][\w./-]*)?[\"']")
_SITES = {"site-packages", "dist-packages"}


def source_digest(target: str) -> str:
    """Return the digest of the files behind an import string: "RULE:SHA-256".

    Args:
        target: "package.module:attribute".

    Raises:
        UserError: if there is no such module.
    """
    return PluginFiles(target).digest()


def rule_of(digest: str) -> int:
    """Return the rule of a digest; digests of different rules are not comparable."""
    rule, colon, _ = digest.partition(":")
    return int(rule) if colon and rule.isdecimal() else 1


class PluginFiles:
    """The files of a plugin: found once, and read on demand.

    Args:
        target: "package.module:attribute".

    Raises:
        UserError: if there is no such module.
    """

    def __init__(self, target: str) -> None:
        self.target = target
        module = target.partition(":")[0]
        if find_module(module) is None:
            raise UserError(f"no module is called {module!r}, which a plugin names")
        self._own = module.partition(".")[0]
        self._owners = _owners(module)
        self._recorded = frozenset[str]().union(*map(_recorded, self._owners))
        self.packages = self._find_packages()

    def digest(self) -> str:
        """Return "RULE:SHA-256" of the target and of all names and contents."""
        digest = hashlib.sha256(f"{self.target}\n".encode())
        for name, content in self.contents().items():
            digest.update(f"{name} {content}\n".encode())
        return f"{RULE}:{digest.hexdigest()}"

    def contents(self) -> dict[str, str]:
        """Return the SHA-256 of each file, by its name below the folder of its package."""
        found = {}
        for name, path in sorted(self.files().items()):
            if content := _content(path):
                found[name] = content
        return found

    def contents_and_times(self) -> dict[str, tuple[str, int]]:
        """Return the SHA-256 of each file, and its times of modification, by its name."""
        found, files = {}, self.files()
        for name, content in self.contents().items():
            with suppress(KeyError, FileNotFoundError):
                found[name] = content, files[name].stat().st_mtime_ns
        return found

    def files(self) -> dict[str, Path]:
        """Return the files as they are now."""
        found: dict[str, Path] = {}
        for package, spec in self.packages.items():
            found |= self._files_of(package, spec)
        return found | self._data()

    def _find_packages(self) -> dict[str, ModuleSpec]:
        """Return the top-level packages and modules that count, by name."""
        found: dict[str, ModuleSpec] = {}
        waiting = [self._own]
        while waiting:
            package = waiting.pop()
            spec = find_module(package)
            if spec is None or package in found:
                continue
            found[package] = spec
            for path in self._files_of(package, spec).values():
                if path.suffix == ".py":
                    imported, named = _mentioned(_read(path))
                    candidates = imported | (named & self._siblings)
                    waiting += [name for name in candidates - found.keys() if self._counts(name)]
        return found

    def _counts(self, package: str) -> bool:
        """Whether only its content identifies a package."""
        if package == "harness" or package in sys.stdlib_module_names:
            return False
        if package in self._recorded or package in _recorded_by_harness():
            return True
        spec = find_module(package)
        places = [] if spec is None else places_of(spec)
        return bool(places) and not any(is_installed(package, place) for place in places)

    @cached_property
    def _siblings(self) -> frozenset[str]:
        """Packages that count if a string names them, as in ``import_module("name")``."""
        spec = find_module(self._own)
        beside = [place.parent for place in places_of(spec)] if spec else []
        return self._recorded | {
            path.stem
            for folder in beside
            if folder.is_dir() and not _SITES & set(folder.parts)
            for path in folder.iterdir()
            if path.suffix == ".py" or (path / "__init__.py").exists()
        }

    def _files_of(self, package: str, spec: ModuleSpec) -> dict[str, Path]:
        """Return the files of a package; of one with several parts, those of our distribution."""
        if spec.origin is None and package in self._recorded:
            return {
                str(file): Path(str(file.locate()))
                for owner in self._owners
                for file in owner.files or ()
                if file.parts[0] == package and not any(map(_is_left_out, file.parts))
            }
        found: dict[str, Path] = {}
        for place in places_of(spec):
            if place.is_dir():
                found |= {f"{package}/{name}": path for name, path in _below(place)}
            elif (path := _regular(place)) is not None:
                found[path.name] = path
        return found

    def _data(self) -> dict[str, Path]:
        """Return files of the plugin's distribution outside of its packages."""
        return {
            str(file): Path(str(file.locate()))
            for owner in self._owners
            for file in owner.files or ()
            if file.parts[0] == ".." and not {"bin", "Scripts"} & set(file.parts)
        }


def _owners(module: str) -> list[Distribution]:
    """Return the plugins' distributions that contain a module; several for a namespace package."""
    plugins = {point.dist.name: point.dist for point in entry_points(group=GROUP) if point.dist}
    own, path = module.partition(".")[0], module.replace(".", "/")
    owners = [dist for dist in plugins.values() if own in _recorded(dist)]
    holders = [
        dist
        for dist in owners
        if any(str(file).startswith((f"{path}.", f"{path}/")) for file in dist.files or ())
    ]
    return holders or owners


def _mentioned(source: bytes) -> tuple[frozenset[str], frozenset[str]]:
    """Return the top-level modules that a file imports, and those that its strings may name."""
    return _mentioned_in(source.replace(b"\\\n", b" "))


@lru_cache(maxsize=1024)
def _mentioned_in(source: bytes) -> tuple[frozenset[str], frozenset[str]]:
    imported = set()
    for module, modules in _IMPORT.findall(source):
        names = [module] if module else modules.split(b",")
        imported |= {re.split(rb"[\s.]", name.strip(), maxsplit=1)[0] for name in names}
    return _texts(imported), _texts(set(_NAME.findall(source)))


def _texts(names: set[bytes]) -> frozenset[str]:
    return frozenset(name.decode(errors="replace") for name in names if name)


def find_module(name: str) -> ModuleSpec | None:
    """Find a module without executing its parent packages, which ``find_spec`` does."""
    parent_name, _, _ = name.rpartition(".")
    if not parent_name:
        try:
            return find_spec(name)
        except ValueError:  # a module without a specification, such as __main__
            return None
    parent = find_module(parent_name)
    if parent is None or parent.submodule_search_locations is None:
        return None
    places = list(parent.submodule_search_locations)
    try:
        return PathFinder.find_spec(name, places)
    except KeyError:  # a namespace within one that is not imported
        spec = ModuleSpec(name, None, is_package=True)
        inner = [os.path.join(place, name.rpartition(".")[2]) for place in places]
        spec.submodule_search_locations = [place for place in inner if os.path.isdir(place)]
        return spec


def places_of(spec: ModuleSpec) -> list[Path]:
    """Return the folders of a package, or the file of a module; nothing for those without files."""
    if spec.submodule_search_locations is not None:
        return [Path(place) for place in spec.submodule_search_locations]
    return [Path(spec.origin)] if spec.has_location and spec.origin else []


def is_installed(package: str, place: Path) -> bool:
    """Whether a package was installed by an installer, so that its version identifies it."""
    if _SITES & set(place.parts):
        return True
    folder = place.parent
    changed = folder.stat().st_mtime_ns if folder.is_dir() else 0
    return package in _installed_in(folder, changed)


@lru_cache(maxsize=64)
def _installed_in(folder: Path, changed: int) -> frozenset[str]:
    """Return the packages of distributions in a folder, cached by its time of modification."""
    found = (dist for dist in distributions(path=[str(folder)]) if dist.read_text("RECORD"))
    return frozenset[str]().union(*map(_recorded, found))


def _recorded(distribution: Distribution) -> frozenset[str]:
    """Return the top-level packages and modules among a distribution's files."""
    tops = (file.parts[0] for file in distribution.files or ())
    return frozenset(top.partition(".")[0] for top in tops if not top.endswith("-info"))


@cache
def _recorded_by_harness() -> frozenset[str]:
    own = (dist for dist in distributions(name="genharness"))
    return frozenset[str]().union(*map(_recorded, own))


def _below(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the files below a folder, through links, with their names as below it."""
    seen = set()
    for root, folders, files in os.walk(folder, followlinks=True):
        here = os.path.realpath(root)
        if here in seen or _holds_results(Path(root), folders):
            folders.clear()
            continue
        seen.add(here)
        folders[:] = [name for name in folders if not _is_left_out(name)]
        for name in files:
            path = Path(root, name)
            if not _is_left_out(name):
                yield path.relative_to(folder).as_posix(), path


def _is_left_out(name: str) -> bool:
    return name == "__pycache__" or name.startswith(".") or name.endswith("~")


def _holds_results(folder: Path, folders: list[str]) -> bool:
    """Whether a folder holds results of benchmarks, which grow while trials run."""
    return any((folder / name / "benchmark.toml").exists() for name in folders) and any(
        (folder / name / "trials").is_dir() for name in folders
    )


def _regular(place: Path) -> Path | None:
    """Return a module's file, or the archive that it is in."""
    return next((path for path in (place, *place.parents) if path.is_file()), None)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _content(path: Path) -> str:
    """Return a file's SHA-256; "" if it is gone, not a file, or a dangling link."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return ""
        if status.st_size < LARGE:
            return hashlib.sha256(path.read_bytes()).hexdigest()
        times = status.st_mtime_ns, status.st_ctime_ns
        return _content_of_large(path, status.st_ino, status.st_size, times)
    except FileNotFoundError:
        return ""
    except PermissionError:
        return "unreadable"


@lru_cache(maxsize=256)
def _content_of_large(path: Path, node: int, size: int, times: tuple[int, int]) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""Provenance of a result: the libraries of a plugin, and the environment it ran in."""

from __future__ import annotations

import json
import platform
import re
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import (
    PackageNotFoundError,
    distributions,
    requires,
    version,
)
from pathlib import Path
from typing import Any

from harness.plugins.registry import allowed_plugins


def libraries(distribution: str) -> dict[str, str]:
    """Return the versions of what a plugin's distribution requires, by name.

    The version of a wrapped library determines what a model computes. Left out are the harness and
    its own requirements, which all models share, and requirements of extras.
    """
    found = {}
    for name in sorted(_required(distribution) - {"genharness", *_required("genharness")}):
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # required only on other platforms
            continue
    return found


def record_environment() -> dict[str, Any]:
    """Return what a result depends on besides its inputs: packages, commit, Python, command, time.

    ``packages`` gives versions, ``direct`` the origin of those that are on no index: a repository
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
    """Return the origin of the distributions that were not installed from a package index."""
    found: dict[str, str] = {}
    for distribution in distributions():
        record = json.loads(distribution.read_text("direct_url.json") or "null")
        if record is None:
            continue
        origin = record["url"]
        if "vcs_info" in record:
            source = record["vcs_info"]
            origin = f"{source['vcs']}+{origin}@{source['commit_id']}"
        # A path is useless to others, and reveals more of this machine than they need to know.
        found.setdefault(distribution.name, "" if "file://" in origin else origin)
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))


def _commit() -> tuple[str | None, bool | None]:
    """Return commit and dirty flag of the working tree that tracks this file, if any."""
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

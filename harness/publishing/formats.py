"""Writing of reports in the installed formats."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.errors import ELSEWHERE, Unwritable, UserError
from harness.hooks import ReportInfo
from harness.plugins.registry import Registry
from harness.results import Results
from harness.row import Row

Compare = Callable[[Sequence[Row], str, str, str], Sequence[str]]
"""Whether one entry is better than another by a metric, in sentences."""


@dataclass(frozen=True)
class WrittenReport:
    """Outcome of writing a report.

    Attributes:
        files: main file of each format, by its name.
        failed: why a format could not be written, by its name.
    """

    files: Mapping[str, Path]
    failed: Mapping[str, str] = field(default_factory=dict)


def write_formats(
    results: Results, folder: Path, registry: Registry, names: Iterable[str] | None = None
) -> WrittenReport:
    """Write the report in the given formats, all by default.

    One that fails leaves nothing new in the folder, and does not affect the others.

    Raises:
        UserError: a format does not exist, or the folder cannot be made; nothing was written.
    """
    entries = [registry.report(name) for name in names or sorted(registry.reports)]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unwritable(
            f"cannot write the report to {folder}: {error.strerror}; {ELSEWHERE}"
        ) from None
    files: dict[str, Path] = {}
    failed: dict[str, str] = {}
    for info in (entry.info for entry in entries):
        before = set(folder.rglob("*"))
        try:
            files[info.name] = _write(info, results, folder, registry)
        except (Exception, SystemExit) as error:
            failed[info.name] = " ".join(f"{type(error).__name__}: {error}".split())
            _remove(set(folder.rglob("*")) - before)
    return WrittenReport(files, failed)


def comparison(registry: Registry) -> Compare:
    """Return the comparison of two entries that an installed report brings.

    Raises:
        UserError: none brings one.
    """
    infos = [registry.reports[name].info for name in sorted(registry.reports)]
    for info in infos:
        if info.comparison:
            compare: Compare = registry.load(replace(info, target=info.comparison))
            return compare
    known = ", ".join(info.name for info in infos) or "none"
    raise UserError(f"no installed report compares entries; there are: {known}")


def _write(info: ReportInfo, results: Results, folder: Path, registry: Registry) -> Path:
    path = registry.load(info)(results, folder)
    if not (isinstance(path, Path) and path.is_relative_to(folder) and path.is_file()):
        raise TypeError(f"it returned {path!r}, not the path of a file that it wrote in the folder")
    return path


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)

"""The report formats that are installed, written one after the other."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from harness.errors import ELSEWHERE, Unwritable
from harness.registry import Registry
from harness.results import Results

log = logging.getLogger(__name__)


def write_formats(
    results: Results, folder: Path, registry: Registry, names: Iterable[str] | None = None
) -> dict[str, Path]:
    """Write the report in the given formats, all by default; return the path of each.

    One that fails is reported in a warning and does the others no harm.

    Raises:
        UserError: there is no format of a name, or no folder can be made; nothing was written.
    """
    entries = [registry.report(name) for name in names or sorted(registry.reports)]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unwritable(
            f"cannot write the report to {folder}: {error.strerror}; {ELSEWHERE}"
        ) from None
    written = {}
    for name, info in ((entry.info.name, entry.info) for entry in entries):
        try:
            written[name] = registry.load(info)(results, folder)
        except Exception as error:
            log.warning("report %r failed: %s: %s", name, type(error).__name__, error)
    return written

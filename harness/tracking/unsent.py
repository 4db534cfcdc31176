"""Implementation of ``harness sync``: send a store what it lacks."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import NamedTuple

from harness.errors import UserError
from harness.files.untrusted import UntrustedFolder, is_plain
from harness.publishing.manifest import MANIFEST_NAME, read_manifest
from harness.storage.row_identity import check_folder
from harness.storage.store import read_row
from harness.tracking.marker import marked_run
from harness.tracking.tracker import Tracker

log = logging.getLogger(__name__)


class SyncResult(NamedTuple):
    """Trials or reports that a store lacked: those that were sent, and those that were not."""

    sent: list[str]
    unsent: list[str]


def sync(results: Path, tracker: Tracker) -> SyncResult:
    """Send every ended trial below ``results`` that the tracker's store lacks.

    One whose row cannot be read is named in a warning and not sent. One whose run was deleted in
    MLflow is named too, and does not count as lacking: it can be restored there.
    """
    answer = SyncResult([], [])
    for path in sorted(results.glob("*/trials/[!.]*/row.json")):
        folder = path.parent
        try:
            # The folder is untrusted.
            row = read_row(UntrustedFolder(path.parents[2]) / f"trials/{folder.name}/row.json")
            if row is not None:
                check_folder(row, folder.name, path)
                _check_benchmark(row.benchmark, path)
        except UserError as error:
            log.warning("%s", error)
            answer.unsent.append(folder.name)
            continue
        if row is None or _has(tracker, row.benchmark, folder, path, f"trial {row.trial}"):
            continue
        (answer.sent if tracker.log(row, folder) else answer.unsent).append(row.trial)
    return answer


def sync_reports(results: Path, tracker: Tracker) -> SyncResult:
    """Send every report below ``results`` that the tracker's store lacks; returns benchmarks."""
    answer = SyncResult([], [])
    for path in sorted(results.glob(f"*/report/{MANIFEST_NAME}")):
        folder = path.parents[1]
        try:
            benchmark = read_manifest(UntrustedFolder(UntrustedFolder(folder) / "report")).benchmark
            _check_benchmark(benchmark, path)
        except UserError as error:
            log.warning("%s", error)
            answer.unsent.append(folder.name)
            continue
        if not _has(tracker, benchmark, folder, path, f"the report of {benchmark}"):
            sent = tracker.log_report(benchmark, path.parent)
            (answer.sent if sent else answer.unsent).append(benchmark)
    return answer


def _check_benchmark(name: str, path: Path) -> None:
    """Raise ``UserError`` for the name of a benchmark that would lead outside of the results."""
    if "/" in name or not is_plain(name):
        raise UserError(f"{path}: {name!r} is not a name of a benchmark")


def _has(tracker: Tracker, benchmark: str, folder: Path, file: Path, what: str) -> bool:
    """Return whether a store was sent the current content of a file, even if deleted since."""
    run = marked_run(folder, file)
    stage = None if run is None else tracker.stage(benchmark, run)
    if stage == "deleted":
        log.warning(
            "the run of %s was deleted in MLflow; `%smlflow runs restore --run-id %s` restores it",
            what,
            tracker.settings,
            run,
        )
    return stage is not None

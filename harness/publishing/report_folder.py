"""A report as a self-contained folder: all that a reader needs to verify and to reproduce it.

::

    MANIFEST.json                       SHA-256 of every file
    REPRODUCE.md                        the command, and what to expect
    benchmark.toml                      as it ran; absent if several were merged
    rows.jsonl                          one row per line: data set, label and seed in order
    curves.parquet                      metrics during training
    environment.json packages.txt       commit, Python, packages; for pip
    hardware.json                       the machines
    pictures/ neighbours/ interpolations/   ID.png ID.gif ID.wav ID.txt
    logs/ID.txt
    ...                                 what the report formats write

The same rows give the same bytes, in whatever order they come.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from harness.errors import ELSEWHERE, Unwritable, UserError
from harness.files.media import SHOWN, check_media
from harness.files.scratch import scratch_folder
from harness.files.untrusted import LARGE, UntrustedFolder, is_plain
from harness.plugins.registry import Registry
from harness.publishing.environments import Environment, environments, machines
from harness.publishing.formats import WrittenReport, write_formats
from harness.publishing.manifest import MANIFEST_NAME as MANIFEST
from harness.publishing.manifest import Manifest, read_manifest, sha256, writers
from harness.publishing.reproduce_page import instructions
from harness.results import CURVE_COLUMNS, Media, Results
from harness.row import Row
from harness.storage.curves import read_curves

if TYPE_CHECKING:
    import pandas as pd

ROWS, CURVES, BENCHMARK = "rows.jsonl", "curves.parquet", "benchmark.toml"
ENVIRONMENT, HARDWARE, REPRODUCE = "environment.json", "hardware.json", "REPRODUCE.md"
LOGS = "logs"
MOST_ROWS = 1_000_000


def ordered(results: Results) -> Results:
    """Return results in the canonical order of reports."""
    rows = sorted(results.rows, key=lambda row: (row.dataset, row.label, row.seed, row.trial))
    position = {row.trial: place for place, row in enumerate(rows)}
    known = [name for name in results.curves.columns if name in CURVE_COLUMNS]
    curves = results.curves[[*known, *sorted(set(results.curves.columns) - set(known))]]
    curves = curves.sort_values(
        ["trial", "weights", "fraction"],
        key=lambda column: column.map(position) if column.name == "trial" else column,
        kind="stable",
        ignore_index=True,
    )
    return replace(results, rows=tuple(rows), curves=curves)


def write(results: Results, folder: Path, registry: Registry) -> WrittenReport:
    """Write a report in every installed format, replacing an older one.

    Files that are not part of the older one are kept.

    Raises:
        Unwritable: the folder cannot be written.
        UserError: it holds a report with rows, and there are none now.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        older = _files_of(UntrustedFolder(folder))
        if not results.rows:
            _keep(folder)
        with scratch_folder(folder.parent, ".report-") as new:
            written = build(results, new, registry)
            for path in older:
                path.unlink(missing_ok=True)
            folder.mkdir(exist_ok=True)
            _move(new, folder)
    except OSError as error:
        raise Unwritable(
            f"cannot write the report to {folder}: {error.strerror}; {ELSEWHERE}"
        ) from None
    files = {name: folder / path.relative_to(new) for name, path in written.files.items()}
    return replace(written, files=files)


def write_alone(
    results: Results, folder: Path, registry: Registry, formats: Iterable[str]
) -> WrittenReport:
    """Write some formats to a folder, without the rest of a report.

    Raises:
        UserError: there is no such format; or there are no rows, and the folder has files.
    """
    if not results.rows and folder.is_dir() and any(folder.iterdir()):
        raise UserError(f"there are no rows to report; {folder} was left as it is")
    return write_formats(ordered(results), folder, registry, formats)


def _keep(folder: Path) -> None:
    """Refuse to replace a report with rows by an empty one."""
    files = UntrustedFolder(folder)
    rows = files.read(ROWS, LARGE).count(b"\n") if is_report(folder) and files.has(ROWS) else 0
    if rows:
        raise UserError(
            f"there are no rows to report; {folder} has a report of {rows} "
            f"{'row' if rows == 1 else 'rows'}, which was left as it is"
        )


def build(
    results: Results, folder: Path, registry: Registry, formats: Iterable[str] | None = None
) -> WrittenReport:
    """Write a report to an empty folder, in some formats."""
    results = ordered(results)
    for name, content in _data(results):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    written = write_formats(results, folder, registry, formats)
    Manifest(
        benchmark=results.benchmark,
        summary=results.summary,
        formats={name: path.relative_to(folder).as_posix() for name, path in written.files.items()},
        written_with=writers(),
        files={
            name: sha256((folder / name).read_bytes()) for name in UntrustedFolder(folder).files()
        },
    ).write(folder)
    return written


def _files_of(folder: UntrustedFolder) -> list[Path]:
    """Return the files of the report in a folder, if there is one, and its manifest."""
    if not folder.has(MANIFEST):
        return []
    return [folder / name for name in (MANIFEST, *read_manifest(folder).files)]


def _move(new: Path, folder: Path) -> None:
    source, target = UntrustedFolder(new), UntrustedFolder(folder)
    # The manifest last: a folder that has one is complete.
    for name in sorted(source.files(), key=lambda name: name == MANIFEST):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).replace(target / name)


def is_report(folder: Path) -> bool:
    """Return whether a folder holds a report."""
    return (folder / MANIFEST).exists()


def read(path: Path) -> Results:
    """Return the results of a report folder, which is untrusted.

    Raises:
        UserError: it is not a report, or has invalid content.
    """
    folder = UntrustedFolder(path)
    manifest = read_manifest(folder)
    rows = read_rows(folder.read(ROWS, LARGE), path / ROWS)
    media: dict[str, dict[str, dict[str, bytes]]] = {kind: {} for kind in SHOWN}
    logs: dict[str, str] = {}
    for name in manifest.files:
        kind, _, file = name.partition("/")
        trial, _, suffix = file.rpartition(".")
        if kind in media:
            content = folder.read(name)
            check_media(path / name, content)
            media[kind].setdefault(trial, {})[suffix] = content
        elif kind == LOGS:
            logs[trial] = folder.read(name).decode("utf-8", "replace")
    return Results(
        benchmark=manifest.benchmark,
        summary=manifest.summary,
        source=folder.text(BENCHMARK) if folder.has(BENCHMARK) else "",
        rows=tuple(rows),
        curves=read_curves(folder.read(CURVES, LARGE), path / CURVES),
        pictures=media["pictures"],
        neighbours=media["neighbours"],
        interpolations=media["interpolations"],
        logs=logs,
        environments=_read_environments(folder),
    )


def read_rows(content: bytes, where: Path) -> list[Row]:
    """Return the rows in JSON lines, one per line.

    Raises:
        UserError: a line is not a row, or repeats the trial of another line.
    """
    rows = []
    places: dict[str, int] = {}
    for number, line in enumerate(content.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = Row.model_validate_json(line)
        except ValidationError as error:
            first = error.errors()[0]
            at = ".".join(str(part) for part in first["loc"])
            raise UserError(f"{where}, line {number}: {at}: {first['msg']}") from None
        if not is_plain(row.trial):
            raise UserError(f"{where}, line {number}: {row.trial!r} is not a trial id")
        if places.setdefault(row.trial, number) != number:
            raise UserError(
                f"{where}, line {number}: the row of trial {row.trial} ({row.title}) is also in "
                f"line {places[row.trial]}; remove one"
            )
        rows.append(row)
        if len(rows) > MOST_ROWS:
            raise UserError(f"{where} has more than {MOST_ROWS} rows")
    return rows


def _data(results: Results) -> Iterator[tuple[str, bytes]]:
    """Yield the files of a report that do not depend on its formats."""
    yield ROWS, b"".join(row.model_dump_json().encode() + b"\n" for row in results.rows)
    if results.source:
        yield BENCHMARK, results.source.encode()
    yield CURVES, _parquet(results.curves)
    found = environments(results)
    yield ENVIRONMENT, _json([environment.model_dump() for environment in found])
    for number, environment in enumerate(found, start=1):
        yield f"packages{'' if number == 1 else f'-{number}'}.txt", environment.pins().encode()
    yield HARDWARE, _json(machines(results.rows))
    yield REPRODUCE, instructions(results).encode()
    trials = {row.trial for row in results.rows}
    for kind in SHOWN:
        media: Mapping[str, Media] = getattr(results, kind)
        for trial in sorted(trials & set(media)):
            for suffix, content in sorted(media[trial].items()):
                yield f"{kind}/{trial}.{suffix}", content
    for trial in sorted(trials & set(results.logs)):
        yield f"{LOGS}/{trial}.txt", results.logs[trial].encode()


def _json(content: Any) -> bytes:
    text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False)
    return text.encode() + b"\n"


def _parquet(frame: pd.DataFrame) -> bytes:
    file = io.BytesIO()
    frame.to_parquet(file, index=False)
    return file.getvalue()


def _read_environments(folder: UntrustedFolder) -> dict[str, bytes]:
    try:
        found = TypeAdapter(list[Environment]).validate_json(folder.read(ENVIRONMENT))
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        message = f"{where}: {error.errors()[0]['msg']}"
        raise UserError(f"{folder.path / ENVIRONMENT} is damaged: {message}") from None
    return {
        trial: environment.model_dump_json(exclude={"trials"}).encode()
        for environment in found
        for trial in environment.trials
    }

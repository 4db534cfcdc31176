"""Verification of a report: everything in it is rebuilt from its rows and compared.

This shows that a report is complete and consistent, and finds manual changes. Only running the rows
again can show that they are true: see ``harness.reproduction``.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from harness.files.untrusted import LARGE, UntrustedFolder
from harness.planning.benchmark import Benchmark, parse_benchmark
from harness.publishing import report_folder
from harness.publishing.manifest import MANIFEST_NAME as MANIFEST
from harness.publishing.manifest import Manifest, read_manifest, sha256, writers
from harness.results import CURVE_COLUMNS, Results
from harness.row import Row
from harness.storage.curves import read_curves

if TYPE_CHECKING:
    import pandas as pd


DRAWN = (".html", ".svg")
"""Files whose bytes depend on the versions of other libraries."""
RANDOM = ".pdf"
"""Files whose writer numbers their parts at random: only their SHA-256 is checked."""


@dataclass(frozen=True)
class Verification:
    """The outcome of a verification.

    Attributes:
        rows: number of rows.
        files: number of files in the manifest.
        faults: what does not follow from the rows, or was changed.
        notes: what could not be checked, and why.
    """

    rows: int
    files: int
    faults: tuple[str, ...]
    notes: tuple[str, ...]


def verify(folder: Path | str) -> Verification:
    """Verify a report folder, which is untrusted.

    Raises:
        UserError: it is not a report, or cannot be read as one.
    """
    from harness.plugins.registry import registry

    folder = Path(folder)
    files = UntrustedFolder(folder)
    manifest = read_manifest(files)
    faults = list(_changed_files(files, manifest))
    results = report_folder.read(folder)
    notes = []
    for row in results.rows:
        faults += _faults_of(row, results)
    silent = sum(not row.planned for row in results.rows)
    if silent:
        notes.append(f"{silent} rows do not record their plan: their ids are not checked")
    if results.source:
        benchmark = parse_benchmark(results.source, str(folder / report_folder.BENCHMARK))
        for row in results.rows:
            faults += _not_in_benchmark(row, benchmark)
    missing = sorted(set(manifest.formats) - set(registry().reports))
    notes += [f"format {name!r} is not installed here: not checked" for name in missing]
    with TemporaryDirectory() as name:
        formats = [name for name in sorted(manifest.formats) if name not in missing]
        written = report_folder.build(results, Path(name), registry(), formats)
        notes += [
            f"format {n!r} failed here, not checked: {why}" for n, why in written.failed.items()
        ]
        differ, skipped = _compare(UntrustedFolder(Path(name)), files, manifest)
    unlisted = sorted(set(files.files()) - set(manifest.files) - {MANIFEST})
    notes += skipped + [f"{name} is not part of the report" for name in unlisted]
    return Verification(
        len(results.rows), len(manifest.files), tuple(faults + differ), tuple(notes)
    )


def _changed_files(files: UntrustedFolder, manifest: Manifest) -> Iterator[str]:
    for name, digest in manifest.files.items():
        if not files.has(name):
            yield f"{name} is missing"
        elif sha256(files.read(name, LARGE)) != digest:
            yield f"{name} was changed after the report was written: its SHA-256 is another"


def _faults_of(row: Row, results: Results) -> Iterator[str]:
    """Yield contradictions of a row with itself, its curve or its id."""
    from harness.planning.trial import Trial

    what = f"row {row.trial} ({row.title})"
    if row.planned:
        try:
            trial = Trial.of(row)
        except ValueError as error:
            yield f"{what} cannot be planned: {str(error).splitlines()[0]}"
            return
        if trial.id != row.trial:
            yield (
                f"{what}: its recorded plan has the id {trial.id}: "
                "its settings were changed after it ran"
            )
        for key, value in trial.row(row.status).protocol.items():
            if row.protocol.get(key) != value:
                yield f"{what}: protocol.{key} is {row.protocol.get(key)}, planned was {value}"
    for name, measurement in row.metrics.items():
        if measurement.sets and not _close(measurement.value, fmean(measurement.sets)):
            mean = fmean(measurement.sets)
            yield f"{what}: {name} is {measurement.value}, the mean of its sets {mean}"
    yield from (f"{what}: {fault}" for fault in _curve_mismatches(row, results.curves))


def _curve_mismatches(row: Row, curves: pd.DataFrame) -> Iterator[str]:
    """Yield figures that differ from the end of the curve."""
    own = curves["trial"].eq(row.trial) & curves["weights"].eq("averaged")
    last = curves[own & curves["fraction"].eq(1.0)]
    if last.empty:
        return
    for name, value in last.iloc[-1].items():
        if name in CURVE_COLUMNS or name not in row.metrics:
            continue
        stated = row.metrics[name].value
        if stated is not None and not _close(stated, value):
            yield f"{name} is {stated}, and its curve ends with {value}"


def _close(stated: float | None, found: float) -> bool:
    if stated is None or (math.isnan(stated) and math.isnan(found)):
        return stated is not None
    return math.isclose(stated, found, rel_tol=1e-9, abs_tol=1e-12)


def _not_in_benchmark(row: Row, benchmark: Benchmark) -> Iterator[str]:
    """Yield how a row differs from the benchmark file."""
    from harness.planning.trial import REFERENCES

    what = f"row {row.trial} ({row.title})"
    entries = {entry.title: entry for entry in benchmark.models}
    if row.dataset not in benchmark.datasets:
        yield f"{what}: {report_folder.BENCHMARK} has no data set {row.dataset!r}"
    if row.model in REFERENCES:
        return
    if row.label not in entries:
        yield f"{what}: {report_folder.BENCHMARK} has no model {row.label!r}"
        return
    if row.seed not in benchmark.seeds:
        yield f"{what}: {report_folder.BENCHMARK} has no seed {row.seed}"
    if row.budget != str(benchmark.budget):
        yield f"{what}: its budget is {row.budget}, that of the benchmark {benchmark.budget}"
    for key, value in entries[row.label].settings.items():
        if row.config.get(key) != value:
            yield f"{what}: config.{key} is {row.config.get(key)}, the benchmark sets {value}"


def _compare(
    again: UntrustedFolder, files: UntrustedFolder, manifest: Manifest
) -> tuple[list[str], list[str]]:
    """Return how files differ from rebuilt ones, and which could not be compared."""
    faults, notes = [], []
    installed = writers()
    others = [
        f"{name} {version}, here {installed.get(name, 'none')}"
        for name, version in manifest.written_with.items()
        if installed.get(name) != version
    ]
    for name in again.files():
        if name == MANIFEST:
            continue
        if not files.has(name):
            faults.append(f"{name} is missing, but follows from the rows")
            continue
        if name.endswith(RANDOM):
            continue
        limit = LARGE
        found, expected = files.read(name, limit), again.read(name, limit)
        if found == expected:
            continue
        if name.endswith(DRAWN) and others and sha256(found) == manifest.files.get(name):
            notes.append(f"{name} is not compared: it was written with {', '.join(others)}")
        elif fault := _difference(name, found, expected, files):
            faults.append(fault)
    return faults, notes


def _difference(name: str, found: bytes, expected: bytes, files: UntrustedFolder) -> str:
    """Describe the first difference of two files, or return "" if they are equal."""
    if name == report_folder.CURVES:
        where = files.path / name
        equal = read_curves(found, where).equals(read_curves(expected, where))
        return "" if equal else f"{name} differs from what was read from it"
    if name.endswith(".parquet"):
        return _parquet_difference(name, found, expected)
    pairs = zip(_lines(found), _lines(expected), strict=False)
    for number, (has, gives) in enumerate(pairs, start=1):
        if has != gives:
            at = next((i for i, (a, b) in enumerate(zip(has, gives, strict=False)) if a != b), 0)
            start = max(0, at - 20)
            return (
                f"{name}, line {number}: it has {has[start : at + 60]!r}, "
                f"the rows give {gives[start : at + 60]!r}"
            )
    return f"{name} is {len(found)} bytes long, the rows give {len(expected)}"


def _parquet_difference(name: str, found: bytes, expected: bytes) -> str:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        has, gives = (pq.read_table(io.BytesIO(content)) for content in (found, expected))
    except (pa.ArrowException, OSError) as error:
        return f"{name} is damaged: {error}"
    if has.column_names != gives.column_names or len(has) != len(gives):
        return f"{name} has {has.shape} rows and columns or others, the rows give {gives.shape}"
    for column in gives.column_names:
        for line, (a, b) in enumerate(zip(has[column], gives[column], strict=True)):
            if a.as_py() != b.as_py() and not (a.as_py() != a.as_py() and b.as_py() != b.as_py()):
                return f"{name}, line {line + 1}, {column}: it has {a}, the rows give {b}"
    return ""


def _lines(content: bytes) -> list[str]:
    return content.decode("utf-8", "replace").splitlines()

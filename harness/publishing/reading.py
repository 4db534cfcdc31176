"""Results from report folders, results folders and files of rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from harness.errors import UserError
from harness.files.integrity import read_sealed
from harness.files.media import SHOWN, SUFFIXES
from harness.files.untrusted import LARGE, MOST_BYTES, UntrustedFolder, read_regular
from harness.planning.benchmark import parse_benchmark
from harness.publishing.report_folder import BENCHMARK, is_report, read, read_rows
from harness.results import Media, Results
from harness.row import Row
from harness.storage.curves import join_curves, read_curves
from harness.storage.row_identity import check_folder
from harness.storage.store import tail

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")

ACCEPTED = (
    "a report folder, the results folder of a benchmark, a file of rows (.jsonl), or a row.json"
)


def read_results(path: Path | str) -> Results:
    """Return the results in a folder or a file, which is untrusted.

    Args:
        path: a report folder (MANIFEST.json), a results folder of a benchmark (trials/), rows as
            JSON lines (.jsonl), or one row (.json). Beside the last two, ``benchmark.toml`` is read
            too: in the folder of the rows, or that of the trials.

    Raises:
        UserError: it is none of these, or damaged.
    """
    path = Path(path)
    if path.is_dir() and is_report(path):
        return read(path)
    if (path / "trials").is_dir():
        return _results_folder(path)
    if path.suffix in (".jsonl", ".json") and path.is_file():
        return _rows_file(path)
    if not path.exists():
        raise UserError(f"there is no {path}; expected {ACCEPTED}")
    lossy = "; tables omit parts of rows" if path.suffix in (".csv", ".parquet") else ""
    raise UserError(f"{path} holds no rows: expected {ACCEPTED}{lossy}")


def merged(parts: Mapping[str, Results]) -> Results:
    """Return several results as one, each trial once.

    Args:
        parts: results by their name in errors.

    Raises:
        UserError: two have different rows of one trial.
    """
    if len(parts) == 1:
        return next(iter(parts.values()))
    rows: dict[str, Row] = {}
    origin: dict[str, str] = {}
    for name, part in parts.items():
        for row in part.rows:
            if row.trial in rows and rows[row.trial] != row:
                raise UserError(
                    f"trial {row.trial} ({row.title}) has different rows in {origin[row.trial]} "
                    f"and in {name}; remove one"
                )
            rows.setdefault(row.trial, row)
            origin.setdefault(row.trial, name)
    everything = list(parts.values())
    sources = {part.source for part in everything}
    return Results(
        benchmark=" + ".join(dict.fromkeys(part.benchmark for part in everything)),
        summary="; ".join(dict.fromkeys(part.summary for part in everything if part.summary)),
        # There is no common benchmark file; each row still records how it was planned.
        source=sources.pop() if len(sources) == 1 else "",
        rows=tuple(rows.values()),
        curves=_merged_curves(parts, origin),
        pictures=_united([part.pictures for part in everything]),
        neighbours=_united([part.neighbours for part in everything]),
        interpolations=_united([part.interpolations for part in everything]),
        logs=_united([part.logs for part in everything]),
        environments=_united([part.environments for part in everything]),
    )


def _united(mappings: Sequence[Mapping[str, T]]) -> dict[str, T]:
    return {key: value for mapping in reversed(mappings) for key, value in mapping.items()}


def _merged_curves(parts: Mapping[str, Results], origin: Mapping[str, str]) -> pd.DataFrame:
    own = (
        part.curves[part.curves["trial"].map(lambda trial, name=name: origin.get(trial) == name)]
        for name, part in parts.items()
        if not part.curves.empty
    )
    return join_curves(own)


def _rows_file(path: Path) -> Results:
    # The caller chose this file, so it may be a link.
    place = path.resolve()
    content = _sealed(place) if place.name == "row.json" else read_regular(place, LARGE)
    # A single row is indented over many lines.
    rows = read_rows(b" ".join(content.split(b"\n")) if path.suffix == ".json" else content, path)
    if not rows:
        raise UserError(f"{path} holds no rows")
    above = path.absolute().parents
    in_store = len(above) > 2 and above[1].name == "trials"
    home = above[2] if in_store else above[0]
    if in_store and path.name == "row.json":
        check_folder(rows[0], above[0].name, path)
    return _named(rows, join_curves([]), UntrustedFolder(home))


def _sealed(path: Path, limit: int = MOST_BYTES) -> bytes:
    """Return the content of a file of a trial from another machine."""
    return read_sealed(path, limit, "copy it again from where it came, or leave its folder out")


def _results_folder(path: Path) -> Results:
    folder = UntrustedFolder(path)
    rows: list[Row] = []
    frames = []
    media: dict[str, dict[str, Media]] = {kind: {} for kind in SHOWN}
    environments: dict[str, bytes] = {}
    logs: dict[str, str] = {}
    files = set(folder.files("trials"))
    for name in sorted(files):
        if not name.endswith("/row.json") or "/." in name:
            continue
        here = name.removesuffix("row.json")
        rows.append(_row(folder, name))
        check_folder(rows[-1], Path(here).name, path / name)
        for kind, shown in SHOWN.items():
            found = {
                suffix: _sealed(folder / file)
                for suffix in SUFFIXES
                if (file := f"{here}{shown}.{suffix}") in files
            }
            if found:
                media[kind][rows[-1].trial] = found
        if f"{here}environment.json" in files:
            environments[rows[-1].trial] = _sealed(folder / f"{here}environment.json")
        if rows[-1].status != "ok" and f"{here}log.txt" in files:
            logs[rows[-1].trial] = tail(folder / f"{here}log.txt")
        if f"{here}curve.parquet" in files:
            curve = _sealed(folder / f"{here}curve.parquet", LARGE)
            frames.append(read_curves(curve, path / here))
    return replace(
        _named(rows, join_curves(frames), folder),
        pictures=media["pictures"],
        neighbours=media["neighbours"],
        interpolations=media["interpolations"],
        logs=logs,
        environments=environments,
    )


def _row(folder: UntrustedFolder, name: str) -> Row:
    where = folder.path / name
    # A single row is indented over many lines.
    found = read_rows(_sealed(folder / name).replace(b"\n", b" "), where)
    if not found:
        raise UserError(f"{where} holds no row")
    return found[0]


def _named(rows: Sequence[Row], curves: pd.DataFrame, folder: UntrustedFolder) -> Results:
    """Return rows with the benchmark file of a folder, if there is one."""
    source = folder.text(BENCHMARK) if folder.has(BENCHMARK) else ""
    if source:
        benchmark = parse_benchmark(source, str(folder.path / BENCHMARK))
        name, summary = benchmark.name, benchmark.summary
    else:
        name, summary = " + ".join(dict.fromkeys(row.benchmark for row in rows)), ""
    return Results(name, summary, source, tuple(rows), curves, pictures={})

"""MLflow's SQLite file in a results folder: its address, its state, its artifacts."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from harness.files.locks import Lock

log = logging.getLogger(__name__)

DATABASE, ARTIFACTS = "mlflow.db", "mlartifacts"
BUSY_SECONDS = 5.0
"""Seconds to wait for a locked file."""


def database_uri(path: Path) -> str:
    """Return the address of an SQLite file for MLflow.

    SQLAlchemy treats "?" as the beginning of options, and since 2.1 decodes "%".
    """
    escaped = str(path).replace("%", "%25").replace("?", "%3F")
    # MLflow creates the folder of what follows "sqlite:///" verbatim.
    return f"sqlite:///{path}" if escaped == str(path) else f"sqlite+pysqlite:///{escaped}"


def database_path(uri: str) -> Path | None:
    """Return the SQLite file of an address; None if it is another kind of store."""
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(uri)
    except (ArgumentError, ValueError):
        return None
    name = url.database or ""
    if url.get_backend_name() != "sqlite" or name in ("", ":memory:") or name.startswith("file:"):
        return None
    return Path(name)


def check_readable(path: Path) -> None:
    """Open an SQLite file, if there is one, before MLflow does, which would retry for minutes.

    Raises:
        sqlite3.Error: it cannot be opened, is locked, or is not a database.
    """
    if path.is_dir():
        raise sqlite3.OperationalError(f"{path} is a folder")
    if path.exists():
        with _opened(path, "ro") as connection:
            connection.execute("SELECT count(*) FROM sqlite_master")


def check_writable(path: Path) -> None:
    """Briefly lock an SQLite file, if there is one, as for writing.

    Raises:
        sqlite3.Error: it cannot be opened, is locked, or is not writable.
    """
    if path.exists():
        with _opened(path, "rw") as connection:
            connection.execute("BEGIN IMMEDIATE")


@contextmanager
def making(path: Path) -> Iterator[None]:
    """Let one process at a time create or upgrade the tables of an SQLite file."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = Lock(path.with_name(f".{path.name}.lock"), wait=True)
    except OSError:  # in a read-only folder nothing will be created
        yield
        return
    with lock:
        yield


def follow_results(path: Path, results: Path) -> None:
    """Correct the paths of artifacts after the results folder was moved or copied.

    MLflow stores absolute paths. Runs whose artifacts stayed behind are left unchanged.

    Args:
        path: of the SQLite file.
        results: folder.

    Raises:
        sqlite3.Error: the file cannot be read, or needs correction and cannot be written.
    """
    if not path.exists():
        return
    with _opened(path, "ro") as connection:
        experiments, runs = _out_of_place(connection, results)
    if experiments:
        with _opened(path, "rw") as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(
                "UPDATE experiments SET artifact_location = ? WHERE experiment_id = ?", experiments
            )
            connection.executemany("UPDATE runs SET artifact_uri = ? WHERE run_uuid = ?", runs)
            connection.execute("COMMIT")
        log.warning(
            "%s was moved: MLflow finds the artifacts of %d runs in %s now",
            results,
            len(runs),
            results / ARTIFACTS,
        )


_New = list[tuple[str, str | int]]


def _out_of_place(connection: sqlite3.Connection, results: Path) -> tuple[_New, _New]:
    """Return the new addresses, with their ids, of experiments and of runs."""
    experiments: _New = []
    runs: _New = []
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'experiments'").fetchone():
        return experiments, runs
    known = connection.execute("SELECT experiment_id, name, artifact_location FROM experiments")
    for experiment, name, location in known.fetchall():
        place = artifact_location(results, name)
        if location == place or not (location or "").endswith(place.removeprefix(results.as_uri())):
            continue
        experiments.append((place, experiment))
        kept = connection.execute(
            "SELECT run_uuid, artifact_uri FROM runs WHERE experiment_id = ?", (experiment,)
        )
        for run, old in kept:
            if (old or "").startswith(f"{location}/"):
                new = place + old.removeprefix(location)
                if _local(new).exists() or not _local(old).exists():
                    runs.append((new, run))
    return experiments, runs


def artifact_location(results: Path, benchmark: str) -> str:
    """Return the address of the folder with the artifacts of a benchmark's runs."""
    return (results / ARTIFACTS / benchmark).as_uri()


@contextmanager
def _opened(path: Path, mode: Literal["ro", "rw"]) -> Iterator[sqlite3.Connection]:
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    # "with" alone would end the transaction and leave the file open.
    with closing(
        sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None)
    ) as connection:
        yield connection


def _local(uri: str) -> Path:
    return Path(os.fsdecode(unquote(urlsplit(uri).path, errors="surrogateescape")))

"""Trials on disk: the source of truth. One folder per trial, renamed into place when it has ended.

::

    RESULTS/BENCHMARK/benchmark.toml
    RESULTS/BENCHMARK/trials/ID/       row.json curve.parquet samples.npz checkpoint.pt
                                       samples neighbours interpolation: .png .gif .wav .txt
                                       environment.json log.txt trial.json SHA256SUMS
    RESULTS/BENCHMARK/trials/.ID/      the same, of a trial that has not ended
    RESULTS/BENCHMARK/report/
    RESULTS/BENCHMARK/locks/ID         held by the run, and the worker, whose trial it is
    RESULTS/BENCHMARK/locks/ID.node    held by the worker, where it is a cluster's
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from pydantic import ValidationError

from harness.errors import ELSEWHERE, UserError
from harness.files import integrity, locks
from harness.files.disk import sync_names, write_atomically, write_json, writing
from harness.files.integrity import read_sealed
from harness.files.locks import Lock, is_held
from harness.files.media import SHOWN, SUFFIXES
from harness.files.untrusted import LARGE, FileMissing, UntrustedFolder, open_regular
from harness.machine import heartbeat
from harness.planning.benchmark import Benchmark
from harness.results import Media, Results
from harness.row import Row
from harness.storage.curves import join_curves, read_curves
from harness.storage.row_identity import check_identity

if TYPE_CHECKING:
    import pandas as pd

    from harness.planning.trial import Trial

Place = TypeVar("Place")
Content = TypeVar("Content")

RESUMABLE = ("killed",)
"""Statuses of trials that the next run resumes; the others are final."""

FAILED = ("error", "out_of_memory", "timeout", "diverged")
"""Statuses that a run repeats with ``--retry-failed``."""

SOURCE = "benchmark.toml"

CLAIM = ".claim"
"""File of an unfinished trial, by which a task on another machine recognises its trial."""

LOG_END = 4096
"""Maximum bytes of a failed trial's log in reports."""


class Store:
    """The results of one benchmark in a results folder."""

    def __init__(self, results: Path, benchmark: str) -> None:
        self.folder = results / benchmark
        self.trials = self.folder / "trials"
        self.report = self.folder / "report"
        self.locks = self.folder / "locks"
        # Another process may have created it.
        self._read = UntrustedFolder(self.folder)

    def prepare(self) -> None:
        """Create the folders that a run writes to.

        Raises:
            UserError: they cannot be created.
        """
        try:
            for folder in (self.trials, self.locks):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"cannot write results to {self.folder}: {error.strerror}; name another folder "
                "with --results"
            ) from None

    def claim(self, trial: str) -> Lock | None:
        """Return a lock on a trial, or None while another run or a worker holds it.

        Raises:
            Unwritable: it cannot be created.
        """
        with writing(self.folder):
            return self._claim(trial)

    def _claim(self, trial: str) -> Lock | None:
        # All results may have been removed since ``prepare``.
        self.locks.mkdir(parents=True, exist_ok=True)
        try:
            lock = Lock(self.locks / trial)
        except BlockingIOError:
            return None
        # From now on no task of a dead driver can enter; one may still be inside.
        with suppress(NotADirectoryError):
            (self.working(trial) / CLAIM).unlink(missing_ok=True)
        if is_held(self.node_lock(trial)):
            lock.release()
            return None
        return lock

    def holder(self, trial: str) -> str:
        """Describe who holds a trial, and since when."""
        own, node = self.locks / trial, self.node_lock(trial)
        return locks.holder(node if not is_held(own) and is_held(node) else own)

    def node_lock(self, trial: str) -> Path:
        """Return the lock of a worker on a trial that runs on another node than its driver.

        The driver's own lock does not reach other machines, and ends with the driver.
        """
        return self.locks / f"{trial}.node"

    def reporting(self) -> Lock:
        """Return a lock on files that all runs write, such as the report; wait for it.

        Raises:
            Unwritable: it cannot be created.
        """
        with writing(self.folder, ELSEWHERE):
            self.locks.mkdir(parents=True, exist_ok=True)
            return Lock(self.locks / "report", wait=True)

    def write_source(self, source: str) -> None:
        """Write the benchmark's text beside its trials, unless it is already there.

        Raises:
            Unwritable: it cannot be written.
        """
        content = source.encode()
        if self._read.has(SOURCE) and self._read.read(SOURCE) == content:
            return
        with writing(self.folder):
            write_atomically(self.folder / SOURCE, content)

    def ended(self, trial: str) -> Path:
        """Return the folder of a finished trial."""
        return self.trials / trial

    def working(self, trial: str) -> Path:
        """Return the folder of an unfinished trial."""
        return self.trials / f".{trial}"

    def row(self, trial: str) -> Row | None:
        """Return the row of a trial, or None while it has none.

        Raises:
            UserError: it is damaged, or that of another trial.
        """
        path = self._read / f"trials/{trial}/row.json"
        row = read_row(path)
        if row is not None:
            check_identity(row, trial, path)
        return row

    def stamp(self, trial: str) -> int | None:
        """Return a stamp that changes whenever a trial's row is written; None without a row."""
        try:
            return (self.ended(trial) / "row.json").stat().st_mtime_ns
        except FileNotFoundError:
            return None

    def begin(self, trial: Trial) -> Path:
        """Prepare the working folder of a trial, keeping what an unfinished one left there.

        Raises:
            UserError: it cannot be written to, or is a link.
        """
        with writing(self.folder):
            return self._begin(trial)

    def _begin(self, trial: Trial) -> Path:
        working, ended = self.working(trial.id), self.ended(trial.id)
        for place in (working, ended):
            if place.is_symlink():
                raise UserError(f"{place} is a symbolic link, and links are not followed")
        if ended.exists():
            row = self.row(trial.id)
            if working.exists():
                _remove(working)
            if row is not None and row.status in RESUMABLE:
                ended.rename(working)
            else:
                _remove(ended)
        working.mkdir(parents=True, exist_ok=True)
        for path in working.iterdir():
            # Hidden files are half-written leftovers; links were not created by the harness.
            if path.name.startswith(".") or path.is_symlink():
                _remove(path)
        for name in ("row.json", integrity.FILE):
            (working / name).unlink(missing_ok=True)
        write_json(working / "trial.json", trial.model_dump(mode="json"))
        return working

    def finish(self, row: Row) -> Path:
        """Write a trial's row and checksums, and rename its folder into place.

        A folder that was removed or replaced is recreated: the row is written whatever happened.

        Raises:
            UserError: it cannot be written; the folder stays as it is, for the next run to resume.
        """
        working, ended = self.working(row.trial), self.ended(row.trial)
        with writing(self.folder):
            _make_folder(working)
            for name in (heartbeat.FILE, heartbeat.HANG):
                (working / name).unlink(missing_ok=True)
            content = (row.model_dump_json(indent=2) + "\n").encode()
            write_atomically(working / "row.json", content)
            write_atomically(working / integrity.FILE, integrity.sums(working))
            sync_names(working)
            if ended.exists():
                _remove(ended)
            working.rename(ended)
            sync_names(self.trials)
        return ended

    def results(self, benchmark: Benchmark, source: str, trials: Iterable[Trial]) -> Results:
        """Collect the results of the planned trials, for a report."""
        rows = [row for trial in trials if (row := self.row(trial.id)) is not None]
        return Results(
            benchmark=benchmark.name,
            summary=benchmark.summary,
            source=source,
            rows=tuple(rows),
            curves=self._curves(rows),
            pictures=self._media(rows, SHOWN["pictures"]),
            neighbours=self._media(rows, SHOWN["neighbours"]),
            interpolations=self._media(rows, SHOWN["interpolations"]),
            environments=self._files(rows, "environment.json"),
            logs={
                row.trial: tail(self._read / name)
                for row in rows
                if row.status != "ok" and self._read.has(name := f"trials/{row.trial}/log.txt")
            },
        )

    def _files(self, rows: Iterable[Row], file: str) -> Mapping[str, bytes]:
        places = {row.trial: f"trials/{row.trial}/{file}" for row in rows}
        present = {trial: place for trial, place in places.items() if self._read.has(place)}
        return _WhenAsked(present, lambda place: read_sealed(self._read / place))

    def _media(self, rows: Iterable[Row], name: str) -> Mapping[str, Media]:
        places = {row.trial: f"trials/{row.trial}/{name}" for row in rows}
        present = {
            trial: files
            for trial, place in places.items()
            if (files := {s: f for s in SUFFIXES if self._read.has(f := f"{place}.{s}")})
        }
        return _WhenAsked(
            present, lambda files: {s: read_sealed(self._read / f) for s, f in files.items()}
        )

    def _curves(self, rows: Iterable[Row]) -> pd.DataFrame:
        names = (f"trials/{row.trial}/curve.parquet" for row in rows)
        return join_curves(
            read_curves(read_sealed(self._read / name, LARGE), self.folder / name)
            for name in names
            if self._read.has(name)
        )


class _WhenAsked(Mapping[str, Content], Generic[Place, Content]):
    """The contents of files, read lazily: those of a thousand trials would fill memory."""

    def __init__(self, places: Mapping[str, Place], read: Callable[[Place], Content]) -> None:
        self._places = places
        self._read = read

    def __getitem__(self, trial: str) -> Content:
        return self._read(self._places[trial])

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, trial: object) -> bool:
        return trial in self._places


def _make_folder(path: Path) -> None:
    """Create a folder unless it exists; a link or a file in its place is removed."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    path.mkdir(parents=True, exist_ok=True)


def _remove(path: Path) -> None:
    """Remove a file, a link or a folder with its content."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def tail(path: Path, most: int = LOG_END) -> str:
    """Return the last complete lines of a text file, limited in bytes.

    Raises:
        UserError: it is not a regular file, or cannot be read.
    """
    with open_regular(path) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - most, 0))
        text = file.read().decode(errors="replace")
    return text.partition("\n")[2] or text if size > most else text


def read_row(path: Path) -> Row | None:
    """Return the row in a file, or None where there is no file.

    Raises:
        UserError: the file has invalid content.
    """
    try:
        content = read_sealed(path, remedy="remove its folder to run it again")
    except FileMissing:  # not checked beforehand: another run may restart the trial meanwhile
        return None
    try:
        return Row.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UserError(
            f"{path} is damaged ({where}: {first['msg']}); remove its folder to run it again"
        ) from None

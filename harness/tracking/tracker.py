"""Writes rows and reports to MLflow.

Nothing here may harm a trial: what cannot be sent is reported once and can be sent by ``sync``.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import re
from collections.abc import Iterator, Mapping, Set
from importlib.util import find_spec
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from harness.curves import read_curves
from harness.errors import UserError
from harness.integrity import read_sealed
from harness.locks import Lock
from harness.results import CURVE_COLUMNS
from harness.row import Row
from harness.row_identity import check_folder
from harness.store import Store, read_row, write_json
from harness.tracking.columns import TAG_PREFIX, run_columns
from harness.tracking.one_run import RETRIES, find_or_make_run
from harness.untrusted import LARGE, UntrustedFolder, read_regular

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput, Metric, Param, RunTag

log = logging.getLogger(__name__)

MARKER = "tracked.json"
DATABASE, ARTIFACTS = "mlflow.db", "mlartifacts"
_FILES = ("samples.png", "row.json", "environment.json", "curve.parquet")
TRIAL_TAG, REPORT_TAG = f"{TAG_PREFIX}trial", f"{TAG_PREFIX}report"
_RUN_STATUS = {"ok": "FINISHED", "skipped": "FINISHED", "killed": "KILLED"}
# Limits of MLflow's stores, and the part of a fingerprint that its pages have room for.
_METRICS_A_BATCH, _PARAMETERS_A_BATCH, _TAGS_A_BATCH = 1000, 100, 100
_PARAMETER_LENGTH, _TAG_LENGTH, _DIGEST_LENGTH = 6000, 5000, 12


def open_tracker(mode: Literal["auto", "off"], results: Path) -> Tracker | None:
    """Return a tracker, or None if it is switched off or MLflow is not installed."""
    if mode == "off":
        return None
    if find_spec("mlflow") is None:
        log.warning("MLflow is not installed: trials are kept in %s but not tracked", results)
        return None
    return Tracker(results)


class Synced(NamedTuple):
    """Trials that a store lacked: those it was sent now, and those it was not."""

    sent: list[str]
    unsent: list[str]


def sync(results: Path, tracker: Tracker) -> Synced:
    """Send every ended trial below ``results`` that the tracker's store lacks.

    One whose row cannot be read is told in a warning and left unsent.
    """
    answer = Synced([], [])
    for path in sorted(results.glob("*/trials/[!.]*/row.json")):
        try:
            # Anybody may have made the folder.
            row = read_row(UntrustedFolder(path.parents[2]) / f"trials/{path.parent.name}/row.json")
            if row is not None:
                check_folder(row, path.parent.name, path)
        except UserError as error:
            log.warning("%s", error)
            answer.unsent.append(path.parent.name)
            continue
        if row is not None and not tracker.holds(path.parent):
            taken = tracker.log(row, path.parent)
            (answer.sent if taken else answer.unsent).append(row.trial)
    return answer


class Tracker:
    """Writes to MLflow: one experiment a benchmark, one run a trial and one for the report.

    Attributes:
        results: folder of results.
        uri: of MLflow's store: ``MLFLOW_TRACKING_URI``, or else an SQLite file in ``results``.
    """

    def __init__(self, results: Path) -> None:
        self.results = results.resolve()
        self._given = os.environ.get("MLFLOW_TRACKING_URI")
        self.uri = self._given or f"sqlite:///{self.results / DATABASE}"
        self._client: MlflowClient | None = None
        self._experiments: dict[str, str] = {}
        self._unreachable = False
        self._warned = False

    @property
    def address(self) -> str:
        """``uri`` without user and password, for people."""
        return _public(self.uri)

    def log(self, row: Row, folder: Path) -> bool:
        """Send a trial, or bring its run up to date; return whether that worked.

        Connects at the first call. A store that cannot be reached then is not tried again.

        Args:
            row: what is sent.
            folder: of the trial, with row.json and, if there are any, curve.parquet, samples.png
                and environment.json; a marker is left there.
        """
        if self._unreachable:
            return False
        try:
            run = self._send(self.client, row, folder)
            _mark(folder, self.address, run)
        except Exception as error:
            self._unreachable = self._client is None
            self._warn(f"trial {row.trial}", error)
            return False
        return True

    def log_report(self, benchmark: str, folder: Path) -> bool:
        """Send a report as the artifact of a run of its own, or bring it up to date.

        Returns:
            Whether that worked.
        """
        if self._unreachable:
            return False
        try:
            client = self.client
            run = self._run(benchmark, REPORT_TAG, benchmark, "report")
            client.log_artifacts(run, str(folder), "report")
            client.set_terminated(run)
        except Exception as error:
            self._unreachable = self._client is None
            self._warn(f"the report in {folder}", error)
            return False
        return True

    def holds(self, folder: Path) -> bool:
        """Whether this store was sent the trial in ``folder`` as it is now."""
        if not (self._given or (self.results / DATABASE).exists()):
            return False
        told = _marked(folder)
        return told.get("uri") == self.address and told.get("row") == _digest(folder)

    @property
    def client(self) -> MlflowClient:
        """MLflow's client, connected."""
        if self._client is None:
            self._client = self._connect()
        return self._client

    def _connect(self) -> MlflowClient:
        # MLflow reads these when imported; by default it waits minutes for a dead server.
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
        os.environ.setdefault(RETRIES, "1")
        # The terminal has a progress bar.
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
        from mlflow import MlflowClient

        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self.results.mkdir(parents=True, exist_ok=True)
        client = MlflowClient(self.uri)
        client.search_experiments(max_results=1)
        return client

    def _send(self, client: MlflowClient, row: Row, folder: Path) -> str:
        """Write everything of a trial and return the id of its run."""
        end = int((folder / "row.json").stat().st_mtime * 1000)
        start = end - int(row.usage.wall * 1000)
        name = f"{row.label}-{row.seed}"
        run = self._run(row.benchmark, TRIAL_TAG, row.trial, name, start)
        columns = run_columns(row)
        _log_parameters(client, run, columns.parameters)
        curve = list(_curve_metrics(folder, end - 1))
        final = _final_metrics(columns.metrics, end, row.usage.images, {m.key for m in curve})
        metrics = chain(curve, final)
        while batch := list(islice(metrics, _METRICS_A_BATCH)):
            client.log_batch(run, metrics=batch)
        _log_tags(client, run, columns.tags | _tags(row))
        client.log_inputs(run, [_dataset_input(row)])
        for path in (folder / name for name in _FILES):
            if os.path.lexists(path):
                read_sealed(path, LARGE)  # refuses links and damage
                client.log_artifact(run, str(path))
        client.set_terminated(run, _RUN_STATUS.get(row.status, "FAILED"), end_time=end)
        return run

    def _experiment(self, client: MlflowClient, name: str) -> str:
        """Return the id of a benchmark's experiment, which is created if there is none."""
        from mlflow.exceptions import MlflowException

        if name not in self._experiments:
            location = None if self._given else (self.results / ARTIFACTS / name).as_uri()
            known = client.get_experiment_by_name(name)
            try:
                own = None if known else client.create_experiment(name, location)
            except MlflowException:
                # Another driver may have been faster.
                if (known := client.get_experiment_by_name(name)) is None:
                    raise
            self._experiments[name] = known.experiment_id if known else str(own)
        return self._experiments[name]

    def _run(
        self, benchmark: str, tag: str, value: str, name: str, start: int | None = None
    ) -> str:
        """Return the id of the run with a tag, which is made if there is none."""
        with self._locked(benchmark):
            experiment = self._experiment(self.client, benchmark)
            return find_or_make_run(self.client, experiment, tag, value, name, start)

    def _locked(self, benchmark: str) -> Lock:
        """Return a lock on making runs; wait for it, as ``sync`` may be called while trials run."""
        locks = Store(self.results, benchmark).locks
        locks.mkdir(parents=True, exist_ok=True)
        return Lock(locks / "tracking", wait=True)

    def _warn(self, what: str, error: Exception) -> None:
        if not self._warned:
            log.warning(
                "MLflow at %s did not take %s (%s: %s); results are safe in %s, and "
                "'harness sync' sends them later",
                self.address,
                what,
                type(error).__name__,
                _public(str(error).partition("\n")[0]),
                self.results,
            )
        self._warned = True


def _tags(row: Row) -> dict[str, str]:
    """Return the tags that MLflow's own pages show."""
    # The description that the page of a run shows.
    tags = {"mlflow.source.name": "harness", "mlflow.note.content": row.reason or ""}
    if row.provenance.get("commit"):
        tags["mlflow.source.git.commit"] = str(row.provenance["commit"])
    return tags


def _log_parameters(client: MlflowClient, run: str, values: Mapping[str, str]) -> None:
    from mlflow.entities import Param

    parameters: Iterator[Param] = (
        Param(key, value[:_PARAMETER_LENGTH]) for key, value in values.items()
    )
    while batch := list(islice(parameters, _PARAMETERS_A_BATCH)):
        client.log_batch(run, params=batch)


def _log_tags(client: MlflowClient, run: str, values: Mapping[str, str]) -> None:
    from mlflow.entities import RunTag

    tags: Iterator[RunTag] = (RunTag(key, value[:_TAG_LENGTH]) for key, value in values.items())
    while batch := list(islice(tags, _TAGS_A_BATCH)):
        client.log_batch(run, tags=batch)


def _final_metrics(
    values: Mapping[str, float], time: int, images: int, curved: Set[str]
) -> Iterator[Metric]:
    """Yield figures and usage; MLflow compares by bars what is at step 0.

    Args:
        values: by name.
        time: their time stamp.
        images: seen in training.
        curved: names that have a curve, which their last value continues at step = images seen.
    """
    from mlflow.entities import Metric

    for name, value in values.items():
        yield Metric(name, value, time, images if name in curved else 0)


def _curve_metrics(folder: Path, time: int) -> Iterator[Metric]:
    """Yield the evaluations during training, at step = images seen; raw weights as "raw/..."."""
    from mlflow.entities import Metric

    path = folder / "curve.parquet"
    if not os.path.lexists(path):
        return
    for point in read_curves(read_sealed(path, LARGE), path).to_dict("records"):
        prefix = "raw/" if point["weights"] == "raw" else ""
        for name in point.keys() - set(CURVE_COLUMNS):
            if isinstance(point[name], int | float) and not math.isnan(point[name]):
                yield Metric(f"{prefix}{name}", float(point[name]), time, int(point["images"]))


def _dataset_input(row: Row) -> DatasetInput:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    source = {"tags": {"mlflow.source.type": "LOCAL", "mlflow.source.name": row.dataset}}
    dataset = Dataset(
        name=row.dataset,
        digest=row.fingerprint[:_DIGEST_LENGTH],
        source_type="code",
        source=json.dumps(source),
        profile=json.dumps({"fingerprint": row.fingerprint}),
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", "train")])


def _mark(folder: Path, address: str, run: str) -> None:
    write_json(folder / MARKER, {"uri": address, "run": run, "row": _digest(folder)})


def _marked(folder: Path) -> dict[str, Any]:
    """Return what ``_mark`` wrote, or nothing where that cannot be read."""
    try:
        told = json.loads(read_regular(folder / MARKER))
    except (UserError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def _digest(folder: Path) -> str:
    return hashlib.sha256((folder / "row.json").read_bytes()).hexdigest()


def _public(text: str) -> str:
    """Return ``text`` with user and password taken out of every address in it."""
    return re.sub(r"//[^/@\s]*@", "//", text)

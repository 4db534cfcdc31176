"""Writes rows and reports to MLflow.

Nothing here may affect a trial: what cannot be sent is reported once and can be sent by ``sync``.
"""

from __future__ import annotations

import importlib
import logging
import os
import shlex
from collections.abc import Callable
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal

from harness.files.locks import Lock
from harness.publishing.manifest import MANIFEST_NAME
from harness.row import Row
from harness.storage.store import Store
from harness.tracking.address import Address
from harness.tracking.columns import TAG_PREFIX
from harness.tracking.content import copy_report, ended_at, run_name, send_report, send_trial
from harness.tracking.database import (
    DATABASE,
    artifact_location,
    check_readable,
    check_writable,
    database_path,
    database_uri,
    follow_results,
    making,
)
from harness.tracking.marker import mark, marked_run
from harness.tracking.one_run import RETRIES, find_or_make_run
from harness.tracking.patience import CallTimeout, call_with_timeout
from harness.tracking.refusals import DeletedExperiment, remedy

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 30.0
"""Timeout in seconds of a store for one trial or report, or for one page of a response."""
TRIAL_TAG, REPORT_TAG = f"{TAG_PREFIX}trial", f"{TAG_PREFIX}report"


def open_tracker(mode: Literal["auto", "off"], results: Path) -> Tracker | None:
    """Return a tracker, or None if tracking is off or MLflow is not installed."""
    if mode == "off":
        return None
    if find_spec("mlflow") is None:
        log.warning("MLflow is not installed: trials are kept in %s but not tracked", results)
        return None
    return Tracker(results)


def _import_mlflow() -> None:
    # MLflow reads these when imported; by default it waits minutes for a dead server.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    os.environ.setdefault(RETRIES, "1")
    # The terminal has a progress bar.
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    importlib.import_module("mlflow")
    # They also log errors that they raise, with addresses and their passwords.
    for name in ("mlflow", "alembic", "urllib3.connectionpool"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


class Tracker:
    """Writes to MLflow: one experiment per benchmark, one run per trial and one for the report.

    A store that cannot be reached, or exceeds the patience, is given up: it is not used again.

    Args:
        results: folder of results.
        patience: seconds for one trial, report or query.

    Attributes:
        results: folder of results.
        gave_up: whether the store is no longer used.
    """

    def __init__(self, results: Path, patience: float = PATIENCE_SECONDS) -> None:
        self.results = results.resolve()
        self.gave_up = False
        self._patience = patience
        given = os.environ.get("MLFLOW_TRACKING_URI", "").strip()
        self._own = None if given else self.results / DATABASE
        self._address = Address(given or database_uri(self.results / DATABASE))
        self._client: MlflowClient | None = None
        self._stages: dict[str, dict[str, str]] = {}
        self._warned: set[tuple[str, str]] = set()

    @property
    def uri(self) -> str:
        """The store's: ``MLFLOW_TRACKING_URI``, or else that of an SQLite file in ``results``."""
        return self._address.uri

    @property
    def address(self) -> str:
        """``uri`` without user, password and query, for display."""
        return self._address.public

    @property
    def is_clear(self) -> bool:
        """Whether ``address`` is all of ``uri`` except user, password and query."""
        return self._address.is_clear

    @property
    def settings(self) -> str:
        """Prefix of a command ``mlflow`` that makes it use this store."""
        return f"MLFLOW_TRACKING_URI={shlex.quote(self.uri)} " if self._own else ""

    def log(self, row: Row, folder: Path) -> bool:
        """Send a trial, or bring its run up to date; return whether that worked.

        Connects at the first call.

        Args:
            row: to be sent.
            folder: of the trial; see ``send_trial``. A marker is left there.
        """
        return self._attempt(
            row.benchmark, f"take trial {row.trial}", lambda: self._send(row, folder)
        )

    def log_report(self, benchmark: str, folder: Path) -> bool:
        """Send a report as the artifact of a run of its own, or bring it up to date.

        A copy is sent, made while no other run writes the report; a marker is left beside it.

        Returns:
            Whether that worked.
        """
        return self._attempt(
            benchmark, f"take the report in {folder}", lambda: self._send_report(benchmark, folder)
        )

    def holds(self, folder: Path) -> bool:
        """Whether the store has the current trial in ``folder``, not deleted."""
        run = marked_run(folder, folder / "row.json")
        return run is not None and self.stage(folder.parents[1].name, run) == "active"

    def stage(self, benchmark: str, run: str) -> str | None:
        """Return whether a run is "active" or "deleted"; None if the store does not have it.

        The store is asked once for all runs of a benchmark.
        """
        if self._own and not self._own.exists():
            return None
        if benchmark not in self._stages:
            self._stages[benchmark] = self._ask_for_stages(benchmark)
        return self._stages[benchmark].get(run)

    def give_up(self) -> None:
        """Do not use the store again."""
        self.gave_up = True

    @property
    def client(self) -> MlflowClient:
        """MLflow's client, connected.

        Raises:
            CallTimeout: the store was given up.
        """
        if self.gave_up:
            raise CallTimeout("the store was given up")
        if self._client is None:
            self._client = self._connect()
        return self._client

    def hide(self, text: str) -> str:
        """Return a text without the passwords that it may quote."""
        return self._address.hide(text)

    def _attempt(self, benchmark: str, what: str, call: Callable[[], None]) -> bool:
        """Return whether a call worked within its time; warn if it did not."""
        if self.gave_up:
            return False
        try:
            _import_mlflow()  # outside of the timeout: importing takes long on a busy machine
            call_with_timeout(self._patience, call)
        except Exception as error:
            self.gave_up |= self._client is None or isinstance(error, CallTimeout)
            self._warn(benchmark, what, error)
            return False
        return True

    def _connect(self) -> MlflowClient:
        _import_mlflow()
        from mlflow import MlflowClient

        path = database_path(self.uri)
        if self._own and path != self._own:
            raise ValueError("this version of SQLAlchemy takes no '%' or '?' in a folder's name")
        with making(path) if path else nullcontext():
            if path:
                check_readable(path)
            if self._own:
                follow_results(self._own, self.results)
            client = MlflowClient(self.uri)
            client.search_experiments(max_results=1)
        return client

    def _send(self, row: Row, folder: Path) -> None:
        """Write a trial."""
        start = ended_at(folder) - int(row.usage.wall * 1000)
        name = run_name(f"{row.label}-{row.seed}")
        run = self._run(row.benchmark, TRIAL_TAG, row.trial, name, start)
        send_trial(self.client, run, row, folder)
        mark(folder, self.address, run, folder / "row.json")
        self._stages.get(row.benchmark, {})[run] = "active"

    def _send_report(self, benchmark: str, folder: Path) -> None:
        run = self._run(benchmark, REPORT_TAG, benchmark, "report")
        with TemporaryDirectory(prefix="genharness-report-") as name:
            copy = Path(name)
            with Store(self.results, benchmark).reporting():
                copy_report(folder, copy)
            send_report(self.client, run, copy)
            if (copy / MANIFEST_NAME).exists():
                mark(folder.parent, self.address, run, copy / MANIFEST_NAME)

    def _ask_for_stages(self, benchmark: str) -> dict[str, str]:
        """Return the stages of a benchmark's runs by their ids, as far as the store responds."""
        found: dict[str, str] = {}
        tokens: list[str | None] = [None]

        def ask() -> None:
            from mlflow.entities import ViewType

            token = tokens.pop()
            if (experiment := self._known_experiment(benchmark)) is None:
                return
            page = self.client.search_runs([experiment], "", ViewType.ALL, page_token=token)
            found.update((run.info.run_id, run.info.lifecycle_stage) for run in page)
            tokens.extend([page.token] if page.token else [])

        while tokens and self._attempt(benchmark, f"say what it has of {benchmark}", ask):
            pass
        return found

    def _known_experiment(self, benchmark: str) -> str | None:
        """Return the id of a benchmark's experiment, or None if there is none.

        Raises:
            DeletedExperiment: it was deleted in MLflow, which keeps its name reserved.
        """
        known = self.client.get_experiment_by_name(benchmark)
        if known is not None and known.lifecycle_stage == "deleted":
            raise DeletedExperiment(benchmark, known.experiment_id)
        return None if known is None else str(known.experiment_id)

    def _experiment(self, benchmark: str) -> str:
        """Return the id of a benchmark's experiment, which is created if there is none."""
        from mlflow.exceptions import MlflowException

        if (known := self._known_experiment(benchmark)) is not None:
            return known
        location = artifact_location(self.results, benchmark) if self._own else None
        try:
            return str(self.client.create_experiment(benchmark, location))
        except MlflowException:
            # Another driver may have created it meanwhile.
            if (known := self._known_experiment(benchmark)) is None:
                raise
            return known

    def _run(
        self, benchmark: str, tag: str, value: str, name: str, start: int | None = None
    ) -> str:
        """Return the id of the run with a tag, which is created if there is none."""
        client = self.client
        if path := database_path(self.uri):
            check_writable(path)
        with self._locked(benchmark):
            experiment = self._experiment(benchmark)
            return find_or_make_run(client, experiment, tag, value, name, start)

    def _locked(self, benchmark: str) -> Lock:
        """Return a lock on creating runs; wait for it, as ``sync`` may run while trials run."""
        locks = Store(self.results, benchmark).locks
        locks.mkdir(parents=True, exist_ok=True)
        return Lock(locks / "tracking", wait=True)

    def _warn(self, benchmark: str, what: str, error: Exception) -> None:
        kind = (benchmark, type(error).__name__)
        if kind not in self._warned:
            log.warning(
                "MLflow at %s did not %s (%s: %s); results are safe in %s%s",
                self.address,
                what,
                type(error).__name__,
                self.hide(str(error).partition("\n")[0]),
                self.results,
                remedy(error, self.settings, self.is_clear),
            )
        self._warned.add(kind)

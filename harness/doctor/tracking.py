"""Checks of MLflow and its store. Nothing is written to it."""

from __future__ import annotations

import importlib
import sqlite3
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

from harness.doctor.finding import Finding, ok, warning
from harness.tracking import DATABASE, Tracker
from harness.tracking.address import ESCAPE
from harness.tracking.database import database_uri
from harness.tracking.patience import CallTimeout, call_with_timeout

PATIENCE = 3.0  # seconds
_LATER = "trials run without it; 'harness sync' sends them later"


def tracking_findings(results: Path) -> list[Finding]:
    """Import MLflow and look at the store that trials below ``results`` would be sent to."""
    try:
        module = importlib.import_module("mlflow")
    except Exception as error:
        # Its dependencies may be missing or incompatible.
        seen = f"cannot be imported: {type(error).__name__}: {error}"
        return [warning("MLflow", seen, f"pip install mlflow; {_LATER}")]
    return [ok("MLflow", module.__version__), _store_finding(results)]


def _store_finding(results: Path) -> Finding:
    tracker = Tracker(results)
    if tracker.uri.startswith(("http://", "https://")):
        return _server_finding(tracker)
    database = tracker.results / DATABASE
    if tracker.uri == database_uri(database):
        return _database_finding(database)
    return ok("MLflow's store", f"{tracker.address}, which was not checked")


def _server_finding(tracker: Tracker) -> Finding:
    subject, remedy = (
        "MLflow's store",
        (f"start the server, or correct MLFLOW_TRACKING_URI; {_LATER}"),
    )
    if not tracker.is_clear:
        seen = f"{tracker.address} does not answer: host and password cannot be distinguished"
        return warning(subject, seen, ESCAPE)
    try:
        # urlopen's own limit is on the silence between two bytes.
        call_with_timeout(PATIENCE, lambda: _ask_for_health(tracker.address))
        return ok(subject, f"{tracker.address} answers")
    except HTTPError as error:
        seen = f"{tracker.address} answers with {error.code} {error.reason}"
    except (OSError, ValueError, HTTPException, CallTimeout) as error:
        seen = f"{tracker.address} does not answer: {getattr(error, 'reason', error)}"
    return warning(subject, tracker.hide(seen), remedy)


def _ask_for_health(address: str) -> None:
    # The user's own address, without the password that urlopen does not take nor health need.
    with urlopen(f"{address.rstrip('/')}/health", timeout=PATIENCE) as answer:  # nosec B310
        answer.read(1000)


def _database_finding(database: Path) -> Finding:
    subject = "MLflow's store"
    if not database.exists():
        return ok(subject, f"{database}, which the first run creates")
    try:
        # "with" alone would end the transaction and leave the file open.
        connection = sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, timeout=PATIENCE)
        try:
            runs = connection.execute("SELECT count(*) FROM runs").fetchone()[0]
        finally:
            connection.close()
    except sqlite3.Error as error:
        remedy = f"move it away, then 'harness sync' fills a new one; {_LATER}"
        if "is locked" in str(error):
            remedy = f"stop the process that locks it; {_LATER}"
        return warning(subject, f"{database} cannot be read: {error}", remedy)
    return ok(subject, f"{database}, {runs} runs")

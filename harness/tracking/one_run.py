"""The one run that stands for a trial, or for a report: found by its tag, or made."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient

RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"


def find_or_make_run(
    client: MlflowClient, experiment: str, tag: str, value: str, name: str, start: int | None
) -> str:
    """Return the id of the run with a tag; by one process at a time, or each may make one.

    A server that answers too late has made a run that nobody writes to. It is found the next time,
    and is taken if there is no other, or else deleted.

    Args:
        client: of MLflow, connected.
        experiment: its id.
        tag: which the run has.
        value: of the tag.
        name: of a new run.
        start: of a new run, in milliseconds since 1970; None is now.
    """
    found = client.search_runs([experiment], f"tags.`{tag}` = '{value}'")
    if not found:
        with _asked_once():
            run = client.create_run(experiment, start_time=start, tags={tag: value}, run_name=name)
        return str(run.info.run_id)
    run = max(found, key=lambda run: (run.info.end_time or 0, run.info.run_id))
    for other in found:
        if other is not run and other.info.end_time is None:
            client.delete_run(other.info.run_id)
    return str(run.info.run_id)


@contextmanager
def _asked_once() -> Iterator[None]:
    """Let MLflow send a request once, where a second one would not find what the first did."""
    before = os.environ.get(RETRIES, "1")
    os.environ[RETRIES] = "0"
    try:
        yield
    finally:
        os.environ[RETRIES] = before

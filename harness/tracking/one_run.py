"""The one run of a trial or a report: found by its tag, or created."""

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
    """Return the id of the run with a tag; one process at a time, or each may create one.

    A server that answers too late has created a run that stays empty. It is found the next time,
    and is used if there is no other, or else deleted.

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
    """Have MLflow send a request once, where a retry would not find what the first created."""
    before = os.environ.get(RETRIES, "1")
    os.environ[RETRIES] = "0"
    try:
        yield
    finally:
        os.environ[RETRIES] = before

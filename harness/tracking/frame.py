"""The rows of a benchmark from MLflow, in the columns of ``rows_frame``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import UserError
from harness.tracking.columns import TAG_PREFIX, column_name
from harness.tracking.patience import call_with_timeout
from harness.tracking.tracker import TRIAL_TAG, Tracker

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.entities import Run

READING_SECONDS = 120.0


def tracked_frame(benchmark: str, results: Path | str = Path("results")) -> pd.DataFrame:
    """Return the runs of a benchmark in MLflow, one line per trial, columns as ``rows_frame``'s.

    Figures are numbers; settings (``config.*``, ``protocol.*``) are strings, as MLflow stores them.

    Args:
        benchmark: its name, which is the experiment's.
        results: folder, whose store is read unless ``MLFLOW_TRACKING_URI`` names another.

    Raises:
        UserError: the store has no such experiment, or cannot be read.
    """
    import pandas as pd

    tracker = Tracker(Path(results))
    try:
        found = call_with_timeout(READING_SECONDS, lambda: _found(tracker, benchmark))
    except UserError:
        raise
    except Exception as error:
        reason = tracker.hide(str(error).partition("\n")[0])
        raise UserError(f"MLflow at {tracker.address} cannot be read: {reason}") from None
    # Runs of one trial other than the last that ended: they are empty or out of date.
    found.sort(key=lambda run: run.info.end_time or 0)
    latest = {run.data.tags[TRIAL_TAG]: run for run in found}
    lines = sorted(latest.values(), key=lambda run: run.info.start_time)
    frame = pd.DataFrame([_line(run) for run in lines])
    return frame.astype({"seed": "Int64"}) if "seed" in frame else frame


def _found(tracker: Tracker, benchmark: str) -> list[Run]:
    experiment = tracker.client.get_experiment_by_name(benchmark)
    if experiment is None:
        raise UserError(f"MLflow at {tracker.address} has no experiment {benchmark!r}")
    return list(_runs(tracker.client, experiment.experiment_id))


def _runs(client: MlflowClient, experiment: str) -> Iterator[Run]:
    """Yield the runs that stand for trials.

    ``mlflow.search_runs`` gives a frame, but uses a store that is chosen for the whole process.
    """
    token = None
    while True:
        page = client.search_runs([experiment], f"tags.`{TRIAL_TAG}` != ''", page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _line(run: Run) -> dict[str, str | float]:
    tags = run.data.tags.items()
    ours = {k.removeprefix(TAG_PREFIX): v for k, v in tags if k.startswith(TAG_PREFIX)}
    columns = run.data.metrics | run.data.params | ours
    return {column_name(name): value for name, value in columns.items()}

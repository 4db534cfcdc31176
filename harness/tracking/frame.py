"""The rows of a benchmark as MLflow has them, in the columns of ``rows_frame``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import UserError
from harness.tracking.columns import TAG_PREFIX
from harness.tracking.tracker import TRIAL_TAG, Tracker

if TYPE_CHECKING:
    import pandas as pd

_PLACES = ("metrics.", "params.", f"tags.{TAG_PREFIX}")


def tracked_frame(benchmark: str, results: Path | str = Path("results")) -> pd.DataFrame:
    """Return ``mlflow.search_runs`` of a benchmark, one line a trial, columns as ``rows_frame``'s.

    Figures are numbers; settings (``config.*``, ``protocol.*``) are texts, as MLflow keeps them.

    Args:
        benchmark: its name, which is the experiment's.
        results: folder, whose store is read unless ``MLFLOW_TRACKING_URI`` names another.

    Raises:
        UserError: the store has no such experiment, or cannot be read.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    tracker = Tracker(Path(results))
    before = mlflow.get_tracking_uri()
    try:
        experiment = tracker.client.get_experiment_by_name(benchmark)
        if experiment is None:
            raise UserError(f"MLflow at {tracker.address} has no experiment {benchmark!r}")
        mlflow.set_tracking_uri(tracker.uri)
        trials = f"tags.`{TRIAL_TAG}` != ''"
        found = mlflow.search_runs(
            [experiment.experiment_id], trials, order_by=["start_time ASC"], output_format="pandas"
        )
    except MlflowException as error:
        raise UserError(f"MLflow at {tracker.address} cannot be read: {error.message}") from None
    finally:
        mlflow.set_tracking_uri(before)
    # Runs of one trial beside the last that ended: nobody wrote to them, or they are out of date.
    found = found.sort_values("end_time", na_position="first")
    found = found.drop_duplicates(f"tags.{TRIAL_TAG}", keep="last").sort_index()
    names = {
        name: name.removeprefix(place)
        for name in found.columns
        for place in _PLACES
        if name.startswith(place)
    }
    frame = found[list(names)].rename(columns=names)
    return frame.astype({"seed": "Int64"}) if "seed" in frame else frame

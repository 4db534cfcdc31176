"""Content of a run of MLflow for a trial or a report: parameters, metrics, tags, files."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Set
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

from harness.files import media
from harness.files.integrity import read_sealed
from harness.files.untrusted import LARGE, UntrustedFolder, read_regular
from harness.results import CURVE_COLUMNS
from harness.row import Row
from harness.storage.curves import read_curves
from harness.tracking.columns import run_columns, tracked_name

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput, Metric, Param, RunTag

_FILES = (*media.FILES, "row.json", "environment.json", "curve.parquet")
_RUN_STATUS = {"ok": "FINISHED", "skipped": "FINISHED", "killed": "KILLED"}
# Limits of MLflow's stores, and the length of a fingerprint on its pages.
_METRICS_A_BATCH, _PARAMETERS_A_BATCH, _TAGS_A_BATCH = 1000, 100, 100
_PARAMETER_LENGTH, _TAG_LENGTH, _NAME_LENGTH, _DIGEST_LENGTH = 6000, 5000, 250, 12


def send_trial(client: MlflowClient, run: str, row: Row, folder: Path) -> None:
    """Write a trial to its run, and end the run.

    Args:
        client: of MLflow, connected.
        run: the trial's.
        row: the trial's.
        folder: with row.json and, if there are any, curve.parquet, environment.json and what shows
            samples.

    Raises:
        UserError: a file is damaged, or is a link.
    """
    end = ended_at(folder)
    columns = run_columns(row)
    _log_parameters(client, run, columns.parameters)
    curve = list(_curve_metrics(folder, end - 1))
    final = _final_metrics(columns.metrics, end, row.usage.images, {m.key for m in curve})
    metrics = chain(curve, final)
    while batch := list(islice(metrics, _METRICS_A_BATCH)):
        client.log_batch(run, metrics=batch, synchronous=True)
    _log_tags(client, run, columns.tags | _tags(row))
    client.log_inputs(run, [_dataset_input(row)])
    for path in (folder / name for name in _FILES):
        if os.path.lexists(path):
            read_sealed(path, LARGE)  # rejects links and damage
            client.log_artifact(run, str(path))
    client.set_terminated(run, _RUN_STATUS.get(row.status, "FAILED"), end_time=end)


def send_report(client: MlflowClient, run: str, copy: Path) -> None:
    """Write a report to its run, and end the run."""
    client.log_artifacts(run, str(copy), "report")
    client.set_terminated(run)


def ended_at(folder: Path) -> int:
    """Return when a trial ended, in milliseconds since 1970."""
    return int((folder / "row.json").stat().st_mtime * 1000)


def run_name(name: str) -> str:
    """Return the name of a run within MLflow's limit."""
    return _text(name, _NAME_LENGTH)


def copy_report(folder: Path, copy: Path) -> None:
    """Copy the regular files of a report, which another run may replace while it is sent."""
    for name in UntrustedFolder(folder).files():
        if not (folder / name).is_symlink():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_bytes(read_regular(folder / name, LARGE))


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
        Param(key, _text(value, _PARAMETER_LENGTH)) for key, value in values.items()
    )
    while batch := list(islice(parameters, _PARAMETERS_A_BATCH)):
        client.log_batch(run, params=batch, synchronous=True)


def _log_tags(client: MlflowClient, run: str, values: Mapping[str, str]) -> None:
    from mlflow.entities import RunTag

    tags: Iterator[RunTag] = (
        RunTag(key, _text(value, _TAG_LENGTH)) for key, value in values.items()
    )
    while batch := list(islice(tags, _TAGS_A_BATCH)):
        client.log_batch(run, tags=batch, synchronous=True)


def _text(value: str, length: int) -> str:
    """Return a text that every database accepts: no lone surrogates, no NUL, not too long."""
    encoded = value.encode("utf-8", "backslashreplace").decode()
    return encoded.replace("\0", "\\x00")[:length]


def _final_metrics(
    values: Mapping[str, float], time: int, images: int, curved: Set[str]
) -> Iterator[Metric]:
    """Yield figures and usage; MLflow shows values at step 0 as bars.

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
                key = f"{prefix}{tracked_name(str(name))}"
                yield Metric(key, float(point[name]), time, int(point["images"]))


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

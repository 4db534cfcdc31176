"""The pictures that a trial leaves; whatever fails in one costs that picture alone."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from harness.contract import GenerativeModel
from harness.dataset import Dataset
from harness.files.disk import write_atomically
from harness.machine.exceptions import explain
from harness.machine.precision import Precision
from harness.measurement.interpolation import interpolate
from harness.measurement.pictures import grid_png, pairs_png
from harness.measurement.scorer import SampleScorer

log = logging.getLogger(__name__)

SUSPECTS = 30
"""Samples that are shown beside the training images nearest to them."""


def write_picture(path: Path, draw: Callable[[], bytes | None]) -> None:
    """Write the picture that ``draw`` returns, if it returns one; log why if it raises."""
    try:
        picture = draw()
    except Exception as error:
        log.warning("no %s: %s", path.name, explain(error))
        return
    if picture is not None:
        write_atomically(path, picture)


def suspects_png(scorer: SampleScorer, dataset: Dataset, samples: Tensor) -> bytes:
    """Return the samples that look most like copies, beside the training images nearest."""
    suspects, nearest = scorer.suspects(samples, SUSPECTS)
    originals = dataset.train.x[nearest.numpy()]
    return pairs_png(suspects.numpy(), originals, dataset.spec.levels)


def interpolation_png(
    model: GenerativeModel, seed: int, precision: Precision, y: Tensor | None
) -> bytes | None:
    """Return images between latent variables, a row for each condition; None without any."""
    images = interpolate(model, seed=seed, precision=precision, y=y)
    return None if images is None else grid_png(images.numpy(), model.spec.levels)

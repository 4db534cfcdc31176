"""The pictures of a trial; an error in one affects only that picture."""

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
from harness.measurement.interpolation import STEPS, interpolate
from harness.measurement.pictures import Files, draw, draw_pairs
from harness.measurement.scorer import SampleScorer

log = logging.getLogger(__name__)

COPIES_SHOWN = 30
"""Samples that are looked for beside the training examples nearest to them."""


def write_pictures(folder: Path, name: str, drawing: Callable[[], Files]) -> None:
    """Write the files that ``drawing`` returns, by suffix; log why if it raises."""
    try:
        files = drawing()
    except Exception as error:
        log.warning("no %s: %s", name, explain(error))
        return
    for suffix, content in files.items():
        write_atomically(folder / f"{name}.{suffix}", content)


def draw_suspects(scorer: SampleScorer, dataset: Dataset, samples: Tensor) -> Files:
    """Show the samples that look most like copies, beside the training examples nearest."""
    likely_copies, nearest = scorer.likely_copies(samples, COPIES_SHOWN)
    originals = dataset.train.x[nearest.numpy()]
    return draw_pairs(dataset.spec.x, likely_copies.numpy(), originals)


def draw_interpolation(
    model: GenerativeModel, seed: int, precision: Precision, y: Tensor | None
) -> Files:
    """Show examples between latent variables, a row for each condition; nothing without any."""
    between = interpolate(model, seed=seed, precision=precision, y=y)
    return {} if between is None else draw(model.spec.x, between.numpy(), columns=STEPS)

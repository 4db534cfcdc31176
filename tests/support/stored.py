"""A resolved trial, for tests of what happens to its folder."""

from __future__ import annotations

import pandas as pd

from harness.planning.benchmark import Evaluation
from harness.planning.trial import Trial
from harness.results import CURVE_COLUMNS


def trial(seed: int = 0) -> Trial:
    """A trial of no particular model."""
    return Trial(
        benchmark="mine",
        dataset="digits",
        fingerprint="f" * 64,
        model="vae",
        label="vae",
        type="autoencoder",
        config={"batch_size": 8},
        seed=seed,
        budget="5 steps",
        precision="fp32",
        compile=False,
        averaging=500_000.0,
        evaluation=Evaluation(samples=10),
        plugin={"distribution": "genharness", "version": "0", "source": "0"},
        features={"name": "pixels", "digest": "0" * 64},
    )


TRIAL = trial()


def curve(trial: Trial, **metrics: float) -> pd.DataFrame:
    """One evaluation of a trial, half-way."""
    columns = dict.fromkeys(CURVE_COLUMNS, 0.5) | {"trial": trial.id, "weights": "raw"}
    return pd.DataFrame([columns | metrics])

"""A trial of any model class on toy data, in this process: warmed up and trained."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from support.stored import trial
from support.toys import dataset

from harness.hooks import ModelInfo
from harness.machine.heartbeat import Heartbeat
from harness.planning.benchmark import Evaluation
from harness.plugins.registry import Registered
from harness.training.ledger import Ledger
from harness.training.loop import Training
from harness.training.parallel.replicas import SingleProcess
from harness.worker.trial_run import TrialRun


def prepared(model_class: Any, folder: Path, **changes: Any) -> tuple[TrialRun, Training]:
    """Build a model as a worker does, and warm it up on a copy."""
    entry = Registered(ModelInfo("toy", "", "toys:Model", type="toy"), "toys", "1.0")
    registry: Any = SimpleNamespace(
        model=lambda name: entry,
        load=lambda info: model_class,
        hooks=SimpleNamespace(harness_step=lambda **_: None),
    )
    evaluation = Evaluation(samples=10, batch_size=10, curve=())
    kept = {"model": "toy", "config": {}, "evaluation": evaluation}
    one = trial().model_copy(update=kept | changes)
    folder.mkdir(exist_ok=True)
    ledger = Ledger()
    run = TrialRun(one, folder, registry, torch.device("cpu"), ledger, Heartbeat(folder))
    run.dataset, run._plugin_code = dataset(), nullcontext  # what plugins change is not put back
    return run, run._prepare(SingleProcess())


def trained(model_class: Any, folder: Path, **changes: Any) -> Training:
    """Train it too, with a checkpoint at every look at the clock."""
    run, training = prepared(model_class, folder, checkpoint_seconds=0.0, **changes)
    run._spend(training)
    return training

"""The training loop on small models and data, as tests of the loop need it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from support.toys import Regressor, split

from harness.contract import GenerativeModel
from harness.machine.clock import Clock, CpuClock
from harness.machine.seeding import BUILD, reseed
from harness.planning.budget import Budget
from harness.training.averaging import WeightAverage
from harness.training.batches import BatchStream
from harness.training.ledger import Ledger
from harness.training.loop import Training
from harness.training.step_costs import StepCost

CPU = torch.device("cpu")


def training(
    budget: str,
    build: Callable[[], GenerativeModel] = Regressor,
    clock: Clock | None = None,
    costs: Mapping[str, StepCost] | None = None,
    n: int = 50,
) -> Training:
    """Return a model in training on ``n`` images, whose steps cost 10 FLOPs unless told."""
    reseed(CPU, 0, BUILD)
    model = build()
    stream = BatchStream(split(n), model.config.batch_size, 0, CPU)
    return Training(
        model.train(),
        stream,
        Budget.parse(budget),
        Ledger(CPU),
        clock or CpuClock(),
        WeightAverage(model, 1000),
        costs or {"train": StepCost((10.0,), {})},
        precision="fp32",
        seed=0,
    )


def train(run: Training, target: float = 1.0) -> None:
    """Train in windows of a second until ``target`` of the budget is used."""
    while run.progress < target:
        run.run_window(target, 1.0)

"""The training loop: one clock, one data order, one averaging rule for all models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from harness.contract import GenerativeModel
from harness.machine.clock import Clock
from harness.machine.precision import Precision
from harness.machine.seeding import STEP
from harness.planning.budget import Budget
from harness.training.averaging import WeightAverage
from harness.training.batches import BatchStream
from harness.training.divergence import DivergenceWatch
from harness.training.ledger import Ledger
from harness.training.parallel.replicas import ALONE, SingleProcess
from harness.training.resumability import load_training_state, training_state
from harness.training.step_costs import StepCost, refuse_unmetered, stage_at, take_step

_END = -1.0
"""Sentinel in place of progress: the window ends."""


class Training:
    """A model in training: runs timed windows of steps until a fraction of the budget is used.

    Args:
        model: in training mode, on its device.
        stream: batches of the training split.
        budget: of the trial; it drives ``progress``.
        ledger: records usage.
        clock: of the model's device.
        average: follows the weights after every step, on the clock.
        costs: of a step, by stage.
        precision: of the network's arithmetic.
        seed: of the trial.
        replicas: the processes that train the model, this one among them.

    Raises:
        Unmetered: the budget is in FLOPs, and none are counted.
    """

    def __init__(
        self,
        model: GenerativeModel,
        stream: BatchStream,
        budget: Budget,
        ledger: Ledger,
        clock: Clock,
        average: WeightAverage,
        costs: Mapping[str, StepCost],
        *,
        precision: Precision,
        seed: int,
        replicas: SingleProcess = ALONE,
    ) -> None:
        self.model = model
        self.stream = stream
        self.budget = budget
        self.ledger = ledger
        self.clock = clock
        self.average = average
        self.costs = costs
        self.precision: Precision = precision
        self.seed = seed
        self.replicas = replicas
        self.losses: dict[str, float] = {}
        self._watch = DivergenceWatch(average)
        refuse_unmetered(budget, costs)
        for cost in costs.values():
            ledger.uncounted |= cost.uncounted

    @property
    def progress(self) -> float:
        """Fraction of the budget used, in [0, 1]."""
        return self.budget.fraction(self.ledger)

    def run_window(
        self, target: float, seconds: float, stopped: Callable[[], bool] = lambda: False
    ) -> None:
        """Train until ``target`` of the budget, ``seconds`` on the clock, or ``stopped``.

        Raises:
            Diverged: a loss, a weight or a buffer was not finite within the window.
            NotParallel: the model is no longer the same in all processes.
        """
        sums: dict[str, tuple[Tensor, int]] = {}
        with self.ledger.counting_optimizer_steps(), self.ledger.window(self.clock):
            while (progress := self._next(target, seconds, stopped)) != _END:
                self._step(progress, sums)
                self.clock.tick()
        losses = {name: float(total) / count for name, (total, count) in sums.items()}
        self.losses = self.replicas.mean(losses)
        self._watch.refuse(self.losses, self.ledger.batches)
        self.replicas.verify(self.model)

    def _next(self, target: float, seconds: float, stopped: Callable[[], bool]) -> float:
        """Return the progress at which all processes take a step, or ``_END``."""
        progress = self.progress
        ends = progress >= target or stopped() or self.clock.elapsed() >= seconds
        return self.replicas.agree(_END if ends else progress)

    def _step(self, progress: float, sums: dict[str, tuple[Tensor, int]]) -> None:
        index = self.ledger.batches
        cost = self.costs[stage_at(self.model.stages, progress)].at(progress, index)
        whole = self.stream.batch(index)
        # Layers that initialise themselves from the first batch must all see the whole of it.
        sharing = self.replicas if index else ALONE
        with sharing.share(whole) as batch:
            losses = take_step(self.model, batch, progress, self.precision, self.seed, STEP, index)
        size = len(whole.x)
        self.average.update(size, self.ledger.images + size)
        self._watch.look()
        self.ledger.record_step(size, cost)
        for name, loss in losses.items():
            # Summed on the device: a loss that is not finite shows at the window's end.
            total, count = sums.get(name, (0.0, 0))
            sums[name] = (loss.detach().double() + total, count + 1)

    def state_dict(self) -> dict[str, Any]:
        """Return the state for a checkpoint; it loads with ``weights_only=True``."""
        return training_state(self.model, self.average) | {"ledger": self.ledger.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a checkpoint."""
        load_training_state(self.model, self.average, state)
        self.ledger.load_state_dict(state["ledger"])

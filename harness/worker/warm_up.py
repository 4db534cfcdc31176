"""All that is to come in a trial, tried on a copy of its model before the clock starts."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from harness.contract import GenerativeModel
from harness.measurement.outlook import Costs
from harness.measurement.rehearsal import dry_run
from harness.training.averaging import WeightAverage
from harness.training.batches import BatchStream
from harness.training.parallel.replicas import SingleProcess
from harness.training.resumability import CheckpointVerifier, training_state
from harness.training.step_costs import StepCost, measure_steps
from harness.worker.building import Builder


class WarmUp(NamedTuple):
    """What is known of a model before it is trained.

    Attributes:
        step_costs: of a step of training, by stage.
        evaluation_costs: of an evaluation, from a dry run of one.
        loaded_back: holds checkpoints to loading into a model that is built anew.
    """

    step_costs: dict[str, StepCost]
    evaluation_costs: Costs
    loaded_back: CheckpointVerifier


def warm_up(
    builder: Builder, stream: BatchStream, replicas: SingleProcess, beat: Callable[[], None]
) -> WarmUp:
    """Take a copy of the model through all stages, a checkpoint and an evaluation.

    Args:
        builder: of the copy.
        stream: whose batches it is trained with.
        replicas: the processes that train the model.
        beat: called again and again, as a sign of life.
    """
    trial = builder.trial
    copies: list[GenerativeModel] = []

    def build() -> GenerativeModel:
        model = builder.model(replicas)
        if not copies:
            copies.append(model)
        return model

    def build_anew() -> tuple[GenerativeModel, WeightAverage]:
        model = builder.model(replicas)
        return model, WeightAverage(model, trial.averaging)

    costs = measure_steps(build, stream, trial.precision, replicas, beat)
    copy = copies[0]  # which has passed through all stages
    loaded_back = CheckpointVerifier(build_anew)
    loaded_back.verify(training_state(copy, WeightAverage(copy, trial.averaging)))
    sampler = builder.sampler(copy)
    return WarmUp(
        costs, dry_run(sampler, stream.batch(0), beat, compiled=trial.compile), loaded_back
    )

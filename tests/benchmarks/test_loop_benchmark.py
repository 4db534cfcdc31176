"""What the harness's loop costs beside the steps it runs, as a ratio within one run."""

import time

import pytest
import torch

from harness.machine.clock import CpuClock
from harness.planning.budget import Budget
from harness.plugins.loading import load_dataset
from harness.plugins.registry import registry
from harness.training.averaging import WeightAverage
from harness.training.batches import BatchStream
from harness.training.ledger import Ledger
from harness.training.loop import Training
from harness.training.step_costs import StepCost

MODELS = ("vae", "dcgan", "sngan", "realnvp", "ddpm", "score-sde")


class Stopwatch:
    """Adds up the time spent inside a function."""

    def __init__(self, function):
        self.function = function
        self.seconds = 0.0

    def __call__(self, *arguments):
        start = time.perf_counter()
        result = self.function(*arguments)
        self.seconds += time.perf_counter() - start
        return result


@pytest.mark.parametrize("name", MODELS)
def test_time_in_the_loop_that_is_neither_step_nor_data(benchmark, name):
    """On digits, where steps are shortest. The average of weights is part of this time."""
    data = load_dataset(registry(), "digits")
    model_class = registry().load(registry().model(name).info)
    torch.manual_seed(0)
    model = model_class(data.spec, model_class.Config()).train()
    stream = BatchStream(data.train, model.config.batch_size, 0, torch.device("cpu"))
    ledger = Ledger()
    costs = {stage: StepCost((1.0,), {}) for stage, _ in model.stages}
    average = WeightAverage(model, 500_000)
    budget = Budget.parse("1 h")
    loop = Training(
        model, stream, budget, ledger, CpuClock(), average, costs, precision="fp32", seed=0
    )
    loop.run_window(1.0, 0.5)
    model.training_step = step = Stopwatch(model.training_step)
    stream.batch = fetch = Stopwatch(stream.batch)
    before = ledger.seconds
    benchmark.pedantic(loop.run_window, (1.0, 3.0), rounds=1)
    clock = ledger.seconds - before
    benchmark.extra_info["overhead"] = 1 - (step.seconds + fetch.seconds) / clock
    print(f"\n{name}: {benchmark.extra_info['overhead']:.2%} of the clock is neither step nor data")

"""FLOPs of steps: the same at every progress, or counted along it; and none at all."""

import pytest
import torch
from support.toy_training import CPU, train, training
from support.toys import Regressor, split
from torch import nn

from harness.machine.heartbeat import Interrupted
from harness.training.batches import BatchStream
from harness.training.step_costs import StepCost, Unmetered, measure_steps
from harness.worker.failure import diagnose

LINEAR = 2 * 2 * 8 * 4 * 4  # a layer of 4 x 4 on 8 images, and the gradient of its weight


class Unrolled(Regressor):
    """Applies a layer more often as progress grows."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.network = nn.Linear(4, 4, bias=False)
        self.optimizers = {"adam": torch.optim.Adam(self.parameters(), lr=0.01)}

    def times(self, progress):
        return 1 + int(49 * progress)

    def training_step(self, batch, progress):
        x = batch.x.float().flatten(1)
        loss = sum(self.network(x).square().mean() for _ in range(self.times(progress)))
        self.optimizers["adam"].zero_grad()
        loss.backward()
        self.optimizers["adam"].step()
        return {"loss": loss.detach()}


def costs_of(build):
    return measure_steps(build, BatchStream(split(50), 8, 0, CPU), "fp32")


def charged(build, steps=1000):
    """Return the FLOPs that training is charged, over those that it takes."""
    model, cost = build(), costs_of(build)["train"]
    course = [step / steps for step in range(steps)]
    return sum(cost.at(p, 0) for p in course) / sum(LINEAR * model.times(p) for p in course)


def test_steps_that_cost_the_same_are_counted_as_before():
    class Constant(Unrolled):
        def times(self, progress):
            return 3

    assert costs_of(Constant) == {"train": StepCost((3.0 * LINEAR,), {})}


def test_steps_that_cost_more_as_progress_grows_are_charged_as_they_go():
    assert charged(Unrolled) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize(
    "times",
    [
        lambda progress: 50 if progress >= 0.7 else 1,
        lambda progress: 1 if progress >= 0.3 else 50,
        lambda progress: 20 if 0.4 < progress < 0.8 else 1,
        lambda progress: int(100**progress),
    ],
    ids=["a jump up", "a jump down", "a bump", "exponential"],
)
def test_costs_are_charged_whatever_their_course(times):
    class Model(Unrolled):
        def times(self, progress):
            return times(progress)

    assert charged(Model) == pytest.approx(1, abs=0.05)


def test_a_model_that_grows_for_good_is_counted_in_the_order_of_training():
    class Growing(Unrolled):
        grown = False

        def times(self, progress):
            self.grown |= progress > 0.6
            return 30 if self.grown else 2

    assert charged(Growing) == pytest.approx(1, abs=0.08)


def test_each_stage_and_each_step_of_a_period_is_counted_along_its_own_progress():
    class Staged(Unrolled):
        stages = (("plain", 0.5), ("growing", 0.5))
        period = 2

        def __init__(self, *arguments):
            super().__init__(*arguments)
            self.calls = 0

        def training_step(self, batch, progress):
            self.calls += 1
            return super().training_step(batch, progress)

        def times(self, progress):
            return 1 if self.calls % 2 else 2 if progress < 0.5 else 2 + int(40 * (progress - 0.5))

    costs = costs_of(Staged)
    assert costs["plain"] == StepCost((LINEAR, 2.0 * LINEAR), {})
    growing = costs["growing"]
    assert growing.flops == (LINEAR, 2.0 * LINEAR)
    assert [growing.at(progress, 6) / LINEAR for progress in (0.5, 0.75, 1.0)] == [1, 1, 1]
    later = [growing.at(progress, 7) / LINEAR for progress in (0.5, 0.75, 1.0)]
    assert later == [2, pytest.approx(12, abs=1), pytest.approx(21, abs=1)]


def test_a_budget_in_flops_is_used_at_the_true_cost():
    """The true count of the steps that a budget in FLOPs bought is that budget."""
    spent = []

    class Spy(Unrolled):
        def times(self, progress):
            spent.append(super().times(progress))
            return spent[-1]

    costs = costs_of(Spy)
    spent.clear()
    train(training(f"{1000 * LINEAR} FLOP", Spy, costs=costs))
    assert sum(spent) == pytest.approx(1000, abs=50)


class Uncounted(Unrolled):
    """All of its work is in an operator without a formula."""

    def training_step(self, batch, progress):
        x = batch.x.float().flatten(1).cumsum(1)
        loss = (self.network.weight.sum() * x.mean()).square()
        self.optimizers["adam"].zero_grad()
        loss.backward()
        self.optimizers["adam"].step()
        return {"loss": loss.detach()}


def test_a_budget_in_flops_that_nothing_counts_against_is_refused_at_once(tmp_path):
    costs = costs_of(Uncounted)
    with pytest.raises(Unmetered, match=r"aten\.cumsum; give the budget in steps") as caught:
        training("2 GFLOP", Uncounted, costs=costs)
    status, reason = diagnose(caught.value, CPU, tmp_path)
    assert status == "error"
    assert reason.startswith("a budget of 2 GFLOP would never be used up: no FLOPs are")
    run = training("20 steps", Uncounted, costs=costs)
    train(run)
    assert run.ledger.uncounted == {"aten.cumsum": 1}


def test_a_later_stage_that_nothing_counts_against_is_refused_too():
    class Later(Unrolled):
        stages = (("counted", 0.5), ("free", 0.5))

        def training_step(self, batch, progress):
            step = Unrolled.training_step if progress < 0.5 else Uncounted.training_step
            return step(self, batch, progress)

    with pytest.raises(Unmetered, match="stage 'free'"):
        training("2 GFLOP", Later, costs=costs_of(Later))
    assert training("2k images", Later, costs=costs_of(Later))


def test_warming_up_sends_heartbeats():
    beats = []
    stream = BatchStream(split(50), 8, 0, CPU)
    measure_steps(Regressor, stream, "fp32", beat=lambda: beats.append(1))
    assert len(beats) == 5


def test_a_step_that_cannot_be_taken_untrained_costs_no_trial():
    """It is charged as the last one that could be counted; whoever is asked to stop still stops."""

    class Fitted(Unrolled):
        def times(self, progress):
            if progress > 0.9:
                raise RuntimeError("nothing was fitted")
            return 2

    assert costs_of(Fitted) == {"train": StepCost((2.0 * LINEAR,), {})}

    def stop():
        raise Interrupted

    with pytest.raises(Interrupted):
        measure_steps(Unrolled, BatchStream(split(50), 8, 0, CPU), "fp32", beat=stop)


def test_a_first_period_of_another_cost_is_no_course_of_costs():
    class Initialising(Unrolled):
        first = True

        def times(self, progress):
            times, self.first = 9 if self.first else 2, False
            return times

    assert costs_of(Initialising) == {"train": StepCost((2.0 * LINEAR,), {})}

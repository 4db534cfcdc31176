"""The loop: budgets that bind, FLOPs by period, divergence, and a resume that leaves no trace."""

import io

import pytest
import torch
from support.toy_training import CPU, train, training
from support.toys import Alternating, Config, Regressor, split

from harness.machine.clock import CpuClock
from harness.training.batches import BatchStream
from harness.training.divergence import Diverged
from harness.training.step_costs import measure_steps, stage_at


class FakeTime:
    """A clock that moves 0.25 s whenever it is read."""

    def __init__(self):
        self.t = 0.0

    def __call__(self):
        self.t += 0.25
        return self.t


@pytest.mark.parametrize(
    ("budget", "field", "limit", "step"),
    [
        ("100 images", "images", 100, 8),
        ("13 steps", "steps", 13, 1),
        ("95 FLOP", "flops", 95, 10.0),
    ],
)
def test_the_overrun_is_at_most_one_step(budget, field, limit, step):
    run = training(budget)
    train(run)
    used = getattr(run.ledger, field)
    assert limit <= used < limit + step
    assert run.ledger.batches == -(-limit // step)


def test_a_time_budget_ends_at_the_first_look_beyond_it():
    run = training("20 s", clock=CpuClock(FakeTime()))
    train(run)
    # A step reads the clock four times at most, at 0.25 s each.
    assert 20 <= run.ledger.seconds <= 21.5


def test_progress_is_the_fraction_of_the_budget_used():
    seen = []

    class Spy(Regressor):
        def training_step(self, batch, progress):
            seen.append(progress)
            return super().training_step(batch, progress)

    train(training("10 steps", Spy))
    assert seen == pytest.approx([i / 10 for i in range(10)])


def test_steps_are_those_of_optimizers_and_images_those_of_batches():
    run = training("60 steps", lambda: Alternating(config=Config(n_critic=4)))
    train(run)
    # Four batches make five steps: four of the critic, one of the generator.
    assert (run.ledger.steps, run.ledger.batches, run.ledger.images) == (60, 48, 48 * 8)


def test_flops_of_a_period_are_charged_step_by_step():
    stream = BatchStream(split(50), 8, 0, CPU)
    costs = measure_steps(lambda: Alternating(config=Config(n_critic=3)), stream, "fp32")
    first, second, third = costs["train"].flops
    # Linear 4 -> 1 on 8 images: forward and weight gradient; the input needs none.
    assert first == second == 2 * (2 * 8 * 4 * 1)
    # The generator: forward twice 2*8*4*16, weight gradients alike, one input gradient.
    assert third == first + (2 * 2 + 1) * (2 * 8 * 4 * 16)
    run = training("30 images", lambda: Alternating(config=Config(n_critic=3)), costs=costs)
    train(run)
    assert run.ledger.flops == first + second + third + first


def test_warming_up_happens_on_another_model():
    run = training("5 steps")
    before = {k: v.clone() for k, v in run.model.state_dict().items()}
    measure_steps(Regressor, run.stream, "fp32")
    assert run.ledger.steps == 0
    assert all(torch.equal(run.model.state_dict()[k], v) for k, v in before.items())


def test_stages_follow_progress():
    stages = (("autoencoder", 0.4), ("prior", 0.6))
    assert [stage_at(stages, p) for p in (0, 0.39, 0.4, 0.99, 1.0)] == [
        "autoencoder",
        "autoencoder",
        "prior",
        "prior",
        "prior",
    ]


@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_ends_the_trial(poison):
    class Sick(Regressor):
        def training_step(self, batch, progress):
            losses = super().training_step(batch, progress)
            return {"loss": losses["loss"].detach() + (poison if progress == 0.5 else 0.0)}

    with pytest.raises(Diverged, match="loss 'loss' is (nan|inf)"):
        train(training("10 steps", Sick))


def test_weights_that_are_not_finite_end_the_trial():
    class Sick(Regressor):
        def training_step(self, batch, progress):
            losses = super().training_step(batch, progress)
            with torch.no_grad():
                self.network[0].weight[0, 0] = float("nan") if progress > 0.8 else 0.0
            return {"loss": losses["loss"].detach() * 0}

    with pytest.raises(Diverged, match="weights are not finite"):
        train(training("10 steps", Sick))


def test_losses_are_means_over_the_steps_that_returned_them():
    class Counting(Regressor):
        def training_step(self, batch, progress):
            super().training_step(batch, progress)
            step = round(progress * 10)
            extra = {"b": torch.tensor(7.0)} if step == 3 else {}
            return {"a": torch.tensor(float(step))} | extra

    run = training("10 steps", Counting)
    run.run_window(1.0, 1e9)
    assert run.losses == {"a": 4.5, "b": 7.0}


@pytest.mark.parametrize("model", [Regressor, lambda: Alternating(config=Config(n_critic=3))])
@pytest.mark.parametrize("stop", [1, 7, 20])
def test_a_resumed_run_is_bitwise_the_uninterrupted_one(model, stop):
    straight = training("40 steps", model)
    train(straight)
    first = training("40 steps", model)
    train(first, target=stop / 40)
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    second = training("40 steps", model)
    second.load_state_dict(torch.load(file, weights_only=True))
    torch.manual_seed(99)
    train(second)
    assert second.ledger.starts == 2
    assert (second.ledger.steps, second.ledger.images) == (
        straight.ledger.steps,
        straight.ledger.images,
    )
    for name, value in straight.model.state_dict().items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(second.model.state_dict()[name], value), name
    for name, value in straight.average.state_dict().items():
        assert torch.equal(second.average.state_dict()[name], value), name


def test_where_a_window_ends_changes_nothing():
    whole, pieces = training("30 steps"), training("30 steps")
    train(whole)
    for target in (0.1, 0.35, 0.36, 1.0):
        train(pieces, target)
    for name, value in whole.model.state_dict().items():
        assert torch.equal(pieces.model.state_dict()[name], value)


def test_a_stop_ends_the_window_after_the_step():
    run = training("30 steps")
    run.run_window(1.0, 1e9, stopped=lambda: run.ledger.steps >= 5)
    assert run.ledger.steps == 5

"""A trial whose numbers are not finite, if only for a step, ends as diverged and says of what."""

import math

import pytest
import torch
from support.toy_training import train, training
from support.toys import Regressor
from torch import nn

from harness.training.divergence import Diverged


class LevelCheckedImages(Regressor):
    """Has buffers of several kinds, and does something to itself in every step."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.register_buffer("scale", torch.ones(3))
        self.register_buffer("low", torch.tensor(math.inf))
        self.register_buffer("mask", torch.full((2, 2), -math.inf).triu(1))
        self.register_buffer("unset", torch.tensor(math.nan))
        self.frozen = nn.Parameter(torch.tensor([0.0, -math.inf]), requires_grad=False)
        self.norm = nn.BatchNorm1d(2)
        self.step = 0

    def training_step(self, batch, progress):
        self.step += 1
        self.act(self.step)
        return super().training_step(batch, progress)

    def act(self, step):
        """Do nothing."""


def test_masks_ranges_and_what_is_not_set_yet_are_sound():
    class Honest(LevelCheckedImages):
        def act(self, step):
            self.low.copy_(torch.minimum(self.low, torch.tensor(1.0 / step)))
            self.scale[0] = math.inf if step == 4 else 1.0
            if step == 7:
                self.unset.fill_(0.5)

    train(training("12 steps", Honest))


def of_a_step(change):
    """Return a model to which ``change`` is done in step 5, and undone in step 6."""

    class Sick(LevelCheckedImages):
        def act(self, step):
            if step == 5:
                change(self, math.nan)
            if step == 6:
                change(self, 1.0)

    return Sick


def assign(model, value):
    model.scale = torch.full((3,), value)


CHANGES = {
    "scale": lambda model, value: model.scale.fill_(value),
    "scale, one entry": lambda model, value: model.scale[1:2].fill_(value),
    "scale, assigned": assign,
    "norm.running_mean": lambda model, value: model.norm.running_mean.fill_(value),
    "frozen": lambda model, value: model.frozen.data[0].fill_(value),
}


@pytest.mark.parametrize("name", CHANGES)
def test_nan_for_one_step_within_a_window_ends_the_trial(name):
    with pytest.raises(Diverged, match=f"'{name.split(',')[0]}'"):
        run = training("12 steps", of_a_step(CHANGES[name]))
        run.run_window(1.0, 1e9)


def test_nan_in_a_buffer_at_the_end_ends_the_trial_however_it_came_there():
    class Sick(LevelCheckedImages):
        def act(self, step):
            if step == 12:
                self.scale.data.fill_(math.nan)

    with pytest.raises(Diverged, match="buffers are or were NaN, after 12 batches: 'scale'"):
        train(training("12 steps", Sick))


def test_what_was_set_may_not_become_nan_again():
    class Sick(LevelCheckedImages):
        def act(self, step):
            self.unset.fill_(math.nan if step == 8 else 1.0)

    run = training("12 steps", Sick)
    run.run_window(0.5, 1e9)
    with pytest.raises(Diverged, match="'unset'"):
        run.run_window(1.0, 1e9)


def test_a_statistic_that_becomes_infinite_ends_the_trial():
    class Sick(LevelCheckedImages):
        def act(self, step):
            if step == 3:
                self.norm.running_var[1] = math.inf

    with pytest.raises(Diverged, match="weights are not finite after 12 batches: 'norm.running_v"):
        train(training("12 steps", Sick))

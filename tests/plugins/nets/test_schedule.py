"""Learning rates as functions of progress."""

import pytest
import torch

from harness_nets.schedule import WARM_UP, set_learning_rate, warm_up_cosine


def test_rate_rises_linearly_and_then_falls_as_a_cosine_to_zero():
    assert warm_up_cosine(0) == 0
    assert warm_up_cosine(WARM_UP / 2) == pytest.approx(0.5, rel=0.01)
    assert warm_up_cosine(WARM_UP) == pytest.approx(1, rel=0.01)
    assert warm_up_cosine(0.5) == pytest.approx(0.5)
    assert warm_up_cosine(2 / 3) == pytest.approx(0.25)
    assert warm_up_cosine(1) == warm_up_cosine(1.2) == pytest.approx(0)


def test_every_parameter_group_gets_the_rate():
    weights = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    optimizer = torch.optim.SGD([{"params": [w], "lr": 1.0} for w in weights])
    set_learning_rate(optimizer, 0.25)
    assert [group["lr"] for group in optimizer.param_groups] == [0.25, 0.25]

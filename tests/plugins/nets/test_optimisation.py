"""Learning rates as functions of progress, and the step that every built-in model takes."""

import pytest
import torch

from harness_nets.optimisation import WARM_UP, descend, set_learning_rate, warm_up_cosine


def test_rate_rises_linearly_and_then_falls_as_a_cosine_to_zero():
    assert warm_up_cosine(0) == 0
    assert warm_up_cosine(WARM_UP / 2) == pytest.approx(0.5, rel=0.01)
    assert warm_up_cosine(WARM_UP) == pytest.approx(1, rel=0.01)
    assert warm_up_cosine(0.5) == pytest.approx(0.5)
    assert warm_up_cosine(2 / 3) == pytest.approx(0.25)
    assert warm_up_cosine(0, start=0.1) == 0.1
    assert warm_up_cosine(WARM_UP / 2, start=0.1) == pytest.approx(0.55, rel=0.01)
    assert warm_up_cosine(0.5, start=0.1) == pytest.approx(0.5)
    assert warm_up_cosine(1) == warm_up_cosine(1.2) == pytest.approx(0)


def test_every_parameter_group_gets_the_rate():
    weights = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    optimizer = torch.optim.SGD([{"params": [w], "lr": 1.0} for w in weights])
    set_learning_rate(optimizer, 0.25)
    assert [group["lr"] for group in optimizer.param_groups] == [0.25, 0.25]


def test_a_step_descends_the_clipped_gradient_of_its_own_parameters_alone():
    mine, other = (torch.nn.Parameter(torch.tensor([3.0, 4.0])) for _ in range(2))
    optimizer = torch.optim.SGD([mine], lr=1.0)
    for clip, expected in ((float("inf"), [-3.0, -4.0]), (1.0, [2.4, 3.2])):
        with torch.no_grad():
            mine.copy_(torch.tensor([3.0, 4.0]))
        loss = descend(optimizer, (mine.square().sum() + other.square().sum()), clip)
        assert loss.item() == 50 and not loss.requires_grad
        assert mine.tolist() == pytest.approx(expected)  # 2 x less, or a unit vector less
    assert other.grad is None

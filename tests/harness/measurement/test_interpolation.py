import math

import pytest
import torch
from support.toys import SPEC, Regressor

from harness.measurement.interpolation import interpolate, spherical


def test_points_lie_on_the_great_circle_at_equal_angles():
    start, end = torch.eye(5, dtype=torch.float64)[None, :1], torch.eye(5).double()[None, 1:2]
    points = spherical(3 * start, 3 * end, 7)[0].flatten(1)
    assert points.norm(dim=1).tolist() == pytest.approx([3] * 7)
    cosines = (points[1:] * points[:-1]).sum(1) / 9
    assert cosines.acos().tolist() == pytest.approx([math.pi / 2 / 6] * 6)


def test_norms_of_gaussian_latents_do_not_sink_in_the_middle():
    ends = torch.randn(2, 8, 4, 100, generator=torch.Generator().manual_seed(0))
    points = spherical(ends[0], ends[1], 5)
    assert points.shape == (8, 5, 4, 100)
    torch.testing.assert_close(points[:, 0], ends[0])
    torch.testing.assert_close(points[:, -1], ends[1])
    # A straight line's middle has a norm of sqrt(200), not sqrt(400).
    assert points[:, 2].flatten(1).norm(dim=1).mean().item() == pytest.approx(20, rel=0.05)


@pytest.mark.parametrize("factor", [1.0, 2.0, -1.0, 0.0])
def test_parallel_latents_are_joined_by_the_straight_line(factor):
    start = torch.tensor([[1.0, 2.0, -1.0]])
    points = spherical(start, factor * start, 3)[0]
    torch.testing.assert_close(
        points, torch.stack([start[0] * w for w in (1, (1 + factor) / 2, factor)])
    )


class Painter(Regressor):
    """Paints its latent variable's first number into every pixel."""

    def sample_prior(self, n):
        return torch.randn(n, 3)

    def decode(self, z):
        assert not self.training and not torch.is_grad_enabled()
        return (z[:, :1, None, None] > 0).expand(-1, *SPEC.shape).to(torch.uint8)


def test_rows_run_from_one_latent_to_another_and_repeat_with_the_seed():
    model = Painter()
    images = interpolate(model, seed=4, precision="fp32", rows=5, steps=4)
    assert images.shape == (20, *SPEC.shape) and model.training
    assert torch.equal(images, interpolate(model, seed=4, precision="fp32", rows=5, steps=4))
    assert not torch.equal(images, interpolate(model, seed=5, precision="fp32", rows=5, steps=4))


class LabelPainter(Painter):
    """Paints its label."""

    takes = frozenset({"label"})

    def decode(self, z, y):
        return y.to(torch.uint8)[:, None, None, None].expand(-1, *SPEC.shape)


def test_a_row_of_a_conditional_model_is_of_one_condition():
    y = torch.tensor([2, 0])
    images = interpolate(LabelPainter(), seed=0, precision="fp32", y=y, rows=2, steps=3)
    assert images[:, 0, 0, 0].tolist() == [2, 2, 2, 0, 0, 0]


class Codes(Painter):
    def sample_prior(self, n):
        return torch.randint(8, (n, 3))


@pytest.mark.parametrize("model", [Regressor, Codes])
def test_without_a_latent_of_real_numbers_there_is_nothing_between(model):
    assert interpolate(model(), seed=0, precision="fp32") is None

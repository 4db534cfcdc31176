"""RealNVP: a proper density, an honest bound, an exact inverse."""

import math

import pytest
import torch

from harness.checks.subject import all_images, perturb, train
from harness.contract import Batch, DataSpec
from harness_flow.bijection import Bijection
from harness_flow.realnvp import RealNVP

TINY = DataSpec.images((1, 2, 2), levels=4)
SMALL = RealNVP.Config(batch_size=32, width=8, blocks=1, learning_rate=5e-3)


class UniformFlow(Bijection):
    """z = Phi^-1(y): standard normal noise becomes the uniform density on [0, 1]^D."""

    def __init__(self, shape):
        super().__init__()
        self.shape = shape

    def forward(self, z):
        return torch.special.ndtr(z).unflatten(1, self.shape)

    def inverse(self, x):
        z = torch.special.ndtri(x.double().flatten(1))
        return z, 0.5 * (z.square() + math.log(2 * math.pi)).sum(1)


def realnvp(spec, size=0.2, **settings):
    torch.manual_seed(0)
    model = RealNVP(spec, RealNVP.Config(**{"width": 8, "blocks": 1, **settings}))
    return perturb(model, size).eval()


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_the_uniform_density_scores_exactly_log2_levels_bits_per_dimension(levels):
    spec = DataSpec.images((2, 4, 4), levels)
    model = realnvp(spec)
    model.network = UniformFlow(spec.shape)
    images = torch.randint(levels, (5, *spec.shape), dtype=torch.uint8)
    likelihood = model.log_likelihood(images)
    bits = -likelihood.nats / (spec.dimensions * math.log(2))
    torch.testing.assert_close(bits, torch.full_like(bits, math.log2(levels)), atol=1e-6, rtol=0)
    assert likelihood.kind == "lower_bound"
    assert likelihood.detail == "uniform dequantisation, k=16"


def grid(nodes, low, high):
    """Midpoints of squares that cover [low, high]^2, (nodes^2, 1, 1, 2), and the squares' area."""
    step = (high - low) / nodes
    line = low + step * (torch.arange(nodes, dtype=torch.float64) + 0.5)
    return torch.cartesian_prod(line, line).reshape(-1, 1, 1, 2), step**2


@torch.no_grad()
def test_the_density_of_two_pixels_integrates_to_one():
    model = realnvp(DataSpec.images((1, 1, 2), 4)).double()
    logits, area = grid(200, -12, 12)
    p = logits.sigmoid()
    slope = (p * (1 - p) / 0.9).flatten(1).prod(1)
    mass = (model.log_density((p - 0.05) / 0.9).exp() * slope).sum() * area
    assert float(mass) == pytest.approx(1, abs=1e-6)


@torch.no_grad()
def test_the_bound_with_many_draws_approaches_the_probability_of_the_images_cell():
    model = realnvp(DataSpec.images((1, 1, 2), 4), dequantisations=1000).double()
    images = all_images(model.spec)
    inside, area = grid(40, 0, 0.25)
    corners = images.double() / 4
    cells = (corners[:, None] + inside).flatten(0, 1)
    expected = (model.log_density(cells).exp().reshape(16, -1).sum(1) * area).log()
    torch.testing.assert_close(
        model.log_likelihood(images).nats.double(), expected, atol=0.06, rtol=0
    )


@torch.no_grad()
def test_more_draws_tighten_the_bound():
    model, images = realnvp(TINY, dequantisations=64), all_images(TINY)
    one = torch.stack([model.dequantised_log_density(images) for _ in range(50)]).mean()
    assert one < model.log_likelihood(images).nats.mean() - 0.01


@torch.no_grad()
def test_all_images_together_have_a_probability_of_at_most_one():
    """The sum estimates the mass inside [0, 1]^D without bias; training brings it there."""
    model = RealNVP(TINY, SMALL)
    with torch.enable_grad():
        train(model, Batch(all_images(TINY)[::3], None), range(60), 60)
    images = all_images(TINY)
    totals = torch.stack([model.eval().log_likelihood(images).nats.exp().sum() for _ in range(20)])
    assert totals.mean() <= 1 + 3 * totals.std() / math.sqrt(20)
    assert totals.mean() > 0.7


@pytest.mark.parametrize(
    "spec", [TINY, DataSpec.images((1, 8, 8), 17), DataSpec.images((3, 8, 8), 256)]
)
@torch.no_grad()
def test_decoding_what_was_encoded_gives_the_image_back(spec):
    model = realnvp(spec, 0.03)
    images = torch.randint(spec.levels, (6, *spec.shape), dtype=torch.uint8)
    assert torch.equal(model.decode(model.encode(images)), images)


@torch.no_grad()
def test_sampling_inverts_the_density_exactly():
    model = realnvp(DataSpec.images((1, 8, 8), 17), 0.05)
    z = model.sample_prior(16)
    assert z.shape == (16, 64)
    torch.testing.assert_close(model.network.inverse(model.network(z))[0], z, atol=2e-3, rtol=1e-3)


@torch.no_grad()
def test_samples_follow_the_density():
    model = realnvp(DataSpec.images((1, 1, 2), 2))
    bright, area = grid(200, 0.5, 1)
    probability = float(model.log_density(bright.float()).exp().sum() * area)
    y = model.network(model.sample_prior(40_000)).flatten(1)
    frequency = ((y >= 0.5) & (y < 1)).all(1).float().mean()
    assert float(frequency) == pytest.approx(probability, abs=0.01)


def test_a_single_pixel_is_refused_with_the_reason():
    assert "two pixels" in (RealNVP.supports(DataSpec.images((3, 1, 1))) or "")
    assert RealNVP.supports(TINY) is None

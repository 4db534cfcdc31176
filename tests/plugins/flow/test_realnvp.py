"""RealNVP: a proper density, an honest bound, an exact inverse."""

import math

import numpy as np
import pytest
import torch
from support.brief_training import resumed_equals_uninterrupted, shake, train
from support.enumeration import all_images

from harness.contract import DataSpec, HasEncoder, HasLatent, HasLikelihood
from harness_datasets.known_density import Density
from harness_flow.bijection import Bijection
from harness_flow.realnvp import RealNVP, RealNVPConfig

TINY = DataSpec.images((1, 2, 2), levels=4)
SMALL = RealNVPConfig(batch_size=32, width=8, blocks=1, learning_rate=5e-3)


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
    model = RealNVP(spec, RealNVPConfig(**{"width": 8, "blocks": 1, **settings}))
    return shake(model, size).eval()


def test_has_the_capabilities():
    model = realnvp(TINY)
    assert isinstance(model, HasLikelihood)
    assert isinstance(model, HasLatent) and isinstance(model, HasEncoder)


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
        train(model, all_images(TINY)[::3], 60)
    images = all_images(TINY)
    totals = torch.stack([model.eval().log_likelihood(images).nats.exp().sum() for _ in range(20)])
    assert totals.mean() <= 1 + 3 * totals.std() / math.sqrt(20)
    assert totals.mean() > 0.7


def test_no_likelihood_is_below_the_entropy_of_a_known_density():
    density = Density("mixture", 2, 2)
    data = torch.from_numpy(density.sample(4000, np.random.default_rng(0)))
    fresh = torch.from_numpy(density.sample(2000, np.random.default_rng(1)))
    torch.manual_seed(0)
    model = RealNVP(TINY, SMALL)
    train(model, data, 150)
    with torch.no_grad():
        nats = -model.eval().log_likelihood(fresh).nats
    standard_error = float(nats.std()) / math.sqrt(len(fresh))
    assert nats.mean() > density.entropy - 3 * standard_error
    assert nats.mean() < TINY.dimensions * math.log(4)


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
    z = model.latent(16)
    assert z.shape == (16, 64)
    torch.testing.assert_close(model.network.inverse(model.network(z))[0], z, atol=2e-3, rtol=1e-3)


@torch.no_grad()
def test_samples_follow_the_density():
    model = realnvp(DataSpec.images((1, 1, 2), 2))
    bright, area = grid(200, 0.5, 1)
    probability = float(model.log_density(bright.float()).exp().sum() * area)
    y = model.network(model.latent(40_000)).flatten(1)
    frequency = ((y >= 0.5) & (y < 1)).all(1).float().mean()
    assert float(frequency) == pytest.approx(probability, abs=0.01)


@torch.no_grad()
def test_batches_do_not_matter_in_evaluation():
    model = realnvp(DataSpec.images((1, 8, 8), 17), 0.05)
    y, z = torch.rand(12, 1, 8, 8), model.latent(12)
    torch.testing.assert_close(
        model.log_density(y),
        torch.cat([model.log_density(part) for part in y.split(5)]),
        rtol=1e-4,
        atol=1e-2,
    )
    torch.testing.assert_close(
        model.network(z),
        torch.cat([model.network(part) for part in z.split(5)]),
        rtol=1e-4,
        atol=1e-4,
    )


def test_resuming_is_bitwise():
    def build():
        torch.manual_seed(0)
        return RealNVP(TINY, SMALL)

    resumed_equals_uninterrupted(build, all_images(TINY))


def test_overfits_eight_images():
    images = torch.randint(17, (8, 1, 8, 8), dtype=torch.uint8)
    torch.manual_seed(0)
    model = RealNVP(DataSpec.images((1, 8, 8), 17), RealNVPConfig(batch_size=8, width=16, blocks=1))
    losses = train(model, images, 40)
    assert losses[-1] < losses[0] - 0.2


@pytest.mark.parametrize(
    "spec",
    [
        TINY,
        DataSpec.images((1, 8, 8), 17),
        DataSpec.images((1, 28, 28), 256),
        DataSpec.images((3, 32, 32), 256),
        DataSpec.images((3, 5, 6), 9),
    ],
)
def test_sizes_derive_from_the_spec(spec):
    model = RealNVP(spec, RealNVPConfig(batch_size=2, width=4, blocks=1))
    train(model, torch.randint(spec.levels, (4, *spec.shape), dtype=torch.uint8), 1)
    with torch.no_grad():
        images = model.eval().sample(3)
    assert images.dtype == torch.uint8 and images.shape == (3, *spec.shape)
    assert int(images.max()) < spec.levels


def test_a_single_pixel_is_refused_with_the_reason():
    assert "two pixels" in (RealNVP.supports(DataSpec.images((3, 1, 1))) or "")
    assert RealNVP.supports(TINY) is None

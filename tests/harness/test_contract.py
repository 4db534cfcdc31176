"""The contract: its numeric helpers, its capabilities, and the three shapes of plugin."""

import math

import pytest
import torch
from support.toy_models import Histogram, TwoPlayers, TwoStages

from harness.checks import NotApplicable, checks_for
from harness.contract import (
    ArraySpec,
    Batch,
    DataSpec,
    HasEncoder,
    HasLatent,
    HasLikelihood,
    HasSteps,
    dequantise,
    from_symmetric,
    quantise,
    to_symmetric,
)

SPEC = DataSpec.images((1, 4, 4), levels=5, classes=3)
TOYS = (Histogram, TwoPlayers, TwoStages)


def build(model_class, **settings):
    torch.manual_seed(0)
    return model_class(SPEC, model_class.Config(**settings))


def batch(n=8):
    images = torch.randint(SPEC.levels, (n, *SPEC.shape), dtype=torch.uint8)
    return Batch(images, torch.arange(n) % SPEC.classes)


def moved_by_step(model, progress):
    """Return the optimizers whose parameters one step moved."""
    before = {name: value.clone() for name, value in model.named_parameters()}
    model.training_step(batch(), progress)
    moved = {id(p) for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    return {
        name
        for name, optimizer in model.optimizers.items()
        if moved & {id(p) for group in optimizer.param_groups for p in group["params"]}
    }


@pytest.mark.parametrize(
    ("model_class", "check"),
    [(model, check) for model in TOYS for check in checks_for(model)],
    ids=lambda value: getattr(value, "name", None) or value.__name__,
)
def test_every_shape_of_plugin_passes_every_check(model_class, check):
    try:
        check.run(SPEC)
    except NotApplicable as reason:
        assert "pixels are independent" in str(reason), f"nothing to skip here: {reason}"


def test_two_players_take_turns():
    model = build(TwoPlayers, n_critic=3)
    turns = [moved_by_step(model, 0.0) for _ in range(6)]
    alone, both = {"discriminator"}, {"discriminator", "generator"}
    assert turns == [alone, alone, both] * 2


def test_stages_follow_progress_and_nothing_else():
    model = build(TwoStages)
    for progress, stage in (
        (0.0, "autoencoder"),
        (0.39, "autoencoder"),
        (0.4, "prior"),
        (1.0, "prior"),
    ):
        assert moved_by_step(model, progress) == {stage}
    assert moved_by_step(model, 0.1) == {"autoencoder"}


def test_the_first_stage_learns_to_reconstruct_and_the_second_the_codes():
    model, data = build(TwoStages), batch()
    for step in range(400):
        model.training_step(data, step / 400)
    codes = model.encode(data.x)
    assert torch.allclose(model.mean, codes.mean(0), atol=0.05)
    assert torch.allclose(model.log_scale.exp(), codes.std(0, correction=0), rtol=0.05)


def test_capabilities_are_found_by_isinstance():
    capabilities = (HasLikelihood, HasLatent, HasEncoder, HasSteps)
    found = {toy: {c.__name__ for c in capabilities if isinstance(build(toy), c)} for toy in TOYS}
    assert found[Histogram] == {"HasLikelihood"}
    assert found[TwoPlayers] == {"HasLatent"}
    assert found[TwoStages] == {"HasLatent", "HasEncoder"}


def test_samples_of_a_latent_variable_model_are_decoded_draws_of_its_prior_with_their_labels():
    class Decoded(TwoPlayers):
        def decode(self, z, y=None):
            return z.mul(9).to(torch.uint8), y

    model, labels = build(Decoded), torch.tensor([0, 2, 1])
    torch.manual_seed(0)
    expected = model.sample_prior(3).mul(9).to(torch.uint8)
    torch.manual_seed(0)
    decoded, received = model.sample(3, labels)
    assert torch.equal(decoded, expected) and received is labels


def test_conditional_samples_honour_their_labels():
    model = build(Histogram)
    with torch.no_grad():
        model.network.weight.view(SPEC.classes, -1, SPEC.levels).copy_(
            100.0 * torch.eye(SPEC.levels)[: SPEC.classes, None]
        )
    labels = torch.tensor([0, 2, 1, 2])
    assert torch.equal(model.sample(4, labels), labels.view(4, 1, 1, 1).expand(4, *SPEC.shape))


@pytest.mark.parametrize("levels", [2, 4, 17, 255, 256])
def test_dequantisation_gives_a_uniform_model_log2_of_levels_bits_a_dimension(levels):
    images = torch.randint(levels, (3, 2, 5, 5)).to(torch.uint8)
    _, volume = dequantise(images, levels)
    log_density = 0.0  # of U[0, 1]^D
    bits = -(log_density + volume) / (50 * math.log(2))
    assert bits == pytest.approx(math.log2(levels), rel=1e-12)


EVERY_LEVEL_COUNT = range(2, 257)


def test_symmetric_scaling_has_an_inverse_at_every_number_of_levels():
    for levels in EVERY_LEVEL_COUNT:
        images = torch.arange(levels).to(torch.uint8)
        x = to_symmetric(images, levels)
        torch.testing.assert_close(x, torch.linspace(-1, 1, levels))
        # Rounding, not truncation: nearly half a level either way comes back.
        for offset in (-0.49, 0, 0.49):
            assert torch.equal(from_symmetric(x + offset * 2 / (levels - 1), levels), images)


def test_dequantisation_has_an_inverse_at_every_number_of_levels():
    torch.manual_seed(0)
    for levels in EVERY_LEVEL_COUNT:
        images = torch.arange(levels).to(torch.uint8).repeat(20).view(-1, 1, 1, 1)
        y, _ = dequantise(images, levels)
        assert y.min() >= 0 and y.max() < 1
        assert torch.equal(quantise(y, levels), images)


def test_dequantisation_noise_fills_its_cell_uniformly():
    torch.manual_seed(0)
    images = torch.full((20_000, 1, 1, 1), 3, dtype=torch.uint8)
    u = dequantise(images, 8)[0] * 8 - 3
    assert u.mean().item() == pytest.approx(1 / 2, abs=0.01)
    assert u.var().item() == pytest.approx(1 / 12, rel=0.03)


def test_values_beyond_the_ends_are_clamped():
    far = torch.tensor([-9.0, 9.0])
    assert from_symmetric(far, 17).tolist() == [0, 16]
    assert quantise(far, 17).tolist() == [0, 16]


def test_dimensions_are_the_product_of_the_shape():
    assert DataSpec.images((3, 4, 5)).dimensions == 60


@pytest.mark.parametrize(
    ("kind", "shape", "planes"),
    [
        ("image", (3, 8, 4), (3, 8, 4)),
        ("video", (5, 3, 8, 4), (15, 8, 4)),
        ("audio", (2, 100), (2, 1, 100)),
        ("text", (7,), (1, 1, 7)),
    ],
)
def test_every_kind_has_planes(kind, shape, planes):
    assert ArraySpec(kind, shape).planes == planes

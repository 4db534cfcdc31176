"""The VP SDE as a model: samples, likelihood of integers, recipe."""

import dataclasses
import math

import pytest
import torch
from support.oracles import GaussianOracle, NoiseNetwork, UniformOracle

from harness.checks.subject import all_images, train
from harness.contract import Batch, DataSpec
from harness_diffusion.score_sde import ScoreSDE

TINY = DataSpec.images((1, 2, 2), levels=4)
SMALL = ScoreSDE.Config(batch_size=16, channels=8, sampling_steps=4, likelihood_steps=8)


def build(spec=TINY, **overrides):
    torch.manual_seed(0)
    return ScoreSDE(spec, dataclasses.replace(SMALL, **overrides))


def with_oracle(model, oracle):
    model.network = NoiseNetwork(oracle)
    model.prior = lambda n: torch.randn(n, *model.spec.shape)
    return model.eval()


@pytest.mark.parametrize("sampler", ["predictor-corrector", "euler-maruyama", "probability-flow"])
def test_samples_of_an_ideal_network_are_the_data_cut_to_levels(sampler):
    """N(0.1, 0.2^2) in [-1, 1); level k of 256 holds [k, k + 1) / 128 - 1."""
    model = build(DataSpec.images((1, 4, 4), levels=256), sampler=sampler, sampling_steps=150)
    with_oracle(model, GaussianOracle(model.path, 0.1, 0.2))
    torch.manual_seed(0)
    with torch.no_grad():
        centres = (model.sample(1000).double() + 0.5) / 128 - 1
    assert float(centres.mean()) == pytest.approx(0.1, abs=4 * 0.2 / 126)
    assert float(centres.std()) == pytest.approx(0.2, rel=0.1)  # the samplers' own bias


@pytest.mark.parametrize("levels", [4, 17])
def test_uniform_data_score_the_logarithm_of_the_levels(levels):
    model = build(DataSpec.images((1, 2, 2), levels=levels), likelihood_steps=32)
    with_oracle(model, UniformOracle(model.path))
    torch.manual_seed(0)
    images = torch.randint(levels, (500, 1, 2, 2), dtype=torch.uint8)
    bits = -model.log_likelihood(images).nats / (4 * math.log(2))
    error = float(bits.std()) / math.sqrt(len(bits))
    assert float(bits.mean()) == pytest.approx(math.log2(levels), abs=0.01 + 4 * error)


def test_probabilities_of_all_images_sum_to_one():
    """For a density within [-1, 1], over repeated dequantisation; probes cancel: J is diagonal."""
    model = build()
    with_oracle(model, GaussianOracle(model.path, 0.05, 0.3))
    images = all_images(TINY)
    torch.manual_seed(0)
    totals = torch.stack(
        [model.log_likelihood(images).nats.double().exp().sum() for _ in range(60)]
    )
    error = float(totals.std()) / math.sqrt(len(totals))
    assert error < 0.03
    assert float(totals.mean()) == pytest.approx(1, abs=4 * error)


def test_encoding_fills_the_cells_of_the_levels():
    model = build()
    images = torch.full((2000, 1, 2, 2), 1, dtype=torch.uint8)
    x = model.encode_data(images)
    assert -0.5 <= float(x.min()) < -0.499
    assert -0.001 < float(x.max()) < 0


def test_times_cover_the_interval_once_for_each_image():
    model = build(first_time=0.1)
    t = model.draw_times(9, torch.device("cpu"))
    assert ((t - 0.1) / 0.9 * 9).floor().tolist() == list(range(9))


def test_learns_a_constant_image():
    model = build(channels=16, sampling_steps=20, learning_rate=1e-2)
    images = torch.full((32, 1, 2, 2), 2, dtype=torch.uint8)
    train(model, Batch(images, None), range(100), 100)
    model.eval()
    with torch.no_grad():
        share = (model.sample(50) == 2).float().mean()
    assert share > 0.9


def test_likelihood_says_what_it_is_and_needs_no_gradients_outside():
    model = build(probes=2).eval()
    with torch.no_grad():
        nats, kind, detail, *_ = model.log_likelihood(all_images(TINY)[:3])
    assert (nats.shape, kind, nats.requires_grad) == ((3,), "estimate", False)
    assert detail == "RK4, 32 evaluations, 2 probes"


def test_no_steps_are_refused():
    model = build()
    model.sampling_steps = 0
    with pytest.raises(ValueError, match="at least 1"):
        model.sample(1)


def test_learning_rate_warms_up_and_falls_to_zero_with_progress_alone():
    model = build(learning_rate=2.0)
    images = all_images(TINY)[:16]
    for progress, expected in ((0.0, 0.2), (0.5, 1.0), (1.0, 0.0)):
        model.training_step(Batch(images, None), progress)
        assert model.optimizers["adam"].param_groups[0]["lr"] == pytest.approx(expected)

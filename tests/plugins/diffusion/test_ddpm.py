"""DDPM as a model: its sampler, its bound, its recipe."""

import dataclasses
import math

import pytest
import torch
from support.oracles import GaussianOracle, NoiseNetwork

from harness.checks.subject import all_images, train
from harness.contract import Batch, DataSpec, to_symmetric
from harness.errors import UserError
from harness.plugins.hyper_parameters import resolve_config
from harness_diffusion.ddpm import DDPM, build_path, evenly_spaced_steps

TINY = DataSpec.images((1, 2, 2), levels=4)
SMALL = DDPM.Config(batch_size=16, channels=8, sampling_steps=4, likelihood_terms=4)


def build(spec=TINY, **overrides):
    torch.manual_seed(0)
    return DDPM(spec, dataclasses.replace(SMALL, **overrides))


def test_evenly_spaced_steps_go_from_the_last_to_the_first_and_to_data():
    steps = (evenly_spaced_steps(1000, 50) * 1000).tolist()
    assert (steps[0], steps[-2:]) == (1000, [1, 0])
    assert len(set(steps)) == 51
    assert evenly_spaced_steps(10, 10).tolist() == pytest.approx(
        [k / 10 for k in range(10, -1, -1)]
    )
    assert evenly_spaced_steps(10, 1).tolist() == [1, 0]


@pytest.mark.parametrize("steps", [0, 1001])
def test_impossible_numbers_of_sampling_steps_are_refused(steps):
    model = build()
    model.sampling_steps = steps
    with pytest.raises(ValueError, match="1 to 1000"):
        model.sample(1)


def test_first_noise_is_the_papers_or_a_quarter_of_the_distance_of_levels():
    assert float(build_path(DDPM.Config(), 256).s[1]) == pytest.approx(0.01)
    assert float(build_path(DDPM.Config(), 17).s[1]) == pytest.approx(0.125 / 4)


@pytest.mark.parametrize("sampler", ["ancestral", "ddim"])
def test_samples_of_an_ideal_network_are_the_data_rounded(sampler):
    """N(0.1, 0.2^2) in [-1, 1], on 256 levels."""
    model = build(DataSpec.images((1, 4, 4), levels=256), sampler=sampler, sampling_steps=250)
    model.network = NoiseNetwork(GaussianOracle(model.path, 0.1, 0.2))
    torch.manual_seed(0)
    model.prior = lambda n: torch.randn(n, 1, 4, 4)
    images = model.sample(1000).double()
    unit = 127.5
    assert float(images.mean()) == pytest.approx(1.1 * unit, abs=4 * 0.2 * unit / 126)
    assert float(images.std()) == pytest.approx(0.2 * unit, rel=0.1)  # the samplers' own bias


@pytest.mark.parametrize("prediction", ["noise", "data", "v"])
def test_learns_a_constant_image(prediction):
    model = build(prediction=prediction, channels=16, sampling_steps=20, learning_rate=1e-2)
    images = torch.full((32, 1, 2, 2), 2, dtype=torch.uint8)
    train(model, Batch(images, None), range(100), 100)
    model.eval()
    with torch.no_grad():
        share = (model.sample(50) == 2).float().mean()
    assert share > 0.9


def test_likelihood_says_what_it_is():
    model = build().eval()
    nats, kind, detail, *_ = model.log_likelihood(all_images(TINY)[:3])
    assert (nats.shape, kind) == ((3,), "lower_bound")
    assert detail == "variational bound in expectation, T=1000, 5 stratified evaluations"


def test_loss_of_a_new_network_is_the_noise_itself():
    images = all_images(TINY).repeat(4, 1, 1, 1)
    loss = train(build(), Batch(images, None), range(1), 1)["loss"]
    assert float(loss) == pytest.approx(1, abs=4 * math.sqrt(2 / 4096))


def test_training_diffuses_the_encoded_images_to_the_drawn_times():
    model, images = build(), all_images(TINY)
    step = 400 / 1000
    model.draw_times = lambda n, device: torch.full((n,), step, dtype=torch.float64)
    seen = []
    model.network.register_forward_pre_hook(lambda _, args: seen.append(args))
    model.training_step(Batch(images, None), 0.5)
    ((x_t, t),) = seen
    a, s = (float(c) for c in model.path(torch.tensor(step, dtype=torch.float64)))
    noise = (x_t - a * to_symmetric(images, 4)) / s
    assert float(noise.mean()) == pytest.approx(0, abs=4 / math.sqrt(1024))
    assert float(noise.std()) == pytest.approx(1, abs=4 / math.sqrt(2048))
    covariance = float((noise * to_symmetric(images, 4)).mean())
    assert covariance == pytest.approx(0, abs=4 * 0.75 / math.sqrt(1024))
    assert t.unique().tolist() == pytest.approx([step])


@pytest.mark.parametrize(("level", "value"), [(0, -1.0), (3, 1.0)])
def test_data_without_noise_reach_the_network_in_minus_one_to_one(level, value):
    model = build()
    model.draw_times = lambda n, device: torch.zeros(n, dtype=torch.float64)
    seen = []
    model.network.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    model.training_step(Batch(torch.full((4, 1, 2, 2), level, dtype=torch.uint8), None), 0.5)
    assert (seen[0] == value).all()


def test_unknown_settings_are_named():
    with pytest.raises(UserError, match="sampler: 'heun': must be 'ancestral' or 'ddim'"):
        resolve_config(DDPM.Config, {"sampler": "heun"}, "models.0.settings")
    with pytest.raises(ValueError, match="unknown schedule"):
        build(schedule="sigmoid")


def test_needs_images():
    assert "needs images" in DDPM.supports(DataSpec.images((8,), levels=4))

"""Adversarial models: who learns when, spectral norms, sizes, samples that follow the latent."""

import copy

import pytest
import torch

from harness.contract import Batch, DataSpec
from harness_gan.dcgan import DCGAN
from harness_gan.lsgan import LSGAN
from harness_gan.sngan import SNGAN

SPEC = DataSpec.images((1, 8, 8), levels=17)
MODELS = pytest.mark.parametrize(
    "model_class", [DCGAN, LSGAN, SNGAN], ids=lambda model: model.__name__
)
SMALL = {
    DCGAN: {"width": 8},
    LSGAN: {"width": 8},
    SNGAN: {"generator_width": 8, "discriminator_width": 8},
}


def build(model_class, spec=SPEC, **settings):
    torch.manual_seed(0)
    return model_class(spec, model_class.Config(**SMALL[model_class] | settings)).train()


def batch(spec=SPEC, n=8):
    return Batch(torch.randint(spec.levels, (n, *spec.shape), dtype=torch.uint8), None)


def weights(module):
    return [p.detach().clone() for p in module.parameters()]


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


@MODELS
def test_sides_that_do_not_halve_are_refused_with_the_reason(model_class):
    assert "33x32" in model_class.supports(DataSpec.images((3, 33, 32)))


def test_priors_are_the_papers():
    z = build(DCGAN).sample_prior(2000)
    assert z.min() >= -1 and z.max() <= 1
    assert z.square().mean().item() == pytest.approx(1 / 3, rel=0.02)
    z = build(SNGAN).sample_prior(2000)
    assert z.mean().item() == pytest.approx(0, abs=0.02)
    assert z.square().mean().item() == pytest.approx(1, rel=0.02)


@MODELS
def test_an_update_of_one_player_leaves_the_other_alone(model_class):
    model = build(model_class)
    generator, discriminator = weights(model.network), weights(model.discriminator)
    fake = model.network(model.sample_prior(8))
    model._update_discriminator(torch.rand(8, *SPEC.shape), fake.detach(), None)
    assert same(generator, weights(model.network))
    assert not same(discriminator, weights(model.discriminator))

    discriminator = weights(model.discriminator)
    gradients = [p.grad.clone() for p in model.discriminator.parameters()]
    model._update_generator(fake, None)
    assert same(discriminator, weights(model.discriminator))
    assert same(gradients, [p.grad for p in model.discriminator.parameters()])
    assert not same(generator, weights(model.network))


def test_the_dcgan_discriminator_keeps_no_statistics_and_the_generator_does():
    model = build(DCGAN)
    assert not list(model.discriminator.buffers())
    before = [b.clone() for b in model.network.buffers()]
    model.training_step(batch(), 0.0)
    assert not same(before, list(model.network.buffers()))


def test_dcgan_starts_from_the_papers_weights():
    model = build(DCGAN, DataSpec.images((3, 32, 32)), width=32)
    spread = torch.cat([p.detach().flatten() for p in model.parameters() if p.ndim > 1]).std()
    assert spread.item() == pytest.approx(0.02, rel=0.02)


def test_power_iteration_brings_every_spectral_norm_to_one():
    model = build(SNGAN)
    with torch.no_grad():
        for parametrised in model.discriminator.normalised:
            parametrised.parametrizations.weight.original.mul_(3.0)
        for _ in range(100):
            model.discriminator(torch.zeros(2, *SPEC.shape))
    assert len(model.discriminator.normalised) == 8 + 2 + 1
    for layer in model.discriminator.eval().normalised:
        largest = torch.linalg.svdvals(layer.weight.detach().flatten(1))[0].item()
        assert largest == pytest.approx(1, rel=0.02)


def test_spectral_norms_take_one_power_iteration_a_call_outside_autocast():
    model = build(SNGAN)
    seen = []
    parametrization = model.discriminator.normalised[0].parametrizations.weight[0]
    parametrization.register_forward_hook(lambda *_: seen.append(torch.is_autocast_enabled("cpu")))
    with torch.autocast("cpu", torch.bfloat16):
        model.discriminator(torch.zeros(2, *SPEC.shape))
    assert seen == [False]


def generator_turns(model, steps):
    turns = []
    for _ in range(steps):
        before = weights(model.network)
        losses = model.training_step(batch(), 0.0)
        turns.append(not same(before, weights(model.network)))
        assert ("generator" in losses) == turns[-1] and "discriminator" in losses
    return turns


def test_the_generators_turn_is_every_n_critic_th_step():
    model = build(SNGAN, n_critic=3)
    assert generator_turns(model, 7) == [False, False, True, False, False, True, False]


def test_whose_turn_it_is_survives_a_checkpoint():
    model = build(SNGAN, n_critic=3)
    generator_turns(model, 2)
    resumed = build(SNGAN, n_critic=3)
    resumed.load_state_dict(copy.deepcopy(model.state_dict()))
    assert generator_turns(resumed, 2) == [True, False]


def test_the_period_spans_one_turn_of_the_generator():
    assert build(SNGAN, n_critic=3).period == 3
    assert build(DCGAN).period == 1


def test_the_learning_rate_of_sngan_falls_to_zero():
    model = build(SNGAN, n_critic=1, learning_rate=1.0)
    for progress, expected in ((0.0, 1.0), (0.25, 0.75), (1.0, 0.0)):
        before = weights(model)
        model.training_step(batch(), progress)
        assert [o.param_groups[0]["lr"] for o in model.optimizers.values()] == [expected] * 2
    assert same(before, weights(model))

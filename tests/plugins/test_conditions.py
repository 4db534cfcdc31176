"""A condition reaches the networks of each family, in training, sampling and likelihood alike."""

import math

import pytest
import torch
from support.oracles import GaussianOracle
from torch import nn

from harness.checks import check_samples
from harness.checks.subject import all_images
from harness.contract import Batch, DataSpec, to_symmetric
from harness_diffusion.paths import LinearVP, broadcast_like
from harness_diffusion.score_sde import ScoreSDE
from harness_gan.sngan import SNGAN

TINY = DataSpec.images((1, 2, 2), levels=4, classes=2)
LABELS = torch.tensor([0, 1, 1, 0])
MEANS = torch.tensor([-0.15, 0.2])


class Noise(nn.Module):
    """The noise in states of data N(m_y, 0.3^2), beside a parameter to train."""

    def __init__(self):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(()))
        self.asked = []

    def forward(self, x_t, t, y=None):
        self.asked.append(y)
        mean = 0.0 if y is None else broadcast_like(MEANS[y].double(), x_t.double())
        oracle = GaussianOracle(LinearVP(), mean, 0.3)
        return oracle(x_t.double(), t).noise.float() + self.bias


class ByLabel(ScoreSDE):
    takes = frozenset({"label"})

    def build_network(self):
        return Noise()


def by_label(spec=TINY, **settings):
    torch.manual_seed(0)
    return ByLabel(spec, ByLabel.Config(likelihood_steps=8, sampling_steps=30, **settings)).eval()


def test_a_diffusion_model_is_trained_and_sampled_with_the_labels():
    model = by_label(DataSpec.images((1, 2, 2), levels=256, classes=2))
    model.training_step(Batch(torch.zeros(4, 1, 2, 2, dtype=torch.uint8), LABELS), 0.5)
    assert torch.equal(model.network.asked[0], LABELS)
    with torch.no_grad():
        x = to_symmetric(model.sample(2000, LABELS.repeat(500)), 256).view(500, 4, -1)
    for i, y in enumerate(LABELS):
        assert float(x[:, i].mean()) == pytest.approx(float(MEANS[y]), abs=0.05)


def test_probabilities_given_each_label_sum_to_one():
    model, images = by_label(), all_images(TINY)
    torch.manual_seed(0)
    totals, nats = [], []
    for y in (0, 1):
        given = torch.full((len(images),), y)
        draws = torch.stack([model.log_likelihood(images, given).nats.double() for _ in range(40)])
        sums = draws.exp().sum(1)
        error = float(sums.std()) / math.sqrt(len(sums))
        assert float(sums.mean()) == pytest.approx(1, abs=4 * error)
        totals.append(error)
        nats.append(draws.mean(0))
    assert max(totals) < 0.05
    bright = images.flatten(1).float().mean(1) > 1.5
    assert (nats[1] > nats[0])[bright].all(), "label 1 is the brighter"


def test_without_labels_a_network_is_asked_with_state_and_time_alone():
    model = by_label(DataSpec.images((1, 2, 2), levels=4))
    model.training_step(Batch(all_images(model.spec)[:4], None), 0.5)
    model.sample(2)
    assert set(model.network.asked) == {None}


class Player(nn.Module):
    """Either player, a table by label; notes the labels that it was asked with."""

    def __init__(self, classes, outputs):
        super().__init__()
        self.table = nn.Embedding(classes, outputs)
        self.asked = []


class Generator(Player):
    def forward(self, z, y):
        self.asked.append(y)
        return self.table(y).view(-1, 1, 2, 2).tanh()


class Discriminator(Player):
    def forward(self, x, y):
        self.asked.append(y)
        return (x.flatten(1) * self.table(y)).sum(1)


class Game(SNGAN):
    takes = frozenset({"label"})

    def __init__(self, spec, config):
        super(SNGAN, self).__init__(spec, config, Generator(2, 4), Discriminator(2, 4))


def test_both_players_of_a_game_are_asked_with_the_labels():
    torch.manual_seed(0)
    model = Game(TINY, Game.Config())
    model.training_step(Batch(torch.zeros(4, 1, 2, 2, dtype=torch.uint8), LABELS), 0.0)
    assert [y.tolist() for y in model.network.asked] == [LABELS.tolist()]
    of_both, of_fakes = model.discriminator.asked
    assert torch.equal(of_both, LABELS.repeat(2)) and torch.equal(of_fakes, LABELS)
    images = model.sample(4, LABELS)
    assert torch.equal(images[0], images[3]) and torch.equal(images[1], images[2])
    assert not torch.equal(images[0], images[1])


def test_checks_decode_a_conditional_models_latents_with_conditions():
    check_samples(Game, TINY, {})

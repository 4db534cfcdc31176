"""Every check catches the mistake it is there for, planted in a model that is otherwise right."""

import contextlib
import dataclasses
import math
from dataclasses import dataclass

import pytest
import torch
from support.toy_models import Histogram, ToyConfig, TwoPlayers, TwoStages

from harness.checks import (
    NotApplicable,
    check_batch_independence,
    check_bitwise_resume,
    check_config,
    check_overfits,
    check_samples,
    check_total_probability,
    check_training_step,
    checks_for,
)
from harness.checks.noise import PerExampleNoise
from harness.checks.subject import differences
from harness.contract import DataSpec, LogLikelihood

SPEC = DataSpec.images((1, 4, 4), levels=5, classes=3)


def test_which_checks_apply_follows_from_what_a_model_can_do():
    def names(model):
        return {check.name for check in checks_for(model)}

    of_likelihoods = {"total_probability", "entropy", "frequencies", "coverage"}
    assert names(Histogram) - names(TwoPlayers) == of_likelihoods | {"condition"}
    assert all(check.reason.endswith(".") for check in checks_for(Histogram))


class Refuses(Histogram):
    @classmethod
    def supports(cls, spec):
        return "too small"


def test_an_unsupported_spec_is_not_applicable_with_the_reason():
    for check in checks_for(Refuses):
        if check.name != "config":
            with pytest.raises(NotApplicable, match="too small"):
                check.run(SPEC)


def planted(check, model_class, message, **overrides):
    with pytest.raises(AssertionError, match=message):
        check(model_class, SPEC, overrides)


class Thawed(Histogram):
    Config = dataclass(type("Config", (), {"__annotations__": {}}))


@dataclass(frozen=True)
class NoHelp(ToyConfig):
    depth: int = 3


class Helpless(Histogram):
    Config = NoHelp


class NoBatchSize(Histogram):
    Config = dataclasses.make_dataclass("Config", [], frozen=True)


@pytest.mark.parametrize(
    ("model_class", "message"),
    [(Thawed, "frozen"), (Helpless, "depth needs help"), (NoBatchSize, "needs a batch_size")],
)
def test_config(model_class, message):
    planted(check_config, model_class, message)


class FloatSamples(Histogram):
    def sample(self, n, y=None):
        return super().sample(n, y).float()


class BeyondLevels(Histogram):
    def sample(self, n, y=None):
        return super().sample(n, y) + 1


class OwnGenerator(Histogram):
    generator = torch.Generator()

    def sample(self, n, y=None):
        return torch.randint(5, (n, *SPEC.shape), generator=self.generator).to(torch.uint8)


class WanderingBuffer(Histogram):
    def __init__(self, spec, config):
        super().__init__(spec, config)
        self.register_buffer("drawn", torch.zeros(()))

    def sample(self, n, y=None):
        self.drawn += n
        return super().sample(n, y)


@pytest.mark.parametrize(
    ("model_class", "message"),
    [
        (FloatSamples, "torch.float32"),
        (BeyondLevels, "returned the value 5; the data has 5 levels, 0 to 4"),
        (OwnGenerator, "global generator"),
        (WanderingBuffer, "drawn"),
    ],
)
def test_samples(model_class, message):
    planted(check_samples, model_class, message)


class ChangesBatch(Histogram):
    def training_step(self, batch, progress):
        losses = super().training_step(batch, progress)
        batch.x.zero_()
        return losses


class VectorLoss(Histogram):
    def training_step(self, batch, progress):
        return {"nats": super().training_step(batch, progress)["nats"].expand(2)}


class Infinite(Histogram):
    def training_step(self, batch, progress):
        return {"nats": super().training_step(batch, progress)["nats"] / 0}


class LazyPrior(TwoStages):
    def training_step(self, batch, progress):
        return super().training_step(batch, 0.0)


@pytest.mark.parametrize(
    ("model_class", "message"),
    [
        (ChangesBatch, "changed x of its batch"),
        (VectorLoss, "must be a scalar"),
        (Infinite, "is inf"),
        (LazyPrior, '"prior" moved no parameter'),
    ],
)
def test_training_step(model_class, message):
    planted(check_training_step, model_class, message)


class ForgetsTurn(TwoPlayers):
    def set_extra_state(self, state):
        pass


class OddState(TwoPlayers):
    def get_extra_state(self):
        return self.__class__

    def set_extra_state(self, state):
        pass


class HiddenMomentum(Histogram):
    velocity = 0.0

    def training_step(self, batch, progress):
        self.velocity = 0.9 * self.velocity + 0.001
        with torch.no_grad():
            self.network.weight.add_(self.velocity)
        return super().training_step(batch, progress)


@pytest.mark.parametrize(
    ("model_class", "message"),
    [
        (ForgetsTurn, "differs from the uninterrupted"),
        (OddState, "weights_only"),
        (HiddenMomentum, "network.weight"),
    ],
)
def test_bitwise_resume(model_class, message):
    planted(check_bitwise_resume, model_class, message)


class Centred(TwoPlayers):
    def decode(self, z):
        return super().decode(z - z.mean(0))


class NormalisedScores(Histogram):
    def log_likelihood(self, x, y=None):
        nats = super().log_likelihood(x).nats
        return LogLikelihood(nats - 0.1 * nats.mean(), "exact")


@pytest.mark.parametrize(
    ("model_class", "message"),
    [(Centred, "sample gives an example other values"), (NormalisedScores, "log_likelihood")],
)
def test_batch_independence(model_class, message):
    planted(check_batch_independence, model_class, message)


class Frozen(Histogram):
    def training_step(self, batch, progress):
        return {"nats": self.network.weight.sum()}


class Collapsed(TwoPlayers):
    def decode(self, z):
        return torch.full((len(z), *self.spec.shape), 2, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("model_class", "message"), [(Frozen, "bits/dim"), (Collapsed, "RMS distance")]
)
def test_overfits(model_class, message):
    planted(check_overfits, model_class, message)


class NoVolume(Histogram):
    """Forgets -D log 2, as if a density were a probability."""

    kind = "exact"

    def log_likelihood(self, x, y=None):
        nats = super().log_likelihood(x).nats
        return LogLikelihood(nats + self.spec.dimensions * math.log(2), self.kind)


class BoundWithoutVolume(NoVolume):
    kind = "lower_bound"


class Missing(Histogram):
    """Loses a tenth of the mass, which an exact likelihood may not."""

    def log_likelihood(self, x, y=None):
        nats = super().log_likelihood(x).nats
        return LogLikelihood(nats + math.log(0.9), "exact")


class MissingBound(Missing):
    def log_likelihood(self, x, y=None):
        return super().log_likelihood(x)._replace(kind="lower_bound")


@pytest.mark.parametrize(
    ("model_class", "message"),
    [
        (NoVolume, "sum to 16 "),
        (BoundWithoutVolume, "this lower_bound claims too much"),
        (Missing, "sum to 0.9:"),
    ],
)
def test_total_probability(model_class, message):
    planted(check_total_probability, model_class, message)


def test_a_lower_bound_may_lose_mass():
    check_total_probability(MissingBound, SPEC, {})


@pytest.mark.parametrize(
    "draw",
    [
        lambda z: torch.randn(len(z), 2),
        lambda z: torch.rand((len(z), 2)),
        lambda z: torch.randn(4, len(z)).T,
        torch.randn_like,
        lambda z: torch.zeros_like(z).uniform_(1, 2),
        lambda z: torch.multinomial(z.softmax(1), 1),
        lambda z: torch.distributions.Categorical(logits=z).sample(),
        # Pixels flattened with the batch, and as many categories as a part has images.
        lambda z: torch.distributions.Categorical(
            logits=z[..., None] * torch.arange(11.0)
        ).sample(),
        lambda z: torch.distributions.Normal(z, 1.0).rsample(),
        lambda z: torch.distributions.Bernoulli(logits=z).sample(),
        lambda z: torch.randint(0, 100, (len(z), 3)),
    ],
)
def test_per_example_noise_does_not_depend_on_the_batch(draw):
    z = torch.randn(24, 2)
    with PerExampleNoise(24):
        together = draw(z)
    pieces = []
    for first, size in ((0, 11), (11, 13)):
        with PerExampleNoise(size, first):
            pieces.append(draw(z[first : first + size]))
    assert torch.equal(together, torch.cat(pieces))
    assert together.float().unique().numel() > 1


def test_per_example_noise_differs_from_draw_to_draw_and_shows_what_is_shared():
    with PerExampleNoise(24) as noise:
        assert not torch.equal(torch.randn(24, 2), torch.randn(24, 2))
        assert noise.shared == []
        torch.randn(5)
    assert noise.shared == ["randn"]


def test_differences_name_the_path():
    a = {"x": torch.tensor([1.0, math.nan]), "y": [1, {"z": 2}]}
    assert differences(a, {"x": torch.tensor([1.0, math.nan]), "y": [1, {"z": 2}]}) == []
    b = {"x": torch.tensor([1.0, 2.0]), "y": [1, {"z": 3}], "w": 0}
    assert differences(a, b) == ["x", "y[1].z", "w"]


def test_checks_leave_the_random_state_alone():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    for check in checks_for(Histogram):
        with contextlib.suppress(NotApplicable):
            check.run(SPEC)
    assert torch.equal(torch.rand(3), expected)

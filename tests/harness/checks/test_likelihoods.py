"""Likelihoods that are right are not refused, at sizes that suit them; and what is not is found."""

import math

import pytest
import torch
from support.toy_densities import Autoregression, MonteCarloBound
from support.toy_markov import DownColumns, MarkovChain, SecondOrder, ThirdOrder
from support.toy_models import Histogram, Mixture
from support.toy_pixelcnn import PixelCNN

from harness.checks import (
    NotApplicable,
    check_coverage,
    check_entropy,
    check_frequencies,
    check_latent_round_trip,
    check_overfits,
    check_resemblance,
    check_total_probability,
)
from harness.checks.probability import jackknifed_log_total
from harness.contract import DataSpec, LogLikelihood

SPEC = DataSpec.images((1, 4, 4), levels=5, classes=3)


# Noise of a bound


class NoiseOfTheBatch(MonteCarloBound):
    """The same noise for all images of a batch, as where latent variables are shared."""

    def weights(self, images):
        exact = Autoregression.log_likelihood(self, images).nats
        return exact + 2 * torch.randn(self.draws, 1).expand(-1, len(images))


class ImportanceWeighted(MonteCarloBound):
    """log 1/K sum_k w_k with E[w_k] = P(x), so that E[log ...] <= log P(x)."""

    def log_likelihood(self, x, y=None):
        weights = self.weights(x) - 4.33**2 / 2
        return LogLikelihood(weights.logsumexp(0) - math.log(self.draws), "lower_bound")


class OneDraw(MonteCarloBound):
    draws = 1

    def weights(self, images):
        exact = Autoregression.log_likelihood(self, images).nats
        return exact + 1.5 * torch.randn(1, len(images))


@pytest.mark.parametrize(
    "model_class", [MonteCarloBound, NoiseOfTheBatch, ImportanceWeighted, OneDraw]
)
def test_a_bound_that_is_right_on_average_is_not_refused_for_its_noise(model_class):
    check_total_probability(model_class, SPEC, {})


def test_the_jackknife_takes_the_noise_out_of_a_logarithm_of_a_sum():
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(64, 500, generator=generator, dtype=torch.float64)
    nats = math.log(1 / 500) + 2 * noise
    biased = float(nats.mean(0).logsumexp(0))
    assert biased == pytest.approx(2**2 / 64 / 2, abs=0.02), "exp of noise of variance s^2 / R"
    total, error = jackknifed_log_total(nats)
    assert abs(total) < 3 * error < 0.1


def test_without_noise_the_jackknife_is_the_sum():
    nats = torch.tensor([0.5, 0.25]).log().double().expand(4, 2)
    total, error = jackknifed_log_total(nats)
    assert (total, error) == (pytest.approx(math.log(0.75)), pytest.approx(0))


# Models that depend on few pixels


@pytest.mark.parametrize("model_class", [MarkovChain, SecondOrder, DownColumns])
def test_a_chain_has_no_blind_spot(model_class):
    with pytest.raises(NotApplicable, match=r"of 36 pairs of pixels interact.*Markov"):
        check_coverage(model_class, SPEC, {})


def test_a_chain_of_a_higher_order_has_none_either():
    assert check_coverage(ThirdOrder, SPEC, {}) == ""


def test_a_chain_that_is_the_same_everywhere_resembles_its_data_in_probability():
    check_resemblance(MarkovChain, SPEC, {"learning_rate": 0.1})


@pytest.mark.parametrize("kernel", [3, 7])
def test_the_blind_spot_of_masked_convolutions_is_found_for_every_kernel(kernel):
    with pytest.raises(AssertionError, match="blind spot of masked convolutions"):
        check_coverage(PixelCNN, SPEC, {"kernel": kernel, "layers": 2})


def test_one_convolution_sees_little_and_has_no_hole():
    assert check_coverage(PixelCNN, SPEC, {"kernel": 3, "layers": 1}) == ""


# Sizes that a check chooses


class HalvesTwice(Mixture):
    """Needs sides that 4 divides, says so of no size, and forgets the prior of classes."""

    def __init__(self, spec, config):
        super().__init__(spec, config)
        if spec.shape[1] % 4 or spec.shape[2] % 4:
            raise RuntimeError("sizes of tensors must match")

    def log_likelihood(self, x, y=None):
        return LogLikelihood(self.nats_of_classes(x).logsumexp(0), "exact")


class EightByEight(Histogram):
    """Fails, in an assertion of its own, on all that is smaller."""

    def log_likelihood(self, x, y=None):
        assert x.shape[2] >= 8, "eight rows at least"
        return super().log_likelihood(x, y)


class ScoresNothing(Histogram):
    def log_likelihood(self, x, y=None):
        raise ZeroDivisionError("planted")


def test_another_small_size_is_tried_where_one_does_not_fit():
    with pytest.raises(AssertionError, match=r"1x4x4 with 2 levels and 10 classes sum to 10 "):
        check_total_probability(HalvesTwice, SPEC, {})


@pytest.mark.parametrize("check", [check_total_probability, check_coverage])
def test_a_size_that_the_check_chose_is_not_held_against_the_model(check):
    with pytest.raises(NotApplicable, match=r"small data of this check.*eight rows at least"):
        check(EightByEight, DataSpec.images((1, 8, 8), levels=17, classes=10), {})


def test_noise_of_the_datas_own_size_is_scored_where_a_small_one_does_not_fit():
    check_entropy(EightByEight, DataSpec.images((1, 8, 8), levels=17, classes=10), {})


def test_what_fails_at_the_datas_own_size_too_is_the_models_error():
    with pytest.raises(ZeroDivisionError, match="planted"):
        check_total_probability(ScoresNothing, SPEC, {})


class GreyAlone(Autoregression):
    """Encodes, and fails on colour."""

    def __init__(self, spec, config):
        super().__init__(spec, config)
        if spec.shape[0] != 1:
            raise RuntimeError("expected input to have 1 channel")

    def sample_prior(self, n):
        return torch.randn(n, self.spec.dimensions)

    def encode(self, images):
        return images.float().flatten(1)

    def decode(self, z):
        return torch.zeros(len(z), *self.spec.shape, dtype=torch.uint8)


def test_a_round_trip_holds_no_other_size_against_the_model():
    check_latent_round_trip(GreyAlone, SPEC, {})


# Labels


class WantsLabels(Histogram):
    """Data without labels are refused, and samples without a label not to be had."""

    needs_condition = True

    def sample(self, n, y=None):
        assert y is not None
        return super().sample(n, y)


def test_a_model_that_wants_labels_is_checked_with_them():
    check_total_probability(WantsLabels, SPEC, {})
    check_frequencies(WantsLabels, SPEC, {})
    with pytest.raises(NotApplicable, match="independent"):
        check_coverage(WantsLabels, SPEC, {})
    check_overfits(WantsLabels, SPEC, {})

"""Figures carry their protocol and uncertainty, or the reason why there is none."""

import math

import numpy as np
import pytest
import torch
from support.toys import SPEC, Config, Regressor, dataset, split

from harness.contract import LogLikelihood
from harness.evaluation import SampleScorer, measure_likelihood, measure_speed
from harness.features.pixels import Pixels
from harness.metrics.frechet import FrechetDistance
from harness.metrics.inception_score import InceptionScore
from harness.references import measure_null, measure_real
from harness.sampling import Sampler

METRICS = {"fid": FrechetDistance, "is": InceptionScore}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GENHARNESS_CACHE", str(tmp_path))


@pytest.fixture
def scorer():
    return SampleScorer(dataset(600), Pixels(SPEC), METRICS, torch.device("cpu"))


def frechet(a, b):
    """The distance by the textbook's formula in numpy."""
    a, b = (x.reshape(len(x), -1).astype(float) / (SPEC.levels - 1) for x in (a, b))
    product = np.cov(a.T) @ np.cov(b.T)
    root = np.sqrt(np.linalg.eigvals(product).real.clip(0)).sum()
    return float(
        ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(np.cov(a.T) + np.cov(b.T)) - 2 * root
    )


def test_samples_are_compared_with_train_and_with_test(scorer):
    images = split(100, seed=9).images
    scores = scorer.score([torch.from_numpy(images)])
    data = dataset(600)
    assert scores["fid"].value == pytest.approx(frechet(images, data.train.images), rel=1e-4)
    assert scores["fid_test"].value == pytest.approx(frechet(images, data.test.images), rel=1e-4)
    assert "100 samples against 600 of train" in scores["fid"].protocol
    assert "100 samples against 300 of test" in scores["fid_test"].protocol
    assert scores["fid"].error is None


def test_the_value_is_the_mean_over_sets_and_the_error_their_standard_deviation(scorer):
    sets = [torch.from_numpy(split(100, seed=seed).images) for seed in (5, 6, 7)]
    alone = [scorer.score([images])["fid"].value for images in sets]
    together = scorer.score(sets)["fid"]
    assert together.value == pytest.approx(np.mean(alone))
    assert together.error == pytest.approx(np.std(alone, ddof=1))
    assert "3 sets" in together.protocol


def test_a_metric_without_a_value_says_why(scorer):
    score = scorer.score([torch.from_numpy(split(50).images)])["is"]
    assert score.value is None
    assert "logits" in score.reason
    single = scorer.score([torch.from_numpy(split(1).images)])["fid"]
    assert single.value is None
    assert "at least 2 images" in single.reason


class Uniform(Regressor):
    def log_likelihood(self, images):
        nats = torch.full((len(images),), -SPEC.dimensions * math.log(SPEC.levels))
        return LogLikelihood(nats, "exact", "in closed form")


def test_a_uniform_model_scores_the_logarithm_of_the_levels():
    found = measure_likelihood(Uniform(SPEC, Config()), split(30), images=20, batch_size=8, seed=0)
    assert found.value == pytest.approx(math.log2(SPEC.levels), abs=1e-6)
    assert found.error == pytest.approx(0, abs=1e-6)
    assert found.kind == "exact"
    assert "20 images" in found.protocol
    assert "in closed form" in found.protocol


def test_the_standard_error_is_that_of_the_mean_over_images():
    class Brightness(Regressor):
        def log_likelihood(self, images):
            return LogLikelihood(-images.float().flatten(1).sum(1), "lower_bound")

    test = split(40)
    found = measure_likelihood(Brightness(), test, images=40, batch_size=7, seed=0)
    bits = test.images.reshape(40, -1).sum(1) / (SPEC.dimensions * math.log(2))
    assert found.value == pytest.approx(bits.mean())
    assert found.error == pytest.approx(bits.std(ddof=1) / 40**0.5)


def test_no_likelihood_and_an_infinite_one_say_so():
    assert (
        measure_likelihood(Regressor(), split(8), images=8, batch_size=8, seed=0).reason
        == "the model has no likelihood"
    )

    class Impossible(Regressor):
        def log_likelihood(self, images):
            return LogLikelihood(torch.full((len(images),), -math.inf), "exact")

    found = measure_likelihood(Impossible(), split(8), images=8, batch_size=8, seed=0)
    assert found.value is None
    assert "inf" in found.reason


def test_speed_takes_the_table_from_the_largest_batch_and_latency_from_the_smallest():
    sampler = Sampler(Regressor(), seed=0, batch_size=8, precision="fp32")
    found = measure_speed(sampler, (16, 1), seconds=0.01)
    assert "batches of 16" in found["images_per_second"].protocol
    assert "batches of 1," in found["latency"].protocol
    assert found["nfe"].value == 1
    assert found["flops_per_image"].value == 2 * 2 * 4 * 16


def test_real_images_are_the_test_split_and_null_is_the_better_of_noise_and_mean(scorer):
    data = dataset(600)
    real, images = measure_real(data, scorer, len(data.test))
    assert torch.equal(images, torch.from_numpy(data.test.images))
    assert real["fid"].value == pytest.approx(
        frechet(data.test.images, data.train.images), rel=1e-4
    )
    assert real["fid_test"].value is None
    null, images = measure_null(data, scorer, 200, {"fid": True, "is": False})
    # The data is noise itself: noise is better than the mean image.
    assert "uniform noise (better than mean image" in null["fid"].protocol
    assert null["bits_per_dim"].value == 2.0
    assert images.shape == (200, 1, 2, 2)


def test_fewer_real_images_are_a_fixed_choice_of_the_test_split(scorer):
    data = dataset(600)
    _, images = measure_real(data, scorer, 50)
    _, again = measure_real(data, scorer, 50)
    assert torch.equal(images, again)
    members = {image.tobytes() for image in data.test.images}
    assert all(image.numpy().tobytes() in members for image in images)

"""Figures carry their protocol and uncertainty, or the reason why there is none."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from support.toys import SPEC, Config, Regressor, dataset, split

from harness.contract import DataSpec, LogLikelihood
from harness.dataset import Dataset, Split
from harness.features.pixels import Pixels
from harness.measurement.baselines import measure_null, measure_real
from harness.measurement.likelihood import measure_likelihood
from harness.measurement.sampling import Sampler
from harness.measurement.scorer import SampleScorer
from harness.measurement.tasks import TaskScorer
from harness.measurement.timing import measure_speed
from harness.metrics.frechet import FrechetDistance
from harness.metrics.inception_score import InceptionScore
from harness.metrics.kernel import KernelDistance
from harness.metrics.mifid import MemorisationInformedDistance
from harness.metrics.neighbours import Neighbours

METRICS = {"fid": FrechetDistance, "is": InceptionScore}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GENHARNESS_CACHE", str(tmp_path))


@pytest.fixture
def scorer():
    return SampleScorer(dataset(600), Pixels(SPEC), METRICS, torch.device("cpu"))


def no_tasks(data):
    return TaskScorer(data, Pixels(data.spec), {}, torch.device("cpu"))


def frechet(a, b):
    """The distance by the textbook's formula in numpy."""
    a, b = (x.reshape(len(x), -1).astype(float) / (SPEC.levels - 1) for x in (a, b))
    product = np.cov(a.T) @ np.cov(b.T)
    root = np.sqrt(np.linalg.eigvals(product).real.clip(0)).sum()
    return float(
        ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(np.cov(a.T) + np.cov(b.T)) - 2 * root
    )


def test_samples_are_compared_with_train_and_with_test(scorer):
    images = split(100, seed=9).x
    scores = scorer.score([torch.from_numpy(images)])
    data = dataset(600)
    assert scores["fid"].value == pytest.approx(frechet(images, data.train.x), rel=1e-4)
    assert scores["fid_test"].value == pytest.approx(frechet(images, data.test.x), rel=1e-4)
    assert "100 samples against 600 of train" in scores["fid"].protocol
    assert "100 samples against 300 of test" in scores["fid_test"].protocol
    assert scores["fid"].error is None


def test_the_value_is_the_mean_over_sets_and_the_error_their_standard_deviation(scorer):
    sets = [torch.from_numpy(split(100, seed=seed).x) for seed in (5, 6, 7)]
    alone = [scorer.score([images])["fid"].value for images in sets]
    together = scorer.score(sets)["fid"]
    assert together.value == pytest.approx(np.mean(alone))
    assert together.error == pytest.approx(np.std(alone, ddof=1))
    assert "3 sets" in together.protocol


def test_a_metric_without_a_value_says_why(scorer):
    score = scorer.score([torch.from_numpy(split(50).x)])["is"]
    assert score.value is None
    assert "logits" in score.reason
    single = scorer.score([torch.from_numpy(split(1).x)])["fid"]
    assert single.value is None
    assert "at least 2 images" in single.reason


class Endless(FrechetDistance):
    def compute(self):
        return {"fid": torch.tensor(math.inf)}


@pytest.mark.filterwarnings("error")
def test_a_figure_that_is_infinite_is_none_also_in_a_mean():
    scorer = SampleScorer(dataset(60), Pixels(SPEC), {"fid": Endless}, torch.device("cpu"))
    for sets in (1, 2):
        found = scorer.score([torch.from_numpy(split(20).x)] * sets)["fid"]
        assert (found.value, found.error, found.reason) == (None, None, "it came out inf")


class Uniform(Regressor):
    def log_likelihood(self, x, y=None):
        nats = torch.full((len(x),), -SPEC.dimensions * math.log(SPEC.levels))
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
        def log_likelihood(self, x, y=None):
            return LogLikelihood(-x.float().flatten(1).sum(1), "lower_bound")

    test = split(40)
    found = measure_likelihood(Brightness(), test, images=40, batch_size=7, seed=0)
    bits = test.x.reshape(40, -1).sum(1) / (SPEC.dimensions * math.log(2))
    assert found.value == pytest.approx(bits.mean())
    assert found.error == pytest.approx(bits.std(ddof=1) / 40**0.5)


def test_no_likelihood_and_an_infinite_one_say_so():
    assert (
        measure_likelihood(Regressor(), split(8), images=8, batch_size=8, seed=0).reason
        == "the model has no likelihood"
    )

    class Impossible(Regressor):
        def log_likelihood(self, x, y=None):
            return LogLikelihood(torch.full((len(x),), -math.inf), "exact")

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
    real, images = measure_real(data, scorer, no_tasks(data), len(data.test))
    assert torch.equal(images, torch.from_numpy(data.test.x))
    assert real["fid"].value == pytest.approx(frechet(data.test.x, data.train.x), rel=1e-4)
    assert real["fid_test"].value is None
    null, images = measure_null(data, scorer, no_tasks(data), 200, {"fid": True, "is": False})
    # The data is noise itself: noise is better than the mean image.
    assert "uniform noise (better than mean image" in null["fid"].protocol
    assert null["bits_per_dim"].value == 2.0
    assert images.shape == (200, 1, 2, 2)


def test_fewer_real_images_are_a_fixed_choice_of_the_test_split(scorer):
    data = dataset(600)
    _, images = measure_real(data, scorer, no_tasks(data), 50)
    _, again = measure_real(data, scorer, no_tasks(data), 50)
    assert torch.equal(images, again)
    members = {image.tobytes() for image in data.test.x}
    assert all(image.numpy().tobytes() in members for image in images)


ALL = {
    "fid": FrechetDistance,
    "kid": KernelDistance,
    "precision": Neighbours,
    "memorisation": Neighbours,
    "fid_gap": MemorisationInformedDistance,
}


@pytest.fixture
def pictures():
    """Data whose images differ, unlike the four pixels of the toy."""
    spec = DataSpec.images((1, 4, 4), levels=256, classes=3)
    return Dataset("pictures", spec, *(split(n, n, spec) for n in (600, 10, 300)))


def score_all(data):
    return SampleScorer(data, Pixels(data.spec), ALL, torch.device("cpu"))


def test_a_metric_under_several_names_is_computed_once(pictures, monkeypatch):
    runs = []
    compute = Neighbours.compute
    monkeypatch.setattr(Neighbours, "compute", lambda self: runs.append(1) or compute(self))
    scores = score_all(pictures).score([torch.from_numpy(pictures.train.x[:50])])
    assert len(runs) == 1
    assert scores["precision"].value == 1
    assert "precision_test" not in scores
    assert "k = 5 against 600 of train" in scores["precision"].protocol


def test_copies_carry_their_warning_and_stay_flagged_in_a_mean(pictures):
    scorer = score_all(pictures)
    copies = torch.from_numpy(pictures.train.x[:200])
    new = torch.from_numpy(split(200, 7, pictures.spec).x)
    assert scorer.score([new])["memorisation"].reason is None
    together = scorer.score([new, copies])["memorisation"]
    assert together.value == pytest.approx(0.5, abs=0.02)
    assert "copies its training data" in together.reason


def test_a_total_copier_carries_its_warning_though_the_test_split_holds_copies_too(pictures):
    test = pictures.test.x.copy()
    test[:15] = pictures.train.x[:15]
    scorer = score_all(replace(pictures, test=Split(test, pictures.test.y)))
    found = scorer.score([torch.from_numpy(pictures.train.x[-200:])])["memorisation"]
    assert found.value == 1
    assert "copies its training data" in found.reason


def test_a_standard_error_is_that_of_the_one_set(pictures):
    scorer = score_all(pictures)
    sets = [torch.from_numpy(split(100, seed, pictures.spec).x) for seed in (5, 6)]
    alone = [scorer.score([images])["kid"] for images in sets]
    assert all(measurement.error > 0 for measurement in alone)
    spread = np.std([measurement.value for measurement in alone], ddof=1)
    assert scorer.score(sets)["kid"].error == pytest.approx(spread)


def test_curves_are_of_quick_metrics_only(pictures):
    scorer = score_all(pictures)
    assert set(scorer.quick().metrics) == {"fid", "kid"}
    assert set(scorer.metrics) == set(ALL)


def test_likely_copies_are_the_copies_with_their_originals(pictures):
    new = torch.from_numpy(split(20, 7, pictures.spec).x)
    copies = torch.from_numpy(pictures.train.x[[3, 500]])
    likely_copies, originals = score_all(pictures).likely_copies(torch.cat([new, copies]), 2)
    assert sorted(originals.tolist()) == [3, 500]
    assert torch.equal(likely_copies, torch.from_numpy(pictures.train.x[originals.numpy()]))


def test_the_test_set_is_not_compared_with_itself(pictures):
    real, _ = measure_real(pictures, score_all(pictures), no_tasks(pictures), len(pictures.test))
    for name in ("fid_test", "kid_test", "memorisation", "fid_gap"):
        assert real[name].value is None
        assert real[name].reason == "the test set against itself"
    assert real["precision"].value > 0

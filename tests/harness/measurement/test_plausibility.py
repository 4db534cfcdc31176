"""Figures that no model can have are not published, and the reason is."""

import math

import pytest
import torch
from support.toys import SPEC, Config, Regressor, dataset, split

from harness.contract import DataSpec, LogLikelihood
from harness.features.pixels import Pixels
from harness.measurement.likelihood import measure_likelihood
from harness.measurement.sampling import Sampler
from harness.measurement.scorer import SampleScorer
from harness.measurement.timing import measure_speed
from harness.metrics.base import Figure, SampleMetric
from harness.metrics.frechet import FrechetDistance
from harness.metrics.speed import Speed

CPU = torch.device("cpu")
UNIFORM = SPEC.dimensions * math.log(SPEC.levels)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GENHARNESS_CACHE", str(tmp_path / "cache"))


def likelihood(nats, kind="exact", spec=SPEC, n=8):
    class Scored(Regressor):
        def log_likelihood(self, x, y=None):
            found = nats(len(x)) if callable(nats) else torch.full((len(x),), nats)
            return LogLikelihood(found, kind)

    model = Scored(spec, Config())
    return measure_likelihood(model, split(n, 0, spec), images=n, batch_size=4, seed=0)


@pytest.mark.parametrize("kind", ["exact", "lower_bound"])
def test_a_density_without_its_volume_term_has_no_likelihood(kind):
    """Nats of a density on [0, 1] of independent pixels, which lack -D ln(levels)."""
    found = likelihood(UNIFORM - 1.0, kind)
    assert found.value is None and found.error is None and found.kind == kind
    assert found.reason.startswith("a probability above 1: 4 of 4 log-likelihoods")
    assert "-D ln(levels)" in found.reason


def test_one_image_of_a_probability_above_1_is_enough():
    found = likelihood(lambda n: torch.tensor([-9.0] * (n - 1) + [0.1]))
    assert found.value is None
    assert "1 of 4" in found.reason and "up to 0.1 nats" in found.reason


@pytest.mark.parametrize("spec", [SPEC, DataSpec.images((3, 32, 32), 256, 10)])
def test_a_certain_image_may_be_off_by_the_rounding_of_float32(spec):
    """log p = (D ln L) - (D ln L) in float32, a unit in the last place too large."""
    nats = spec.dimensions * math.log(spec.levels)
    rounding = float(torch.nextafter(torch.tensor(nats), torch.tensor(math.inf))) - nats
    found = likelihood(rounding, spec=spec)
    assert found.reason is None
    assert found.value == pytest.approx(0, abs=1e-5)


def test_estimates_may_exceed_a_probability_of_1_but_not_on_average():
    noisy = likelihood(lambda n: torch.tensor([-4.0, 1.0] * (n // 2)), "estimate")
    assert noisy.reason is None and noisy.value > 0
    close = likelihood(lambda n: torch.tensor([-4.0, 4.1] * (n // 2)), "estimate")
    assert close.reason is None and close.value < 0
    found = likelihood(UNIFORM - 1.0, "estimate")
    assert found.value is None and found.kind == "estimate"
    assert "the mean estimate is -1.6" in found.reason


class Answer(SampleMetric):
    """A metric of a plugin, which says that it is a share."""

    limits = {"share": (0.0, 1.0), "at_least_one": (1.0, math.inf)}
    answer: object = 0.0

    def update(self, features):
        """Take no notice."""

    def compute(self):
        return self.answer


def scored(answer, name="share"):
    metric = type("Own", (Answer,), {"answer": answer})
    scorer = SampleScorer(dataset(60), Pixels(SPEC), {name: metric}, CPU)
    return scorer.score([torch.from_numpy(split(20).x)])[name]


@pytest.mark.parametrize(
    ("answer", "name", "reason"),
    [
        (1.5, "share", "it came out 1.5, and it lies between 0 and 1"),
        (-0.25, "share", "it came out -0.25, and it lies between 0 and 1"),
        (0.5, "at_least_one", "it came out 0.5, and it cannot be below 1"),
        (True, "share", "the metric returned bool of shape (), not one real number"),
        (0.5 + 0.5j, "share", "the metric returned complex64 of shape (), not one real number"),
        (torch.ones(3), "share", "the metric returned float32 of shape (3,), not one real number"),
        (None, "share", None),
    ],
)
def test_a_metric_outside_of_its_limits_has_no_value(answer, name, reason):
    converted = answer if answer is None else torch.as_tensor(answer)
    found = scored(converted, name)
    assert found.value is None
    assert found.reason if reason is None else found.reason == reason


@pytest.mark.parametrize("answer", [0.0, 1.0, 1 + 1e-12, -1e-12])
def test_a_metric_within_its_limits_has_its_value_up_to_rounding(answer):
    assert scored(torch.tensor(answer, dtype=torch.float64)).value == answer


def test_one_set_outside_of_the_limits_leaves_no_mean():
    class Brightness(Answer):
        def update(self, features):
            self.answer = features.vectors.mean()

    scorer = SampleScorer(dataset(60), Pixels(SPEC), {"share": Brightness}, CPU)
    bright = torch.full((20, *SPEC.shape), 3, dtype=torch.uint8)
    assert scorer.score([bright // 3, bright // 2])["share"].value == pytest.approx(1 / 3)
    Brightness.limits = {"share": (0.0, 0.9)}
    found = scorer.score([bright // 3, bright])["share"]
    assert found.value is None and "between 0 and 0.9" in found.reason


def test_a_standard_error_that_is_none_leaves_the_value():
    found = scored(Figure(torch.tensor(0.5), torch.tensor(math.nan)))
    assert (found.value, found.error) == (0.5, None)
    assert found.reason == "its standard error came out nan"


@pytest.mark.parametrize("name", ["fid", "fid_mean_term"])
def test_a_distance_below_zero_is_no_distance(monkeypatch, name):
    below = {name: Figure(torch.tensor(-0.5)) for name in ("fid", "fid_mean_term")}
    monkeypatch.setattr(FrechetDistance, "compute", lambda self: below)
    scorer = SampleScorer(dataset(60), Pixels(SPEC), {name: FrechetDistance}, CPU)
    found = scorer.score([torch.from_numpy(split(20).x)])
    assert (
        found[name].reason
        == found[f"{name}_test"].reason
        == ("it came out -0.5, and it cannot be below 0")
    )


def test_sets_of_samples_that_are_equal_give_no_uncertainty():
    scorer = SampleScorer(dataset(60), Pixels(SPEC), {"fid": FrechetDistance}, CPU)
    one, other = (torch.from_numpy(split(20, seed).x) for seed in (1, 2))
    for sets in ([one, one.clone()], [one, other, one]):
        found = scorer.score(sets)["fid"]
        assert found.value > 0 and found.error is None
        assert "sets of samples are equal, bit for bit" in found.reason
    honest = scorer.score([one, other])["fid"]
    assert honest.error > 0 and honest.reason is None


def test_a_model_that_seeds_itself_has_no_uncertainty():
    class Seeded(Regressor):
        def sample(self, n, y=None):
            torch.manual_seed(1)
            return super().sample(n, y)

    sampler = Sampler(Seeded(), seed=0, batch_size=20, precision="fp32")
    scorer = SampleScorer(dataset(60), Pixels(SPEC), {"fid": FrechetDistance}, CPU)
    found = scorer.score([sampler.draw(20, index) for index in range(3)])["fid"]
    assert found.error is None and "equal" in found.reason


def test_a_clock_that_stands_still_gives_no_speed(monkeypatch):
    still = Speed(1, math.inf, 0.0, 0.0, 0.0, 3, 1)
    monkeypatch.setattr("harness.measurement.timing.sampling_speed", lambda *_, **__: [still])
    found = measure_speed(Sampler(Regressor(), seed=0, batch_size=8, precision="fp32"), (1,), 0.0)
    for name in ("latency", "images_per_second"):
        assert found[name].value is None
        assert found[name].reason == "the clock stood still during a call"

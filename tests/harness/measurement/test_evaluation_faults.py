"""A figure that cannot be had leaves its reason, and every other figure of the model."""

import errno
import math
from functools import wraps

import numpy as np
import pytest
import torch
from support.toys import SPEC, Config, Regressor, dataset, split

from harness.contract import LogLikelihood
from harness.features.pixels import Pixels
from harness.machine.digests import tensors_digest
from harness.machine.heartbeat import Heartbeat, Interrupted
from harness.measurement.likelihood import measure_likelihood
from harness.measurement.sampling import Sampler
from harness.measurement.scorer import SampleScorer
from harness.measurement.timing import measure_speed
from harness.metrics.base import SampleMetric
from harness.metrics.frechet import FrechetDistance
from harness.planning.benchmark import parse_benchmark
from harness.planning.resolution import resolve
from harness.plugins.registry import registry
from harness.training.ledger import Ledger
from harness.worker import trial_run

CPU = torch.device("cpu")
NO_MEMORY = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 TiB\nof many")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GENHARNESS_CACHE", str(tmp_path / "cache"))


class Scored(Regressor):
    """Has the likelihood that it is given, of as many images as it is asked for."""

    def __init__(self, answer):
        super().__init__(SPEC, Config())
        self.answer = answer

    def log_likelihood(self, x, y=None):
        return self.answer(len(x))


def likelihood(answer, images=8, test=None, **options):
    test = split(30) if test is None else test
    return measure_likelihood(Scored(answer), test, images=images, batch_size=4, seed=0, **options)


def one_nan(n):
    return LogLikelihood(torch.tensor([math.nan] + [-1.0] * (n - 1)), "estimate")


def broken(n):
    raise RuntimeError("the flow is\nnot invertible")


@pytest.mark.parametrize(
    ("answer", "kind", "reason"),
    [
        (one_nan, "estimate", "1 of 4 log-likelihoods are NaN or infinite"),
        (broken, None, "RuntimeError: the flow is not invertible (test_evaluation_faults.py:"),
        (lambda n: LogLikelihood(torch.zeros(()), "exact"), None, "nats of shape (), not (4,)"),
        (lambda n: LogLikelihood(torch.zeros(1), "exact"), None, "nats of shape (1,), not (4,)"),
        (lambda n: LogLikelihood(torch.zeros(n), "sure"), None, "a likelihood of kind 'sure'"),
        (lambda n: None, None, "log_likelihood returned None; the contract asks for a"),
    ],
)
def test_a_likelihood_that_fails_says_why(answer, kind, reason):
    found = likelihood(answer)
    assert found.value is None and found.error is None
    assert reason in found.reason
    assert found.kind == kind


def test_kinds_that_differ_from_batch_to_batch_are_no_likelihood():
    kinds = iter(("exact", "lower_bound"))
    found = likelihood(lambda n: LogLikelihood(torch.zeros(n), next(kinds)))
    assert found.value is None
    assert "different kinds do not average: exact and lower_bound" in found.reason


def test_one_image_has_a_likelihood_without_an_error():
    found = likelihood(lambda n: LogLikelihood(torch.full((n,), -4 * math.log(2)), "exact"), 1)
    assert found.value == pytest.approx(1.0)
    assert found.error is None and found.reason is None
    assert found.protocol.startswith("1 image of test, ")


def test_without_test_images_there_is_no_likelihood():
    empty = split(0)
    assert "no test images" in likelihood(broken, images=None, test=empty).reason


def test_a_model_is_in_training_again_whatever_its_likelihood_did():
    model = Scored(broken).train()
    measure_likelihood(model, split(8), images=8, batch_size=4, seed=0)
    assert model.training


def interrupt():
    raise Interrupted


def test_a_trial_that_is_asked_to_stop_stops_in_the_middle_of_a_measurement():
    def fair(n):
        return LogLikelihood(torch.zeros(n), "exact")

    with pytest.raises(Interrupted):
        likelihood(fair, on_batch=interrupt)
    scorer = SampleScorer(dataset(60), Pixels(SPEC), {"fid": FrechetDistance}, CPU)
    with pytest.raises(Interrupted):
        scorer.score([torch.from_numpy(split(20).x)], interrupt)
    sampler = Sampler(Regressor(), seed=0, batch_size=8, precision="fp32")
    with pytest.raises(Interrupted):
        measure_speed(sampler, (1,), 0.0, interrupt)


def test_a_full_disk_is_no_reason_for_a_trial_to_end_without_a_figure():
    def full(n):
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        likelihood(full)


class Stranger(SampleMetric):
    """A metric that works."""

    def update(self, features):
        self.seen = features.vectors

    def compute(self):
        return self.seen.double().mean()


class Unborn(Stranger):
    def __init__(self, reference):
        raise ZeroDivisionError("no reference is good enough")


class Choking(Stranger):
    def update(self, features):
        raise NO_MEMORY


class Singular(Stranger):
    def compute(self):
        return torch.linalg.inv(torch.zeros(2, 2)).sum()


class Unlabelled(Stranger):
    """Has no figure under the name that it is asked for."""

    def compute(self):
        return {}


def test_a_metric_that_fails_leaves_its_reason_and_all_the_others():
    metrics = {
        "fid": FrechetDistance,
        "unborn": Unborn,
        "choking": Choking,
        "singular": Singular,
        "unlabelled": Unlabelled,
        "stranger": Stranger,
    }
    images = torch.from_numpy(split(100, seed=9).x)
    data = dataset(60)
    alone = SampleScorer(data, Pixels(SPEC), {"fid": FrechetDistance}, CPU).score([images])
    found = SampleScorer(data, Pixels(SPEC), metrics, CPU).score([images])
    assert {name: found[name] for name in alone} == alone
    assert found["stranger"].value is not None
    reasons = {
        "unborn": "ZeroDivisionError: no reference is good enough (test_evaluation_faults.py:",
        "choking": "OutOfMemoryError: CUDA out of memory. Tried to allocate 9 TiB (",
        "singular": "LinAlgError: linalg.inv: The diagonal element 1 is zero",
        "unlabelled": "KeyError: 'unlabelled'",
    }
    for name, reason in reasons.items():
        for column in (name, f"{name}_test"):
            assert found[column].value is None
            assert reason in found[column].reason


def test_features_that_cannot_be_taken_are_the_reason_of_every_metric_of_them():
    class Broken(Pixels):
        def forward(self, images):
            raise RuntimeError("no such kernel")

    data = dataset(60)
    scorer = SampleScorer(data, Pixels(SPEC), {"fid": FrechetDistance}, CPU)
    scorer.references["train"].moments, scorer.references["test"].moments  # noqa: B018
    scorer.extractor = Broken(SPEC)
    found = scorer.score([torch.from_numpy(split(20).x)])
    assert set(found) == {"fid", "fid_test"}
    assert all("no such kernel" in m.reason and m.value is None for m in found.values())


class Limited(Regressor):
    """Has memory for so many images."""

    most = 4

    def sample(self, n, y=None):
        if n > self.most:
            raise NO_MEMORY
        return super().sample(n)


def test_a_batch_that_is_too_large_to_be_timed_costs_its_own_figure_alone():
    sampler = Sampler(Limited(), seed=0, batch_size=4, precision="fp32")
    found = measure_speed(sampler, (1, 8), 0.0)
    assert found["images_per_second"].value is None
    assert "out of memory" in found["images_per_second"].reason
    assert found["latency"].value > 0
    assert found["nfe"].value == 1 and found["flops_per_image"].value == 256


def test_a_cost_that_cannot_be_counted_leaves_the_speed():
    class Picky(Regressor):
        def sample(self, n, y=None):
            if n == 4:
                raise RuntimeError("never four at once")
            return super().sample(n)

    sampler = Sampler(Picky(), seed=0, batch_size=8, precision="fp32")
    found = measure_speed(sampler, (1, 8), 0.0)
    assert found["images_per_second"].value > 0 and found["latency"].value > 0
    assert all("never four" in found[name].reason for name in ("nfe", "flops_per_image"))


def test_operators_without_a_flop_count_are_in_the_protocol_of_the_count():
    class Summing(Regressor):
        def sample(self, n, y=None):
            torch.ones(3).cumsum(0)
            return super().sample(n, y)

    found = measure_speed(Sampler(Summing(), seed=0, batch_size=8, precision="fp32"), (1,), 0.0)
    message = "counted by dispatch; without a formula: aten.cumsum (1 per batch)"
    assert (found["flops_per_image"].value, found["flops_per_image"].protocol) == (256, message)


SOURCE = """
name = "mine"
datasets = ["known-density:markov"]
models = ["vae"]
budget = "2 steps"
references = false
[evaluation]
samples = 20
batch_size = 20
features = "pixels"
metrics = ["fid"]
curve = []
likelihood_images = 1
speed_batch_sizes = [1, 64]
speed_seconds = 0.001
"""


def test_a_trained_model_keeps_its_figures_whatever_else_fails(tmp_path, monkeypatch):
    """Likelihood, the largest batch, weights that numpy has no type for, and all pictures."""
    [trial] = resolve(parse_benchmark(SOURCE, "mine.toml"), registry())
    vae = registry().load(registry().model("vae").info)
    build, sample = vae.__init__, vae.sample

    def with_half_precision(self, spec, config):
        build(self, spec, config)
        self.register_buffer("in_bfloat16", torch.ones(3, dtype=torch.bfloat16))

    def few(self, n, y=None):
        if n == 64:
            raise NO_MEMORY
        return sample(self, n, y)

    def fail(*_):
        raise RuntimeError("it was worth a try")

    monkeypatch.setattr(vae, "__init__", with_half_precision)
    monkeypatch.setattr(vae, "sample", few)
    monkeypatch.setattr(vae, "log_likelihood", wraps(vae.log_likelihood)(fail))
    monkeypatch.setattr(SampleScorer, "likely_copies", fail)
    monkeypatch.setattr("harness.measurement.pictures.images.Image.fromarray", fail)
    monkeypatch.setattr(trial_run, "set_numerics", lambda precision: None)
    run = trial_run.TrialRun(trial, tmp_path, registry(), CPU, Ledger(), Heartbeat(tmp_path))
    row = run.run()
    assert row.status == "ok"
    for name in ("fid", "fid_test", "latency", "nfe", "flops_per_image"):
        assert row.metrics[name].value is not None, row.metrics[name].reason
    assert "it was worth a try" in row.metrics["bits_per_dim"].reason
    # Seeds of one model stand in one line of the leaderboard, which goes by the kind.
    assert row.metrics["bits_per_dim"].kind == "lower_bound"
    assert "out of memory" in row.metrics["images_per_second"].reason
    assert set(row.digests) == {"samples", "weights"}
    assert (tmp_path / "samples.npz").exists()
    assert not [*tmp_path.glob("*.png")]


def test_digests_are_of_the_bytes_whatever_the_type():
    one = torch.tensor([[1.0, 2.0]])
    whole = [one, torch.tensor(3), torch.tensor([True]), torch.tensor([1 + 2j])]
    assert tensors_digest(whole) == tensors_digest([t.clone() for t in whole])
    assert tensors_digest([one.bfloat16()]) != tensors_digest([-one.bfloat16()])
    # As it has been since the first row.
    expected = "0af8520b"
    assert tensors_digest([torch.from_numpy(np.arange(3.0))])[:8] == expected

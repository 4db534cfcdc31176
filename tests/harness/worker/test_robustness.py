"""Distances in the features of classifiers that differ in their seed alone."""

import numpy as np
import pytest
import torch

from harness.errors import UserError
from harness.features.classifier import DigitsClassifier2, DigitsClassifier3
from harness.machine.heartbeat import Heartbeat
from harness.measurement.scorer import SampleScorer
from harness.metrics.frechet import FrechetDistance
from harness.metrics.inception_score import InceptionScore
from harness.metrics.kernel import GaussianDistance
from harness.planning.benchmark import parse_benchmark
from harness.planning.resolution import resolve
from harness.plugins.registry import registry
from harness.training.ledger import Ledger
from harness.worker import trial_run
from harness_datasets import digits

SOURCE = """
name = "mine"
datasets = ["digits"]
models = ["vae"]
budget = "30 steps"
[evaluation]
samples = 200
metrics = ["fid", "is", "mmd"]
robustness = true
"""
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GENHARNESS_CACHE", str(tmp_path / "cache"))


def planned(source=SOURCE):
    return resolve(parse_benchmark(source, "mine.toml"), registry())


def test_the_row_has_the_distance_in_each_further_seed(tmp_path, monkeypatch):
    monkeypatch.setattr(trial_run, "set_numerics", lambda precision: None)
    real = planned()[0]
    run = trial_run.TrialRun(real, tmp_path, registry(), CPU, Ledger(), Heartbeat(tmp_path))
    metrics = run.run().metrics
    further = {name for name in metrics if "_seed" in name}
    assert further == {"fid_seed2", "fid_seed3"}
    dataset = digits.load()
    samples = torch.from_numpy(np.load(tmp_path / "samples.npz")["x"])
    for number, extractor in ((2, DigitsClassifier2), (3, DigitsClassifier3)):
        scorer = SampleScorer(dataset, extractor(dataset.spec), {"fid": FrechetDistance}, CPU)
        expected = scorer.score([samples])["fid"]
        assert metrics[f"fid_seed{number}"].value == pytest.approx(expected.value, rel=1e-6)
        assert metrics[f"fid_seed{number}"].protocol == expected.protocol
    values = [metrics[name].value for name in ("fid", "fid_seed2", "fid_seed3")]
    assert len(set(values)) == 3


def test_only_quick_distances_are_repeated():
    dataset = digits.load()
    metrics = {"fid": FrechetDistance, "is": InceptionScore, "mmd": GaussianDistance}
    scorer = SampleScorer(dataset, DigitsClassifier2(dataset.spec), metrics, CPU)
    assert list(scorer.distances().metrics) == ["fid"]
    assert list(scorer.metrics) == ["fid", "is", "mmd"]


def test_the_identity_shows_further_seeds_and_is_otherwise_what_it_was():
    with_seeds = planned()[0]
    without = planned(SOURCE.replace("true", "false"))[0]
    unsaid = planned(SOURCE.replace("robustness = true", ""))[0]
    assert with_seeds.features["further"].startswith("digits-classifier-2 ")
    assert without.id == unsaid.id != with_seeds.id
    assert "further" not in without.features


def test_features_without_further_seeds_are_refused():
    with pytest.raises(UserError, match="'pixels' have only one training seed.*digits-cl"):
        planned(SOURCE.replace("[evaluation]", '[evaluation]\nfeatures = "pixels"'))

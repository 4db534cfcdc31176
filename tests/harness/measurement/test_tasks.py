"""Task metrics: sample i beside condition i and its truth, or the reason why there is no figure."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from support.toys import dataset

from harness.contract import ArraySpec, DataSpec
from harness.dataset import Dataset, Split
from harness.features.base import FeatureExtractor, Features
from harness.features.pixels import Pixels
from harness.hooks import MetricInfo
from harness.measurement.baselines import measure_null, measure_real
from harness.measurement.scorer import SampleScorer
from harness.measurement.tasks import TaskScorer
from harness.metrics import harness_metrics
from harness.metrics.base import TaskMetric
from harness.metrics.label_accuracy import LabelAccuracy
from harness.metrics.signal_to_noise import PeakSignalNoiseRatio
from harness.metrics.structural_similarity import StructuralSimilarity

CPU = torch.device("cpu")
INFOS = {info.name: info for info in harness_metrics()}
CLASSES = {
    "label_accuracy": LabelAccuracy,
    "psnr": PeakSignalNoiseRatio,
    "ssim": StructuralSimilarity,
}


class FirstPixel(FeatureExtractor):
    """A classifier that reads the class off the first pixel, a few images at a time."""

    digest = "0" * 64
    dimensions = 1
    classes = 3
    batch_size = 7

    def forward(self, images):
        first = images.flatten(1)[:, :1].float()
        return Features(first, -(first - torch.arange(3)).abs())


def scorer(data, extractor=None, names=tuple(CLASSES)):
    metrics = {name: (CLASSES[name], INFOS[name]) for name in names}
    return TaskScorer(data, extractor or FirstPixel(data.spec), metrics, CPU)


def painted(labels):
    """Images whose first pixel is their label."""
    x = np.zeros((len(labels), 1, 2, 2), np.uint8)
    x[:, 0, 0, 0] = labels
    return x


def test_accuracy_is_the_share_of_samples_that_show_condition_i():
    data = dataset(60)
    y = data.test.y
    right = torch.from_numpy(painted(y))
    wrong = right.clone()
    wrong[:6, 0, 0, 0] = torch.from_numpy((y[:6] + 1) % 3)
    for n in (30, 17):  # whole batches of seven, and not
        found = scorer(data).score([right[:n], wrong[:n]])["label_accuracy"]
        assert found.sets == pytest.approx((1.0, 1 - 6 / n))
    assert "each from the label of an example of test" in found.protocol
    alone = scorer(data).score([wrong])["label_accuracy"]
    share = 1 - 6 / 30
    assert alone.value == pytest.approx(share)
    assert alone.error == pytest.approx(math.sqrt(share * (1 - share) / 30))


def test_real_examples_are_scored_with_their_own_conditions():
    data = dataset(60)
    data = replace(data, test=replace(data.test, x=painted(data.test.y)))
    scores = SampleScorer(data, Pixels(data.spec), {}, CPU)
    for n in (30, 11):  # all, and some in another order
        metrics, _ = measure_real(data, scores, scorer(data), n)
        assert metrics["label_accuracy"].value == 1
    null, _ = measure_null(data, scores, scorer(data), 30, {"label_accuracy": False})
    assert null["label_accuracy"].value < 0.7


@pytest.mark.parametrize(
    ("data", "extractor", "reasons"),
    [
        (dataset(60), Pixels, {"label_accuracy": "the features have no classes, the data has 3"}),
        (dataset(60), FirstPixel, {"psnr": "the data has no image or video to sample from"}),
    ],
)
def test_what_is_missing_is_said_in_the_row(data, extractor, reasons):
    found = scorer(data, extractor(data.spec)).score([torch.from_numpy(data.test.x)])
    assert set(found) == set(CLASSES)
    for name, reason in reasons.items():
        assert (found[name].value, found[name].reason) == (None, reason)


def test_a_model_that_takes_no_condition_has_the_reason_in_its_row():
    found = scorer(dataset(60)).unasked()
    assert found["label_accuracy"].reason == "the model takes no label"
    assert found["psnr"].reason == "the data has no image or video to sample from"


SIDE = 12
PAIRS = DataSpec(ArraySpec("image", (1, SIDE, SIDE), 256), ArraySpec("image", (1, SIDE, SIDE), 2))


def pairs(spec=PAIRS, **truth):
    random = np.random.default_rng(0)
    x = random.integers(0, 200, (10, 1, SIDE, SIDE)).astype(np.uint8)
    split = Split(x, (x > 100).astype(np.uint8), truth)
    return Dataset("pairs", spec, split, split, split)


def test_signal_to_noise_is_that_of_the_definition():
    data = pairs()
    samples = torch.from_numpy(data.test.x.copy())
    samples[:5] += 2
    samples[5:] += 10
    found = scorer(data, names=("psnr", "ssim")).score([samples])
    expected = np.mean([20 * math.log10(255 / off) for off in [2] * 5 + [10] * 5])
    assert found["psnr"].value == pytest.approx(expected, rel=1e-6)
    assert 0.9 < found["ssim"].value < 1
    shuffled = scorer(data, names=("psnr", "ssim")).score([samples.roll(1, 0)])
    assert shuffled["psnr"].value < 20 and shuffled["ssim"].value < 0.3


def test_samples_that_are_their_pairs_have_no_noise_and_say_so():
    data = pairs()
    found = scorer(data, names=("psnr", "ssim")).score([torch.from_numpy(data.test.x)])
    assert found["psnr"].reason == "it came out inf"
    assert found["ssim"].value == pytest.approx(1, abs=1e-9)


def test_unpaired_data_has_no_pair_to_be_near_to():
    found = scorer(pairs(replace(PAIRS, paired=False)), names=("psnr",)).score(
        [torch.zeros(10, 1, SIDE, SIDE, dtype=torch.uint8)]
    )
    assert found["psnr"].reason == "the data has no true pairs"


class Recalled(TaskMetric):
    """The share of samples whose mean is above the truth called "darkness"."""

    def update(self, batch):
        self.share = (batch.x.flatten(1).double().mean(1) > batch.truth["darkness"]).double().mean()

    def compute(self):
        return self.share


class Broken(Recalled):
    def update(self, batch):
        raise ZeroDivisionError("planted")


def test_truth_reaches_the_metric_that_names_it_and_no_fault_of_one_costs_another():
    info = MetricInfo("m", "", "x:y", conditions=("image",), truth="darkness")
    metrics = {"truth": (Recalled, info), "broken": (Broken, info)}
    samples = torch.full((10, 1, SIDE, SIDE), 50, dtype=torch.uint8)
    data = pairs(darkness=np.arange(10) * 10.0)
    found = TaskScorer(data, Pixels(data.spec), metrics, CPU).score([samples])
    assert found["truth"].value == 0.5
    assert "planted" in found["broken"].reason
    found = TaskScorer(pairs(), Pixels(data.spec), metrics, CPU).score([samples])
    assert found["truth"].reason == "the data set does not tell the darkness"

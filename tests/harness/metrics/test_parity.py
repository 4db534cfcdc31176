"""The same features give the values of torchmetrics, clean-fid and torch-fidelity, to 1e-6.

Where a library draws subsets, it is asked for one of all images.
"""

import cleanfid.fid
import pytest
import torch
from support.gaussians import features, moments_of
from support.real import real, updated
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric
from torchmetrics.image.fid import _compute_fid
from torchmetrics.image.inception import InceptionScore as TheirInceptionScore
from torchmetrics.image.kid import poly_mmd

from harness.features.base import Features
from harness.metrics.frechet import FrechetDistance, frechet_distance
from harness.metrics.inception_score import InceptionScore
from harness.metrics.kernel import KernelDistance
from harness.metrics.neighbours import Neighbours

pytestmark = pytest.mark.filterwarnings("ignore:The `disp` argument:DeprecationWarning")

NUMBERS = (100, 1_000, 10_000)


def sizes(*quick):
    """Every N and d; those that take more than a moment are slow."""
    cells = [(n, d) for d in (64, 256, 2048) for n in NUMBERS]
    return pytest.mark.parametrize(
        ("n", "d"),
        [pytest.param(*c, marks=[] if c in quick else [pytest.mark.slow]) for c in cells],
    )


@sizes((100, 64), (1_000, 64), (10_000, 64), (100, 256), (1_000, 256))
def test_the_frechet_distance(n, d):
    x, y = features(n, d, seed=1, shift=0.1), 1.1 * features(n, d, seed=2)
    a, b = moments_of(x), moments_of(y)
    arrays = [(m.mean.numpy(), m.covariance.numpy()) for m in (a, b)]
    theirs = {
        "torchmetrics": _compute_fid(a.mean, a.covariance, b.mean, b.covariance),
        "clean-fid": cleanfid.fid.frechet_distance(*arrays[0], *arrays[1]),
        "torch-fidelity": fid_statistics_to_metric(
            *map(fid_features_to_statistics, (x, y)), verbose=False
        )["frechet_inception_distance"],
    }
    ours = float(updated(FrechetDistance(real(y)), x, 500).compute()["fid"].value)
    assert ours == pytest.approx(float(frechet_distance(a, b)), rel=1e-6)
    assert {name: float(value) for name, value in theirs.items()} == pytest.approx(
        dict.fromkeys(theirs, ours), rel=1e-6
    )


@sizes((100, 64), (1_000, 64), (100, 256), (1_000, 256))
def test_the_kernel_distance(n, d):
    x, y = features(n, d, seed=1, shift=0.1), features(n, d, seed=2)
    settings = {"kid_subsets": 1, "kid_subset_size": n, "verbose": False}
    theirs = {
        "torchmetrics": poly_mmd(y, x),
        "clean-fid": cleanfid.fid.kernel_distance(x.numpy(), y.numpy(), 1, n),
        "torch-fidelity": kid_features_to_metric(x, y, **settings)[
            "kernel_inception_distance_mean"
        ],
    }
    ours = float(updated(KernelDistance(real(y)), x, 500).compute().value)
    assert {name: float(value) for name, value in theirs.items()} == pytest.approx(
        dict.fromkeys(theirs, ours), rel=1e-6
    )


@sizes((100, 64), (1_000, 64), (100, 256))
def test_precision_and_recall(n, d):
    """torchmetrics and clean-fid have neither."""
    x, y = features(n, d, seed=1, shift=0.02), features(n, d, seed=2)
    theirs = prc_features_to_metric(x, y, prc_neighborhood=5, save_cpu_ram=True, verbose=False)
    ours = updated(Neighbours(real(y)), x, 500).compute()
    for name in ("precision", "recall"):
        assert theirs[name] == pytest.approx(float(ours[name].value), rel=1e-6)


@pytest.mark.parametrize(
    ("n", "classes", "scale"),
    [*((n, 10, scale) for n in NUMBERS for scale in (0.1, 3.0, 10.0)), (1_000, 1008, 3.0)],
)
def test_the_inception_score(n, classes, scale):
    """clean-fid has none."""
    generator = torch.Generator().manual_seed(0)
    logits = scale * torch.randn(n, classes, dtype=torch.float64, generator=generator)
    metric = InceptionScore(real(features(10, 2)))
    metric.update(Features(logits, logits))
    torchmetrics = TheirInceptionScore(feature=torch.nn.Identity(), splits=1)
    torchmetrics.features, torchmetrics._update_count = [logits], 1
    fidelity = isc_features_to_metric(logits, splits=1)["inception_score_mean"]
    ours = float(metric.compute())
    assert [float(torchmetrics.compute()[0]), fidelity] == pytest.approx([ours, ours], rel=1e-6)

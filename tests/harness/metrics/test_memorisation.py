import numpy as np
import pytest
import torch
from support.gaussians import features
from support.real import real, updated
from torch.testing import assert_close
from torchmetrics.image.mifid import _mifid_compute

from harness.metrics.frechet import frechet_distance
from harness.metrics.memorisation import (
    Nearest,
    authenticity,
    nearest,
    ratios,
    suspicious_share,
)
from harness.metrics.mifid import MemorisationInformedDistance, memorisation_distance
from harness.metrics.moments import moments
from harness.metrics.neighbours import Neighbours

TRAIN, TEST = features(1000, 8, seed=1), features(500, 8, seed=2)


def copying(share, n=500, noise=0.0, seed=3):
    """Samples of which a share are training images, the others new."""
    copies = int(share * n)
    chosen = torch.randperm(len(TRAIN), generator=torch.Generator().manual_seed(seed))[:copies]
    copied = TRAIN[chosen] + noise * features(copies, 8, seed=seed + 1)
    return torch.cat([copied, features(n - copies, 8, seed=seed + 2)])


def measured(x, train=TRAIN, test=TEST):
    return updated(Neighbours(real(train, test)), x).compute()


def test_nearest_and_ratios_equal_the_formula():
    x = features(50, 8, seed=5)
    found = nearest(x, TRAIN, TRAIN.mean(0))
    across = torch.cdist(x, TRAIN)
    assert_close(found.squared, across.min(1).values.square())
    assert torch.equal(found.which, across.argmin(1))
    within = torch.cdist(TRAIN, TRAIN).fill_diagonal_(torch.inf).min(1).values.square()
    expected = [
        float(across[i, t] / within[t].sqrt()) for i, t in enumerate(across.argmin(1).tolist())
    ]
    assert_close(ratios(found, within), torch.tensor(expected).double(), rtol=1e-6, atol=0)
    authentic = sum(ratio > 1 for ratio in expected) / 50
    assert float(authenticity(found, within)) == pytest.approx(100 * authentic)


def test_the_twin_of_twins_is_no_copy():
    zero = torch.zeros(1, dtype=torch.float64)
    assert float(ratios(Nearest(zero, torch.tensor([0])), zero)) == 1


@pytest.mark.parametrize("share", [0.05, 0.1, 0.5, 1.0])
def test_copies_are_flagged(share):
    figure = measured(copying(share))["memorisation"]
    assert "copies its training data" in figure.warning
    assert float(figure.value) == pytest.approx(share + (1 - share) * 0.01, abs=0.01)


@pytest.mark.parametrize("twins", [0.02, 0.1, 0.5])
def test_copies_are_flagged_though_some_held_out_images_are_copies_too(twins):
    """The limit is then a distance of 0, but for rounding."""
    test = torch.cat([TRAIN[: int(twins * 500)], TEST[int(twins * 500) :]])
    train, test, x = (vectors + 100 for vectors in (TRAIN, test, TRAIN[-500:]))
    figure = measured(x, train, test)["memorisation"]
    assert float(figure.value) == 1
    assert "copies its training data" in figure.warning
    honest = torch.cat([TRAIN[-int(twins * 500) :], features(500 - int(twins * 500), 8, seed=9)])
    assert not measured(honest + 100, train, test)["memorisation"].warning


def test_copies_cannot_be_detected_where_held_out_images_are_all_copies():
    found = measured(features(500, 8, seed=9), test=TRAIN[:500])["memorisation"]
    assert "100% of 500 unseen real images lie as near" in found


def test_blurred_copies_are_flagged():
    assert measured(copying(0.5, noise=0.1))["memorisation"].warning


def test_more_copies_mean_lower_scores():
    found = [measured(copying(share)) for share in (0, 0.1, 0.3, 0.6, 1)]
    for name, sign in {"memorisation": 1, "c_t": -1, "auth_pct": -1}.items():
        series = [sign * float(figures[name].value) for figures in found]
        assert series == sorted(series)
    assert abs(float(found[0]["c_t"].value)) < 3
    assert float(found[-1]["c_t"].value) < -8
    assert float(found[-1]["auth_pct"].value) == 0


def test_honest_models_are_not_flagged():
    generator = torch.Generator().manual_seed(0)
    for _ in range(300):
        images = torch.rand(1000, dtype=torch.float64, generator=generator)
        assert not suspicious_share(images[:500], images[500:]).warning


def test_samples_from_the_middle_of_the_mode_are_not_flagged():
    """They lie nearer to training images than real ones do, for these lie close together there."""
    found = measured(0.7 * features(500, 8, seed=7))
    assert float(found["c_t"].value) < -3
    assert not found["memorisation"].warning


def mifid(x, train=TRAIN, test=TEST):
    return updated(MemorisationInformedDistance(real(train, test)), x).compute()


def cosine_distance(x, y):
    x, y = (a.numpy() / np.linalg.norm(a.numpy(), axis=1, keepdims=True) for a in (x, y))
    return (1 - abs(x @ y.T)).min(axis=1).mean()


def test_mifid_equals_the_paper_and_looks_from_samples_to_training_images():
    x = TRAIN[:100] * 1.01 + 0.02
    s = cosine_distance(x, TRAIN)
    assert float(memorisation_distance(x, TRAIN)) == pytest.approx(s, rel=1e-9)
    assert s < cosine_distance(TEST, TRAIN) / 2
    to_train, to_test = (float(frechet_distance(moments([x]), moments([y]))) for y in (TRAIN, TEST))
    found = mifid(x)
    assert float(found["mifid"].value) == pytest.approx(to_train / (s + 1e-6), rel=1e-9)
    assert float(found["mifid_test"].value) == pytest.approx(to_test / (s + 1e-6), rel=1e-9)


def test_mifid_of_an_honest_model_is_its_fid():
    x = features(500, 8, seed=9)
    for column, split in {"mifid": TRAIN, "mifid_test": TEST}.items():
        fid = float(frechet_distance(moments([x]), moments([split])))
        assert float(mifid(x)[column].value) == pytest.approx(fid, rel=1e-9)


@pytest.mark.parametrize("column", ["mifid", "mifid_test"])
def test_an_exact_copy_of_training_images_scores_worst(column):
    """Worse than an honest model, a half copy, one that is far off, and one that collapsed."""
    others = [
        features(500, 8, seed=9),
        copying(0.5),
        3 + features(500, 8, seed=9),
        features(1, 8, seed=10).repeat(500, 1),
    ]
    worst = float(mifid(copying(1.0))[column].value)
    assert worst > 10 * max(float(mifid(x)[column].value) for x in others)


def test_a_copy_of_the_whole_training_set_does_not_score_best():
    """Its FID to train is 0, which the paper's product cannot raise."""
    found = mifid(TRAIN)
    assert (
        found["mifid"] == "the samples are the whole training set, whose FID, 0, no penalty raises"
    )
    honest = mifid(features(1000, 8, seed=9))["mifid_test"].value
    assert float(found["mifid_test"].value) > 1000 * float(honest)


def theirs(x, y=TRAIN):
    a, b = moments([y]), moments([x])
    return float(_mifid_compute(a.mean, a.covariance, y, b.mean, b.covariance, x))


def test_torchmetrics_overlooks_copies_and_ours_does_not():
    """Its minimum is over samples, so that copies of a few images look honest."""
    honest, few, whole = features(500, 8, seed=9), TRAIN[:20].repeat(25, 1), TRAIN
    assert theirs(whole) == 0 <= theirs(honest)
    reach = float(memorisation_distance(TRAIN, few)), float(memorisation_distance(few, TRAIN))
    assert reach[0] > 0.01 > 1e-9 > reach[1]
    assert mifid(few)["mifid"].value > 1000 * mifid(honest)["mifid"].value


def gap(x):
    return float(mifid(x)["fid_gap"].value)


def test_the_gap_of_copies_is_below_that_of_honest_models():
    honest = [gap(features(1000, 8, seed=seed)) for seed in range(20, 26)]
    assert gap(TRAIN) < min(honest)
    x = features(100, 8, seed=9)
    to_train, to_test = (frechet_distance(moments([x]), moments([y])) for y in (TRAIN, TEST))
    assert gap(x) == pytest.approx(float(to_train - to_test), rel=1e-9)


def test_without_held_out_images_mifid_says_so():
    metric = updated(MemorisationInformedDistance(real(TRAIN)), TEST)
    with pytest.raises(ValueError, match="there are none"):
        metric.compute()


def test_vectors_without_direction_are_far_from_all():
    zeros = torch.zeros(3, 8, dtype=torch.float64)
    assert float(memorisation_distance(zeros, TRAIN)) == 1

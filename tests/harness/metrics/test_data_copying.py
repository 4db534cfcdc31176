import numpy as np
import pytest
import scipy.stats
import torch
from support.gaussians import features
from support.real import real, updated

from harness.metrics.data_copying import cells, data_copying, mann_whitney, number_of_cells
from harness.metrics.memorisation import Nearest, nearest
from harness.metrics.neighbours import Neighbours


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("levels", [4, 10**6])
def test_the_rank_test_equals_scipy(seed, levels):
    random = np.random.default_rng(seed)
    a, b = random.integers(0, levels, 80), random.integers(0, levels, 110) + levels // 8
    theirs = scipy.stats.mannwhitneyu(a, b, use_continuity=False, method="asymptotic")
    z = scipy.stats.norm.isf(theirs.pvalue / 2) * np.sign(theirs.statistic - 80 * 110 / 2)
    ours = mann_whitney(torch.from_numpy(a).double(), torch.from_numpy(b).double())
    assert float(ours) == pytest.approx(z, rel=1e-9)


def test_the_rank_test_of_equal_values_is_zero():
    assert float(mann_whitney(torch.ones(5), torch.ones(7))) == 0


def two_modes(n, tight, seed):
    """A tight mode, with this share of n images, and a wide one far from it."""
    few = round(tight * n)
    wide = 50 + 10 * features(n - few, 8, seed=seed + 1)
    return torch.cat([features(few, 8, seed=seed), wide])


TRAIN, TEST = two_modes(2000, 0.5, seed=1), two_modes(1000, 0.5, seed=3)


def c_t(x, train=TRAIN, test=TEST):
    return updated(Neighbours(real(train, test)), x).compute()["c_t"]


def in_one_cell(x):
    samples, held_out = (nearest(each, TRAIN, TRAIN.mean(0)) for each in (x, TEST))
    one = torch.zeros(len(TRAIN), dtype=torch.long)
    return float(data_copying(samples, held_out, one).value)


def test_more_samples_where_the_data_are_dense_are_no_copies():
    """All samples are honest, but 4 of 5 are of the tight mode: one test of all convicts them."""
    x = two_modes(1000, 0.8, seed=5)
    assert in_one_cell(x) < -5
    assert abs(float(c_t(x).value)) < 1.5


def test_copies_in_one_mode_show_in_its_cells():
    honest = two_modes(1000, 0.5, seed=5)
    half = torch.cat([TRAIN[:500], honest[500:]])
    assert abs(float(c_t(honest).value)) < 1
    assert float(c_t(half).value) < -3
    assert float(c_t(TRAIN[::2]).value) < -8


def test_is_the_mean_of_the_cells_scores_weighted_by_held_out_images():
    a, b, c = (
        torch.rand(n, generator=torch.Generator().manual_seed(n)).double() for n in (30, 50, 9)
    )
    d, e = a[:10].repeat(4), torch.linspace(0, 0.9, 25).double()
    cell = torch.tensor([0, 1, 2])
    samples = Nearest(torch.cat([a, b, c]), torch.tensor([0] * 30 + [1] * 50 + [2] * 9))
    held_out = Nearest(torch.cat([d, e, c]), torch.tensor([0] * 40 + [1] * 25 + [2] * 9))
    found = float(data_copying(samples, held_out, cell).value)
    expected = 40 / 65 * mann_whitney(a, d) + 25 / 65 * mann_whitney(b, e)
    assert found == pytest.approx(float(expected), rel=1e-12)


def test_cells_are_the_modes_and_the_same_every_time():
    found = cells(TRAIN, 2)
    assert found[:1000].unique().numel() == found[1000:].unique().numel() == 1
    assert found[0] != found[-1]
    assert torch.equal(cells(TRAIN, 10), cells(TRAIN, 10))


def test_there_are_as_many_cells_as_held_out_images_fill():
    assert [number_of_cells(n) for n in (1, 99, 100, 269, 10_000)] == [1, 1, 2, 5, 10]


def test_too_few_images_have_no_value():
    assert "none has as many" in c_t(features(19, 8, seed=5))
    assert "none has as many" in c_t(features(500, 8, seed=5), test=TEST[:19])

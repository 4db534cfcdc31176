import numpy as np
import pytest
import torch
from support.gaussians import features
from support.real import real, updated
from torch.testing import assert_close

from harness.metrics import tiles as tiling
from harness.metrics.base import NonFiniteFeatures
from harness.metrics.neighbours import Neighbours, smallest_distances


@pytest.fixture(params=[(512, 1024), (16, 24)])
def tile_size(request, monkeypatch):
    monkeypatch.setattr(tiling, "ROWS", request.param[0])
    monkeypatch.setattr(tiling, "COLUMNS", request.param[1])


def neighbours(x, y, held_out=None):
    return updated(Neighbours(real(y, held_out)), x).compute()


def values(x, y):
    found = neighbours(x, y)
    return {
        name: float(found[name].value) for name in ("precision", "recall", "density", "coverage")
    }


def dense(x, y, k=5):
    """Precision, recall, density and coverage from whole matrices of distances, in numpy."""
    x, y = x.double().numpy(), y.double().numpy()

    def distances(a, b):
        return np.sqrt(((a[:, None] - b) ** 2).sum(-1))

    # Column 0 of the sorted distances is the image itself.
    real_radii = np.sort(distances(y, y), axis=1)[:, k]
    fake_radii = np.sort(distances(x, x), axis=1)[:, k]
    across = distances(y, x)
    inside = across <= real_radii[:, None]
    return {
        "precision": inside.any(0).mean(),
        "recall": (across <= fake_radii).any(1).mean(),
        "density": inside.sum() / (k * len(x)),
        "coverage": (across.min(1) <= real_radii).mean(),
    }


@pytest.mark.parametrize(("n", "m"), [(100, 100), (60, 170), (170, 60)])
def test_equals_the_formulas_on_whole_matrices(tile_size, n, m):
    x, y = features(n, 8, seed=1, shift=0.2), features(m, 8, seed=2)
    assert values(x, y) == pytest.approx(dense(x, y), rel=1e-12)


def test_points_on_the_sphere_are_inside(tile_size):
    """On a lattice most distances are ties, which rounding must not break."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 3, (120, 4), generator=generator).double()
    y = torch.randint(0, 3, (90, 4), generator=generator).double() + torch.tensor([1.0, 0, 0, 0])
    assert values(x + 0.1, y + 0.1) == pytest.approx(dense(x, y), rel=1e-12)


def test_smallest_distances_leave_out_the_image_itself_and_not_its_twin(tile_size):
    x = torch.cat([features(40, 3, seed=1), features(1, 3, seed=2).repeat(2, 1)])
    whole = torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist").square()
    whole.fill_diagonal_(torch.inf)
    found = smallest_distances(x, x.mean(0), 3)
    assert_close(found, whole.sort(dim=1).values[:, :3], rtol=1e-9, atol=1e-12)
    assert float(found[-1, 0]) == pytest.approx(0, abs=1e-12)


def test_the_real_data_itself_is_precise_and_covered():
    y = features(400, 8, seed=2)
    found = values(y, y)
    # Density is (k + 1) / k: each ball also holds its own centre.
    assert found == pytest.approx({"precision": 1, "recall": 1, "density": 1.2, "coverage": 1})


def test_a_generator_elsewhere_has_nothing():
    x, y = features(100, 8, seed=1, shift=100), features(100, 8, seed=2)
    assert set(values(x, y).values()) == {0.0}


def test_one_mode_of_two_is_precise_and_covers_half():
    left, right = features(300, 8, seed=1), features(300, 8, seed=2, shift=20)
    found = values(features(300, 8, seed=3), torch.cat([left, right]))
    assert found["precision"] > 0.9
    assert found["recall"] <= 0.5
    assert found["coverage"] <= 0.5


def test_a_generator_that_collapsed_to_one_image_has_values():
    y = features(100, 8, seed=2)
    found = neighbours(y[:1].repeat(50, 1), y, held_out=features(50, 8, seed=3))
    assert float(found["precision"].value) == 1
    assert float(found["recall"].value) == pytest.approx(0.01)
    assert "copies its training data" in found["memorisation"].warning


def test_constant_real_features_have_values():
    found = neighbours(features(20, 4), torch.ones(30, 4), held_out=torch.ones(200, 4))
    assert "100% of 200 unseen" in found.pop("memorisation")
    assert all(np.isfinite(float(figure.value)) for figure in found.values())


def test_what_has_no_value_says_why():
    y = features(50, 4)
    with pytest.raises(ValueError, match="at least 6 images, there are 5"):
        neighbours(y[:5], y)
    with pytest.raises(ValueError, match="at least 2 images, there is 1"):
        neighbours(y[:1], y)
    with pytest.raises(NonFiniteFeatures, match="50 of 50"):
        neighbours(y / 0, y)
    found = neighbours(y, y)
    assert "there are none" in found["memorisation"]
    assert "there are none" in found["c_t"]


def test_the_protocol_names_k_and_the_sets():
    protocol = Neighbours(real(features(50, 4), features(120, 4))).protocol
    held_out = "120 of test held out, C_T in 2 cells of k-means, seed 0"
    assert protocol == f"k = 5 against 50 of train, {held_out}"
    assert Neighbours(real(features(50, 4))).protocol == "k = 5 against 50 of train"

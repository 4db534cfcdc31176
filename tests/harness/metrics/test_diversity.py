import copy
import math

import pytest
import torch
from support.gaussians import features
from support.real import real, updated
from torch.testing import assert_close

from harness.features.base import Features
from harness.metrics.base import NonFiniteFeatures
from harness.metrics.diversity import LabelDiversity, VendiScore


def logits(labels, classes=4):
    return torch.nn.functional.one_hot(torch.as_tensor(labels), classes).float() * 9


def measured(found, wanted):
    y = logits(wanted)
    metric = LabelDiversity(real(features(len(wanted), 3), logits=y))
    x = logits(found)
    for batch in x.split(3):
        metric.update(Features(batch, batch))
    return metric.compute()


def labels(found, wanted):
    return {name: float(figure.value) for name, figure in measured(found, wanted).items()}


def test_equal_shares_have_all_modes_and_no_divergence():
    found = labels([0, 1, 2, 3] * 5, [0, 1, 2, 3] * 9)
    assert found == {"modes": 4, "label_kl": 0}


def test_a_collapsed_generator_has_one_mode_and_the_logarithm_of_the_classes():
    found = labels([2] * 10, [0, 1, 2, 3] * 9)
    assert found["modes"] == 1
    assert found["label_kl"] == pytest.approx(math.log(4))


def test_the_divergence_runs_from_samples_to_real_images():
    found = labels([0, 0, 0, 1], [0, 1, 1, 1])
    assert found["label_kl"] == pytest.approx(0.75 * math.log(3) - 0.25 * math.log(3))
    assert labels([0, 0], [0, 1])["label_kl"] == pytest.approx(math.log(2))


def test_classes_that_no_real_image_has_leave_no_divergence_and_say_so():
    found = measured([0, 1, 1], [0, 0])
    assert float(found["modes"].value) == 2
    assert "2 of 3 samples are of classes that no image of train" in found["label_kl"]


def test_labels_without_a_value_say_why():
    metric = LabelDiversity(real(features(10, 3), logits=logits([0] * 10)))
    assert "logits" in LabelDiversity.supports(0)
    with pytest.raises(ValueError, match="at least 1 image"):
        metric.compute()
    with pytest.raises(NonFiniteFeatures):
        metric.update(Features(features(2, 3), torch.full((2, 4), torch.nan)))
    with pytest.raises(ValueError, match="logits"):
        metric.update(Features(features(2, 3), None))


def vendi(x, y):
    return updated(VendiScore(real(y)), x).compute()


def test_vendi_equals_the_spectrum_of_the_whole_similarity_matrix():
    x, y = features(60, 8, seed=1), features(90, 8, seed=2)
    directions = torch.nn.functional.normalize(x - y.mean(0), dim=1)
    spectrum = torch.linalg.eigvalsh(directions @ directions.T / 60).clamp(min=1e-300)
    assert_close(vendi(x, y), (-spectrum * spectrum.log()).sum().exp(), rtol=1e-9, atol=0)


def test_vendi_counts_orthogonal_images_and_takes_twins_for_one():
    centred = torch.cat([torch.eye(6), -torch.eye(6)]).double()
    for count in (1, 2, 5):
        x = torch.eye(6).double()[:count].repeat(4, 1)
        assert float(vendi(x, centred)) == pytest.approx(count)


def test_vendi_merges_and_refuses_what_has_no_direction():
    x, y = features(60, 8, seed=1), features(90, 8, seed=2)
    here, there = (updated(VendiScore(real(y)), part) for part in x.split(35))
    here.merge_state(copy.deepcopy(there))
    assert_close(here.compute(), vendi(x, y), rtol=1e-9, atol=0)
    still = real(torch.ones(5, 8))
    with pytest.raises(ValueError, match="3 of 3 feature vectors are the reference's mean"):
        updated(VendiScore(still), torch.ones(3, 8)).compute()
    with pytest.raises(ValueError, match="at least 1 image"):
        VendiScore(still).compute()
    with pytest.raises(NonFiniteFeatures):
        vendi(x / 0, y)

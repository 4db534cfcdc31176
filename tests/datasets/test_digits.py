from dataclasses import replace

import numpy as np
import pytest

from harness.contract import DataSpec
from harness.dataset import Split
from harness_datasets import digits

FINGERPRINT = "11fe2329eaf1894e3b0b5c7a55c0e0e683755c5df5177dec306bab72773219cb"


@pytest.fixture(scope="module")
def dataset():
    return digits.load()


def test_the_split_is_the_same_on_every_machine(dataset):
    assert dataset.fingerprint == FINGERPRINT


def test_specification(dataset):
    assert (dataset.spec.shape, dataset.spec.levels, dataset.spec.classes) == ((1, 8, 8), 17, 10)
    for split in dataset.splits.values():
        assert split.x.dtype == np.uint8 and split.y.dtype == np.int64
        assert split.x.shape[1:] == (1, 8, 8)
    assert max(split.x.max() for split in dataset.splits.values()) == 16
    assert [len(split) for split in dataset.splits.values()] == [1078, 180, 539]


def test_splits_are_disjoint(dataset):
    parts = [{image.tobytes() for image in split.x} for split in dataset.splits.values()]
    assert len(set.union(*parts)) == sum(map(len, parts)) == 1797


def test_splits_are_stratified(dataset):
    whole = sum(np.bincount(split.y) for split in dataset.splits.values())
    for split, fraction in zip(dataset.splits.values(), digits.FRACTIONS, strict=True):
        assert np.abs(np.bincount(split.y) - fraction * whole).max() <= 1


@pytest.mark.parametrize("name", ["train", "validation", "test"])
def test_one_pixel_or_label_changes_the_fingerprint(dataset, name):
    split = dataset.splits[name]
    images, labels = split.x.copy(), split.y.copy()
    images[-1, 0, -1, -1] ^= 1
    labels[-1] = (labels[-1] + 1) % 10
    changed = [
        replace(dataset, **{name: Split(images, split.y)}).fingerprint,
        replace(dataset, **{name: Split(split.x, labels)}).fingerprint,
        replace(dataset, **{name: Split(split.x)}).fingerprint,
        replace(dataset, spec=DataSpec.images((1, 8, 8), levels=18, classes=10)).fingerprint,
    ]
    assert len({FINGERPRINT, *changed}) == 5

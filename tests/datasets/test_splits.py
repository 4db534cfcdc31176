import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.dataset import Split
from harness_datasets.splits import split_by_content


def images_of(values):
    return np.array(values, dtype=np.uint8).reshape(-1, 1, 1, 1)


@given(
    pixels=st.lists(st.integers(0, 255), min_size=1, max_size=200),
    classes=st.integers(1, 5),
    seed=st.integers(0, 99),
)
def test_copies_share_a_split_and_none_is_lost(pixels, classes, seed):
    images = images_of(pixels)
    labels = np.random.default_rng(seed).integers(classes, size=len(images))
    splits = split_by_content(Split(images, labels), (0.6, 0.1, 0.3))

    parts = [set(split.x.ravel().tolist()) for split in splits]
    assert sum(map(len, parts)) == len(set().union(*parts)) == len(set(pixels))
    together = [
        pair
        for split in splits
        for pair in zip(split.x.ravel().tolist(), split.y.tolist(), strict=True)
    ]
    assert sorted(together) == sorted(zip(pixels, labels.tolist(), strict=True))


def test_each_class_is_divided_by_the_fractions():
    images = images_of(range(250))
    sizes = np.array([150, 50, 30, 20])
    fractions = (0.6, 0.1, 0.3)
    labels = np.repeat(np.arange(4, dtype=np.int64), sizes)
    for split, fraction in zip(
        split_by_content(Split(images, labels), fractions), fractions, strict=True
    ):
        np.testing.assert_array_equal(np.bincount(split.y), fraction * sizes)


def test_many_small_classes_fill_every_split():
    images = images_of(range(200))
    labels = np.repeat(np.arange(50, dtype=np.int64), 4)
    sizes = [len(split) for split in split_by_content(Split(images, labels), (0.8, 0.1, 0.1))]
    assert sizes == [160, 20, 20]


@pytest.mark.parametrize("labelled", [False, True])
def test_order_does_not_matter(labelled):
    images = images_of(range(100))
    labels = np.arange(100, dtype=np.int64) % 3 if labelled else None
    order = np.random.default_rng(0).permutation(100)
    splits = split_by_content(Split(images, labels), (0.8, 0.1, 0.1))
    shuffled = split_by_content(
        Split(images[order], None if labels is None else labels[order]), (0.8, 0.1, 0.1)
    )
    for one, other in zip(splits, shuffled, strict=True):
        assert set(one.x.ravel()) == set(other.x.ravel())

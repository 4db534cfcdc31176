"""Handwritten digits that ship with scikit-learn, so that no download is needed.

Alpaydin and Kaynak (1998), Optical Recognition of Handwritten Digits, UCI Machine Learning
Repository, doi:10.24432/C50P49: the 1,797 images of its test set.
"""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits

from harness.contract import DataSpec
from harness.dataset import Dataset, Split
from harness_datasets.splits import assemble, split_by_content

FRACTIONS = (0.6, 0.1, 0.3)


def load() -> Dataset:
    """Load 1,797 images 1x8x8 of ten classes.

    A pixel counts the dark points in a 4x4 block of the scan: 17 levels, not 256.
    """
    digits = load_digits()
    images = digits.images.astype(np.uint8)[:, np.newaxis]
    splits = split_by_content(Split(images, digits.target.astype(np.int64)), FRACTIONS)
    return assemble("digits", DataSpec.images((1, 8, 8), levels=17, classes=10), splits)

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from harness.contract import DataSpec
from harness.dataset import Dataset, Split
from harness.features.base import FeatureExtractor, Features
from harness.features.pixels import Pixels
from harness.measurement.extraction import extract
from harness.measurement.references import cache_path, dataset_reference, split_content

SPEC = DataSpec.images((1, 4, 4), levels=8)


class Counting(Pixels):
    """Pixels that count how many images they have seen."""

    def __init__(self, spec):
        super().__init__(spec)
        self.seen = 0

    def forward(self, images):
        self.seen += len(images)
        return super().forward(images)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GENHARNESS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def split(n, seed):
    images = np.random.default_rng(seed).integers(0, 8, (n, 1, 4, 4)).astype(np.uint8)
    return Split(images)


@pytest.fixture
def dataset():
    return Dataset("noise", SPEC, split(1200, 0), split(10, 1), split(300, 2))


def path_of(dataset, split, extractor):
    return cache_path(split_content(dataset, split), extractor)


def expected(part):
    x = torch.from_numpy(part.x).double().flatten(1) / 7
    return x.mean(0), torch.cov(x.T)


@pytest.mark.parametrize("name", ["train", "test"])
def test_moments_are_those_of_the_features_of_the_split(dataset, name):
    found = dataset_reference(dataset, name, Pixels(SPEC)).moments
    mean, covariance = expected(dataset.splits[name])
    assert found.n == len(dataset.splits[name])
    assert_close(found.mean, mean, rtol=1e-6, atol=0)
    assert_close(found.covariance, covariance, rtol=1e-5, atol=1e-8)
    assert found.mean.dtype == found.covariance.dtype == torch.float64


def test_the_second_time_they_are_read(dataset):
    extractor = Counting(SPEC)
    first = dataset_reference(dataset, "train", extractor).moments
    second = dataset_reference(dataset, "train", extractor).moments
    assert extractor.seen == 1200
    assert first.n == second.n
    assert torch.equal(first.mean, second.mean)
    assert torch.equal(first.covariance, second.covariance)


def test_the_key_is_the_content(dataset):
    other_images = replace(dataset, test=split(300, 3))
    renamed = replace(dataset, name="other")
    other_ruler = Pixels(SPEC)
    other_ruler.digest = hashlib.sha256(b"other").hexdigest()
    path = path_of(dataset, "train", Pixels(SPEC))
    assert path != path_of(dataset, "test", Pixels(SPEC))
    assert path != path_of(other_images, "train", Pixels(SPEC))
    assert path != path_of(dataset, "train", other_ruler)
    assert path == path_of(renamed, "train", Pixels(SPEC))


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty"])
def test_a_damaged_file_is_recreated(dataset, damage):
    whole = dataset_reference(dataset, "train", Pixels(SPEC)).moments
    path = path_of(dataset, "train", Pixels(SPEC))
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes({"flip": content, "truncate": content[:-9], "empty": b""}[damage])
    extractor = Counting(SPEC)
    again = dataset_reference(dataset, "train", extractor).moments
    assert extractor.seen == 1200
    assert torch.equal(again.covariance, whole.covariance)
    assert torch.equal(dataset_reference(dataset, "train", extractor).moments.mean, whole.mean)
    assert extractor.seen == 1200


@pytest.mark.parametrize("what", ["moments", "features", "predicted classes 1"])
def test_a_whole_file_under_anothers_name_is_recreated(dataset, what):
    """Its hash is right, but it is of other images."""
    train, test = (dataset_reference(dataset, name, Pixels(SPEC)) for name in ("train", "test"))
    if what != "moments":
        for reference in (train, test):
            reference.derived(what, lambda own=reference: {"vectors": own.moments.mean[None]})
    here, there = (
        cache_path(split_content(dataset, name), Pixels(SPEC), what) for name in ("train", "test")
    )
    there.write_bytes(here.read_bytes())
    again = dataset_reference(dataset, "test", Pixels(SPEC))
    if what == "moments":
        assert again.moments.n == 300
    found = (
        again.derived(what, lambda: {"vectors": test.moments.mean[None]})
        if (what != "moments")
        else {"vectors": again.moments.mean[None]}
    )
    assert torch.equal(found["vectors"][0], test.moments.mean)


def test_features_in_memory_that_the_extractor_uses_again_are_kept():
    class Reusing(Pixels):
        def forward(self, images):
            vectors = super().forward(images).vectors
            if not hasattr(self, "own"):
                self.own = torch.zeros_like(vectors)
            self.own[: len(vectors)] = vectors
            return Features(self.own[: len(vectors)], None)

    images = split(25, 0).x
    found, right = (
        torch.cat([f.vectors for f in list(extract(extractor, images, batch_size=10))])
        for extractor in (Reusing(SPEC), Pixels(SPEC))
    )
    assert torch.equal(found, right)


def test_concurrent_writers_leave_one_whole_file(dataset, cache):
    with ThreadPoolExecutor(8) as pool:
        found = list(
            pool.map(lambda _: dataset_reference(dataset, "train", Pixels(SPEC)).moments, range(16))
        )
    assert all(torch.equal(one.covariance, found[0].covariance) for one in found)
    assert [path.suffix for path in (cache / "features").iterdir()] == [".moments"]


def test_a_cache_that_cannot_be_written_costs_only_time(dataset, cache):
    cache.write_text("a file where a folder should be")
    with pytest.warns(UserWarning, match="GENHARNESS_CACHE can name another folder"):
        found = dataset_reference(dataset, "train", Pixels(SPEC)).moments
    assert found.n == 1200


class Noting(FeatureExtractor):
    """Notes under which conditions it is called."""

    dimensions = 1
    digest = ""

    def __init__(self, spec):
        super().__init__(spec)
        self.dropout = torch.nn.Dropout(0.5)
        self.notes = []

    def forward(self, images):
        self.notes.append((len(images), self.dropout.training, torch.is_inference_mode_enabled()))
        return Features(images.flatten(1)[:, :1].float(), None)


@pytest.mark.parametrize("convert", [np.asarray, torch.as_tensor])
def test_extraction_is_in_order_in_eval_mode_without_gradients(convert):
    images = split(25, 0).x
    extractor = Noting(SPEC).train()
    found = torch.cat([f.vectors for f in extract(extractor, convert(images), batch_size=10)])
    assert extractor.notes == [(10, False, True), (10, False, True), (5, False, True)]
    assert found[:, 0].tolist() == images[:, 0, 0, 0].tolist()


def test_inference_mode_does_not_leak_between_batches():
    for _ in extract(Pixels(SPEC), split(20, 0).x, batch_size=10):
        assert not torch.is_inference_mode_enabled()


@pytest.mark.parametrize(
    ("images", "reason"),
    [
        (np.zeros((2, 1, 4, 4), np.float32), "uint8"),
        (np.zeros((2, 1, 5, 5), np.uint8), r"\(2, 1, 5, 5\), not \(N, 1, 4, 4\)"),
        (np.full((2, 1, 4, 4), 8, np.uint8), "value 8, but only 8 levels"),
    ],
)
def test_other_images_are_refused(images, reason):
    with pytest.raises(ValueError, match=reason):
        list(extract(Pixels(SPEC), images))

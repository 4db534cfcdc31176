import gzip
import hashlib
import os
import struct
from pathlib import Path

import numpy as np
import pytest
from torchvision import datasets

from harness_datasets import files, mnist
from harness_datasets.errors import DatasetError

RAW = "FashionMNIST/raw"


def idx(array):
    return struct.pack(f">HBB{array.ndim}i", 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.fixture(scope="module")
def published():
    """Small files in place of the published ones: the content of each by name."""
    rng = np.random.default_rng(0)
    n, m = mnist.VALIDATION + 20, 30
    return {
        "train-images-idx3-ubyte": idx(rng.integers(256, size=(n, 4, 3), dtype=np.uint8)),
        "train-labels-idx1-ubyte": idx(rng.integers(10, size=n, dtype=np.uint8)),
        "t10k-images-idx3-ubyte": idx(rng.integers(256, size=(m, 4, 3), dtype=np.uint8)),
        "t10k-labels-idx1-ubyte": idx(rng.integers(10, size=m, dtype=np.uint8)),
    }


@pytest.fixture
def mirror(cache, served, monkeypatch, published):
    """A folder that the small files are downloaded from, and no other network."""
    folder, address = served
    resources = []
    for name, content in published.items():
        packed = gzip.compress(content, mtime=0)
        (folder / f"{name}.gz").write_bytes(packed)
        resources.append((f"{name}.gz", hashlib.md5(packed).hexdigest()))
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in published.items()}
    monkeypatch.setattr(mnist, "FASHION_MNIST", digests)
    monkeypatch.setattr(datasets.FashionMNIST, "resources", resources)
    monkeypatch.setattr(datasets.FashionMNIST, "mirrors", [address])
    return folder


@pytest.fixture
def offline(mirror, monkeypatch):
    monkeypatch.setattr(datasets.FashionMNIST, "mirrors", ["file:///no/such/mirror/"])


def place(root, published, packed):
    folder = root / RAW
    folder.mkdir(parents=True)
    for name, content in published.items():
        if packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content, compresslevel=1))
        else:
            (folder / name).write_bytes(content)


def check(dataset, published):
    images = np.frombuffer(published["train-images-idx3-ubyte"][16:], np.uint8).reshape(-1, 1, 4, 3)
    labels = np.frombuffer(published["train-labels-idx1-ubyte"][8:], np.uint8)
    assert np.array_equal(dataset.train.x, images[:20])
    assert np.array_equal(dataset.train.y, labels[:20])
    assert np.array_equal(dataset.validation.x, images[20:])
    assert np.array_equal(dataset.validation.y, labels[20:])
    assert dataset.test.x.tobytes() == published["t10k-images-idx3-ubyte"][16:]
    assert dataset.train.x.flags.writeable
    assert dataset.spec.shape == (1, 4, 3)
    assert (dataset.spec.levels, dataset.spec.classes) == (256, 10)


def test_files_are_downloaded_into_the_cache_once(cache, mirror, published):
    check(mnist.load_fashion_mnist(), published)
    assert [path.name for path in cache.iterdir()] == ["FashionMNIST"]
    for path in mirror.iterdir():
        path.unlink()
    check(mnist.load_fashion_mnist(), published)


@pytest.mark.parametrize("packed", [True, False])
def test_files_of_the_user_are_read_and_nothing_is_written(
    cache, offline, published, tmp_path, monkeypatch, packed
):
    own = tmp_path / "own"
    place(own, published, packed)
    before = sorted(own.rglob("*"))
    monkeypatch.setenv(files.VARIABLE, str(own))
    check(mnist.load_fashion_mnist(), published)
    assert sorted(own.rglob("*")) == before
    assert not cache.exists()


def test_what_the_user_lacks_is_taken_from_the_cache(
    cache, offline, published, tmp_path, monkeypatch
):
    own = tmp_path / "own"
    place(own, published, packed=True)
    place(cache, published, packed=False)
    (own / RAW / "t10k-labels-idx1-ubyte.gz").unlink()
    monkeypatch.setenv(files.VARIABLE, str(own))
    check(mnist.load_fashion_mnist(), published)


def test_without_files_or_network_the_places_are_named(
    cache, offline, published, tmp_path, monkeypatch
):
    own = tmp_path / "own"
    place(own, published, packed=True)
    (own / RAW / "t10k-labels-idx1-ubyte.gz").unlink()
    monkeypatch.setenv(files.VARIABLE, str(own))
    with pytest.raises(DatasetError) as caught:
        mnist.load_fashion_mnist()
    message = str(caught.value)
    assert message.startswith("fashion-mnist: its files are not on this machine and could not be")
    assert f"Looked in:\n  {own}\n  {cache}\n" in message
    assert f"Missing:\n  {RAW}/t10k-labels-idx1-ubyte.gz\nPut" in message
    assert f"in {cache} or in a folder that the environment variable GENHARNESS_DATA" in message
    assert not list(cache.iterdir())


def test_a_download_of_something_else_is_refused(cache, mirror):
    (mirror / "t10k-labels-idx1-ubyte.gz").write_bytes(b"a page that asks for a login")
    with pytest.raises(DatasetError, match="could not be downloaded .*corrupted"):
        mnist.load_fashion_mnist()
    assert not list(cache.iterdir())


@pytest.mark.parametrize("damage", ["truncated", "text", "flipped"])
def test_a_corrupt_file_is_named(cache, offline, published, damage):
    place(cache, published, packed=True)
    path = cache / RAW / "train-images-idx3-ubyte.gz"
    content = bytearray(published["train-images-idx3-ubyte"])
    content[1000] ^= 1
    damaged = {
        "truncated": path.read_bytes()[:5000],
        "text": b"text",
        "flipped": gzip.compress(bytes(content), compresslevel=1),
    }
    path.write_bytes(damaged[damage])
    with pytest.raises(DatasetError, match="train-images-idx3-ubyte.gz (cannot be|is not the pub)"):
        mnist.load_fashion_mnist()


def real_data():
    here = Path(os.environ.get(files.VARIABLE, Path(__file__).parents[3] / "shared" / "data"))
    if not (here / "FashionMNIST" / "raw").is_dir():
        pytest.skip("Fashion-MNIST is neither in $GENHARNESS_DATA nor in ../shared/data")
    return here


def test_the_published_files(cache, monkeypatch):
    monkeypatch.setenv(files.VARIABLE, str(real_data()))
    dataset = mnist.load_fashion_mnist()
    assert [len(split) for split in dataset.splits.values()] == [55_000, 5_000, 10_000]
    assert np.bincount(dataset.test.y).tolist() == [1_000] * 10
    assert np.abs(np.bincount(dataset.validation.y) - 500).max() < 100
    # Mean grey value of the published train file over 255, as many tutorials normalise by.
    total = sum(split.x.sum() for split in (dataset.train, dataset.validation))
    assert total / (60_000 * 784 * 255) == pytest.approx(0.2860, abs=5e-5)
    assert dataset.fingerprint == "518374b35565da0b1795bcfbd95f36f1a9269527aabd3a6a3a747545cc68f6c3"

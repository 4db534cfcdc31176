import hashlib
import pickle
import tarfile

import numpy as np
import pytest
from torchvision.datasets import CIFAR10

from harness_datasets import cifar, files
from harness_datasets.errors import DatasetError

FOLDER = CIFAR10.base_folder


def md5(path):
    return hashlib.md5(path.read_bytes()).hexdigest()


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(256, size=(36, 3, 32, 32), dtype=np.uint8)


@pytest.fixture
def mirror(cache, served, monkeypatch, images):
    """A small archive in place of the published one, to be downloaded."""
    root, address = served
    folder = root / FOLDER
    folder.mkdir()
    names = [name for name, _ in CIFAR10.train_list + CIFAR10.test_list]
    for index, name in enumerate(names):
        part = slice(6 * index, 6 * index + 6)
        entry = {"data": images[part].reshape(6, -1), "labels": list(range(index, index + 6))}
        (folder / name).write_bytes(pickle.dumps(entry, protocol=2))
    meta = {"label_names": [str(label) for label in range(10)]}
    (folder / "batches.meta").write_bytes(pickle.dumps(meta, protocol=2))
    archive = root / CIFAR10.filename
    with tarfile.open(archive, "w:gz") as file:
        file.add(folder, FOLDER)

    monkeypatch.setattr(cifar, "VALIDATION", 10)
    monkeypatch.setattr(CIFAR10, "url", address + CIFAR10.filename)
    monkeypatch.setattr(CIFAR10, "tgz_md5", md5(archive))
    monkeypatch.setattr(CIFAR10, "train_list", [[name, md5(folder / name)] for name in names[:5]])
    monkeypatch.setattr(CIFAR10, "test_list", [[names[5], md5(folder / names[5])]])
    monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": md5(folder / "batches.meta")})
    return root


def check(dataset, images):
    assert np.array_equal(dataset.train.x, images[:20])
    assert np.array_equal(dataset.validation.x, images[20:30])
    assert np.array_equal(dataset.test.x, images[30:])
    assert dataset.train.y.tolist() == [i + j for i in range(5) for j in range(6)][:20]
    assert dataset.test.y.tolist() == list(range(5, 11))
    assert (dataset.spec.shape, dataset.spec.levels, dataset.spec.classes) == ((3, 32, 32), 256, 10)


def test_the_archive_is_downloaded_into_the_cache_once(cache, mirror, images):
    check(cifar.load(), images)
    (mirror / CIFAR10.filename).unlink()
    check(cifar.load(), images)
    assert not list(cache.glob(".partial-*"))


def test_an_archive_of_the_user_is_unpacked_into_the_cache(cache, mirror, images, monkeypatch):
    for path in (mirror / FOLDER).iterdir():
        path.unlink()
    monkeypatch.setattr(CIFAR10, "url", "file:///no/such/archive")
    monkeypatch.setenv(files.VARIABLE, str(mirror))
    check(cifar.load(), images)
    assert not list((mirror / FOLDER).iterdir())
    assert (cache / FOLDER / "test_batch").is_file()


def test_an_unpacked_folder_of_the_user_is_read(cache, mirror, images, monkeypatch):
    (mirror / CIFAR10.filename).unlink()
    monkeypatch.setenv(files.VARIABLE, str(mirror))
    check(cifar.load(), images)
    assert not cache.exists()


def test_without_files_or_network_the_places_are_named(cache, mirror):
    (mirror / CIFAR10.filename).unlink()
    with pytest.raises(DatasetError) as caught:
        cifar.load()
    assert f"Looked in:\n  {cache}\nMissing:\n  cifar-10-python.tar.gz\n" in str(caught.value)


@pytest.mark.parametrize("victim", [f"{FOLDER}/data_batch_3", f"{FOLDER}/batches.meta"])
def test_a_changed_file_is_named_and_never_unpickled(cache, mirror, monkeypatch, victim):
    monkeypatch.setenv(files.VARIABLE, str(mirror))
    (mirror / victim).write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    with pytest.raises(DatasetError, match=f"{victim} is not the published file"):
        cifar.load()


def test_a_changed_archive_is_named(cache, mirror, monkeypatch):
    for path in (mirror / FOLDER).iterdir():
        path.unlink()
    with (mirror / CIFAR10.filename).open("ab") as file:
        file.write(b"0")
    monkeypatch.setenv(files.VARIABLE, str(mirror))
    with pytest.raises(DatasetError, match="cifar-10-python.tar.gz is not the published archive"):
        cifar.load()

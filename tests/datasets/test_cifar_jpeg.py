import hashlib
import io

import numpy as np
import pytest
from PIL import Image

from harness_datasets import cifar_jpeg, files
from harness_datasets.errors import DatasetError


def jpeg(image):
    buffer = io.BytesIO()
    Image.fromarray(image.transpose(1, 2, 0)).save(buffer, "JPEG", quality=75)
    return buffer.getvalue()


def packed(kind, images, labels):
    parts = [jpeg(image) for image in images]
    return {
        f"{kind}_bytes": np.frombuffer(b"".join(parts), np.uint8),
        f"{kind}_offsets": np.cumsum([0, *map(len, parts)]),
        f"{kind}_labels": np.array(labels, dtype=np.uint8),
    }


@pytest.fixture
def images():
    """Of one colour each, which JPEG keeps to within its rounding."""
    colours = np.random.default_rng(0).integers(256, size=(16, 3, 1, 1), dtype=np.uint8)
    return np.broadcast_to(colours, (16, 3, 32, 32))


@pytest.fixture
def placed(cache, tmp_path, monkeypatch, images):
    """A small file in place of the real one, in the user's folder."""
    path = tmp_path / "own" / cifar_jpeg.FILE
    path.parent.mkdir(parents=True)
    labels = np.arange(16) % 10
    train, test = (
        packed("train", images[:12], labels[:12]),
        packed("test", images[12:], labels[12:]),
    )
    np.savez_compressed(path, **train, **test)
    monkeypatch.setattr(cifar_jpeg, "SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    monkeypatch.setattr(cifar_jpeg, "VALIDATION", 4)
    monkeypatch.setenv(files.VARIABLE, str(tmp_path / "own"))
    return path


def test_images_and_labels_are_in_order(placed, images):
    dataset = cifar_jpeg.load()
    splits = (dataset.train, dataset.validation, dataset.test)
    assert [len(split) for split in splits] == [8, 4, 4]
    found = np.concatenate([split.x for split in splits]).astype(int)
    assert found.shape == (16, 3, 32, 32)
    assert np.abs(found - images).max() <= 4
    assert np.concatenate([split.y for split in splits]).tolist() == [*range(10), *range(6)]
    assert (dataset.spec.shape, dataset.spec.levels, dataset.spec.classes) == ((3, 32, 32), 256, 10)
    assert dataset.name == "cifar10-jpeg"


def test_a_missing_file_is_named(cache, tmp_path, monkeypatch):
    monkeypatch.setenv(files.VARIABLE, str(tmp_path / "own"))
    with pytest.raises(DatasetError) as caught:
        cifar_jpeg.load()
    message = str(caught.value)
    assert (
        f"Looked for:\n  {tmp_path / 'own' / cifar_jpeg.FILE}\n  {cache / cifar_jpeg.FILE}"
        in message
    )
    assert "GENHARNESS_DATA" in message and "cifar10" in message


def test_another_file_is_named(placed):
    with placed.open("ab") as file:
        file.write(b"0")
    with pytest.raises(DatasetError, match="cifar10_jpeg_bytes.npz is another file: its SHA-256"):
        cifar_jpeg.load()


def test_its_file_is_looked_for(cache, placed, monkeypatch):
    assert cifar_jpeg.files().missing == ()
    monkeypatch.delenv(files.VARIABLE)
    found = cifar_jpeg.files()
    assert found.missing == (cifar_jpeg.FILE,) and not found.downloadable

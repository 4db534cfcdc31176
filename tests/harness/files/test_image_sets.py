"""Images in files: the same however they are kept, with no more than a batch in memory."""

import tracemalloc

import numpy as np
import pytest
import torch
from PIL import Image

from harness.errors import UserError
from harness.files.image_folders import find_images
from harness.files.image_sets import Statistics, open_images, open_source
from harness.files.images import read_images

N, BATCH = 60, 8


def pictures(n=N, shape=(6, 5), seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, *shape)).astype(np.uint8)


def png(folder, images):
    folder.mkdir(exist_ok=True)
    for index, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{index:04}.png")
    return folder


def kept(path, images, kind):
    """Write images (N, H, W) or (N, H, W, 3) in one of the ways that are read."""
    if kind == "folder":
        return png(path / "images", images)
    if kind == "npy":
        np.save(path / "a.npy", images)
    elif kind == "columns":
        np.save(path / "a.npy", np.asfortranarray(images))
    elif kind == "packed":
        np.savez_compressed(path / "a.npz", labels=np.arange(len(images)), images=images)
    elif kind == "channels":
        np.savez(path / "a.npz", images=images[:, None] if images.ndim == 3 else images)
    else:
        np.savez(path / "a.npz", images)
    return next(path.glob("a.np*"))


KINDS = ["folder", "npy", "columns", "packed", "channels", "npz"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(6, 5), (6, 5, 3)], ids=["grey", "rgb"])
def test_batches_hold_all_images_in_order(tmp_path, kind, shape):
    images = pictures(shape=shape)
    found = open_images(str(kept(tmp_path, images, kind)))
    expected = images[:, None] if len(shape) == 2 else np.moveaxis(images, -1, 1)
    batches = [torch.stack(tuple(batch)) for batch in found.batches(BATCH)]
    assert [len(batch) for batch in batches] == [8] * 7 + [4]
    assert np.array_equal(torch.cat(batches), expected)
    assert (len(found), found.shape) == (N, expected.shape[1:])
    # They can be read again, and are known by what they are.
    assert len(list(found.batches(N))) == 1
    fingerprint = found.fingerprint
    changed = images.copy()
    changed[-1, 0, 0] ^= 1
    assert open_images(str(kept(tmp_path, changed, kind))).fingerprint != fingerprint


@pytest.mark.parametrize("kind", ["folder", "npy", "packed", "channels"])
def test_memory_does_not_grow_with_the_number_of_images(tmp_path, kind):
    images = pictures(200, (64, 64, 3))
    if kind == "channels":
        images = np.moveaxis(images, -1, 1)
    found = open_images(str(kept(tmp_path, images, kind if kind != "channels" else "npz")))
    batch = BATCH * images[0].nbytes
    tracemalloc.start()
    try:
        assert found.fingerprint and sum(len(batch) for batch in found.batches(BATCH)) == 200
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # A batch, one being made of it, and 1 MiB of zlib and Pillow; the images are 25 batches.
    assert peak < 3 * batch + 2**20 + 2**18 < images.nbytes


def test_files_are_found_in_the_order_of_their_paths(tmp_path):
    """Splits and fingerprints of folders depend on it."""
    names = ["a/x.png", "a-b/x.png", "a b/1.JPG", "Z.tif", "b.jpeg", "c/d/e.webp"]
    for name in [*names, ".h/x.png", "a/.x.png", "x.txt"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    expected = sorted(tmp_path / name for name in names)
    assert list(find_images("x", tmp_path).paths) == expected != sorted(expected, key=str)


def test_images_of_a_folder_are_decoded_into_one_array(tmp_path):
    images = pictures(100, (64, 64, 3))
    paths = sorted(png(tmp_path / "images", images).iterdir())
    tracemalloc.start()
    try:
        found = read_images("x", paths)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert np.array_equal(found, np.moveaxis(images, -1, 1))
    assert peak < 1.5 * images.nbytes


def test_images_of_several_sizes_come_in_order_unless_that_is_refused(tmp_path):
    mixed = [pictures(1, shape)[0] for shape in [(6, 5), (7, 5, 3), (6, 5), (9, 9)]]
    found = open_images(str(png(tmp_path / "images", mixed)))
    [batch] = found.batches(BATCH)
    assert [tuple(image.shape) for image in batch] == [(1, 6, 5), (3, 7, 5), (1, 6, 5), (1, 9, 9)]
    assert np.array_equal(batch[1], np.moveaxis(mixed[1], -1, 0))
    with pytest.raises(UserError, match="0001.png is 7x5 RGB, but .*0000.png is 6x5 grey"):
        list(found.of_one_shape().batches(1))


def test_the_array_among_several_is_the_one_that_is_customary(tmp_path):
    """Reference files of Dhariwal and Nichol (2021) hold images beside moments of features."""
    images = pictures(20, (6, 5, 3))
    moments = {"mu": np.zeros(8), "sigma": np.eye(8), "mu_s": np.zeros(4), "sigma_s": np.eye(4)}
    path = str(tmp_path / "a.npz")
    for arrays in (
        {"arr_0": images},
        {"pictures": images},
        {"x": images, "y": images[:3]},
        {"images": images, "arr_0": images[:3]},
    ):
        np.savez(path, **arrays, **moments)
        assert len(open_images(path)) == 20
    np.savez(path, **moments)
    found = open_source(path)
    assert isinstance(found, Statistics) and found.covariance.shape == (8, 8)
    with pytest.raises(UserError, match="mu and sigma, but no images; such a file can be the ref"):
        open_images(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sigma": np.eye(3)}, r"the shapes \(4,\) and \(3, 3\); needs floats of shapes \(d,\)"),
        ({"mu": np.zeros(4, int)}, "needs floats"),
        ({"mu": np.full(4, np.nan)}, "mu or sigma holds NaN or infinity"),
    ],
)
def test_moments_that_are_none_are_refused(tmp_path, change, message):
    np.savez(tmp_path / "a.npz", **{"mu": np.zeros(4), "sigma": np.eye(4)} | change)
    with pytest.raises(UserError, match=message):
        open_source(str(tmp_path / "a.npz"))


def test_a_damaged_byte_is_found_before_the_last_batch(tmp_path):
    np.savez(tmp_path / "a.npz", images=pictures(2000))
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[40_000] ^= 1
    (tmp_path / "a.npz").write_bytes(content)
    found = open_images(str(tmp_path / "a.npz"))
    with pytest.raises(UserError, match="is not a valid .npz file: Bad CRC-32"):
        list(found.batches(BATCH))
    with pytest.raises(UserError, match="is not a valid .npz file: Bad CRC-32"):
        assert found.fingerprint

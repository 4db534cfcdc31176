import io

import numpy as np
import pytest

from harness.contract import ArraySpec, DataSpec
from harness.errors import UserError
from harness_datasets.npz import load

GREY = np.random.default_rng(0).integers(256, size=(60, 5, 4), dtype=np.uint8)
RGB = np.random.default_rng(1).integers(256, size=(60, 3, 5, 4), dtype=np.uint8)


@pytest.fixture
def save(tmp_path):
    def write(**arrays):
        path = tmp_path / "images.npz"
        np.savez(path, **arrays)
        return str(path)

    return write


def gathered(dataset):
    return {image.tobytes() for split in dataset.splits.values() for image in split.x}


def test_three_layouts_give_channels_first(save):
    assert gathered(load(save(images=GREY))) == {image.tobytes() for image in GREY}
    first = load(save(images=RGB))
    last = load(save(images=RGB.transpose(0, 2, 3, 1)))
    assert first.spec.shape == last.spec.shape == (3, 5, 4)
    assert gathered(first) == {image.tobytes() for image in RGB}
    assert [s.x.tobytes() for s in first.splits.values()] == [
        s.x.tobytes() for s in last.splits.values()
    ]


def test_labels_stay_with_their_images(save):
    labels = np.arange(60, dtype=np.int32) % 4
    dataset = load(save(images=GREY, labels=labels))
    pairs = {image.tobytes(): label for image, label in zip(GREY, labels, strict=True)}
    assert dataset.spec.classes == 4
    assert [len(split) for split in dataset.splits.values()] == [48, 6, 6]
    for split in dataset.splits.values():
        for image, label in zip(split.x, split.y, strict=True):
            assert pairs[image.tobytes()] == label


def test_given_splits_are_kept(save):
    dataset = load(
        save(train_images=GREY[:40], validation_images=GREY[40:50], test_images=GREY[50:])
    )
    for split, expected in zip(
        dataset.splits.values(), (GREY[:40], GREY[40:50], GREY[50:]), strict=True
    ):
        assert np.array_equal(split.x[:, 0], expected)


def test_validation_comes_from_the_train_split_alone(save):
    dataset = load(save(train_images=GREY[:50], test_images=GREY[50:]))
    assert [len(split) for split in dataset.splits.values()] == [45, 5, 10]
    assert np.array_equal(dataset.test.x[:, 0], GREY[50:])


def test_levels(save):
    assert load(save(images=GREY % 17, levels=17)).spec.levels == 17
    with pytest.raises(UserError, match="levels is 17; .* largest pixel, 17"):
        load(save(images=GREY % 18, levels=17))


TEXTS = np.random.default_rng(2).integers(3, size=(60, 7), dtype=np.uint8)
VIDEOS = np.random.default_rng(3).integers(256, size=(60, 2, 1, 4, 4), dtype=np.uint8)
SOUNDS = np.random.default_rng(4).integers(256, size=(60, 1, 16), dtype=np.uint8)


def test_texts_have_an_alphabet_and_stay_with_their_truth(save):
    truth = TEXTS.sum(axis=1)
    dataset = load(save(texts=TEXTS, levels=3, alphabet="ab ", truth_sum=truth))
    assert dataset.spec == DataSpec(ArraySpec("text", (7,), 3, "ab "))
    for split in dataset.splits.values():
        assert np.array_equal(split.truth["sum"], split.x.sum(axis=1))


def test_videos_from_sounds_have_rates_and_given_splits(save):
    dataset = load(
        save(
            train_videos=VIDEOS[:50],
            test_videos=VIDEOS[50:],
            train_given_sounds=SOUNDS[:50],
            test_given_sounds=SOUNDS[50:],
            rate=12.5,
            given_rate=8000,
        )
    )
    assert dataset.spec.x == ArraySpec("video", (2, 1, 4, 4), 256, rate=12.5)
    assert dataset.spec.y == ArraySpec("audio", (1, 16), 256, rate=8000)
    assert np.array_equal(dataset.test.y, SOUNDS[50:])
    pairs = {x.tobytes(): y.tobytes() for x, y in zip(VIDEOS, SOUNDS, strict=True)}
    for split in dataset.splits.values():
        assert all(pairs[x.tobytes()] == y.tobytes() for x, y in zip(split.x, split.y, strict=True))


def test_images_given_images_of_other_levels(save):
    edges = (GREY > 100).astype(np.uint8)
    dataset = load(save(images=GREY, given_images=edges, given_levels=2))
    assert dataset.spec.y == ArraySpec("image", (1, 5, 4), 2)
    assert np.array_equal(dataset.train.y, dataset.train.x > 100)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": GREY / 255}, "images is float64 .* needs uint8"),
        ({"images": GREY[0]}, r"images is uint8 \(5, 4\); needs"),
        ({"images": RGB[:, :, :, :3]}, r"\(60, 3, 5, 3\); needs .* only C is 1 or 3"),
        ({"images": GREY, "labels": np.zeros(59, int)}, r"labels is int64 \(59,\); .*\(60,\)"),
        ({"images": GREY, "labels": np.full(60, -1)}, "labels is .* integers from 0"),
        ({"images": GREY, "labels": np.zeros(60)}, "labels is float64"),
        ({"images": GREY, "labels": np.array([None] * 60)}, "not a valid .npz file: Object arrays"),
        ({"images": GREY[:2]}, "2 images are too few .* no distinct image is left for the"),
        ({"pictures": GREY}, "unknown arrays pictures; known are images, videos, sounds, "),
        ({"labels": np.zeros(60, int)}, "holds labels without images"),
        ({"train_images": GREY}, "holds train_images; needs images, or train_images and test_im"),
        ({"train_images": GREY, "test_images": RGB}, "splits differ"),
        (
            {"train_images": GREY, "test_images": GREY, "test_labels": np.zeros(60, int)},
            "splits differ: .* all have labels or none",
        ),
        ({}, "holds nothing; needs images"),
        ({"texts": TEXTS.astype(int)}, r"texts is int64 \(60, 7\); needs uint8 \(N, L\)"),
        (
            {"videos": VIDEOS[:, 0]},
            r"videos is uint8 \(60, 1, 4, 4\); needs uint8 \(N, T, C, H, W\)",
        ),
        ({"texts": TEXTS, "images": GREY}, "holds both images and texts"),
        ({"texts": TEXTS, "alphabet": "ab"}, "alphabet is <U2 .* each of the 256 levels"),
        ({"images": GREY, "alphabet": "ab"}, "needs one string .* of texts"),
        ({"sounds": SOUNDS, "rate": -1}, "rate is int64 .* number above 0"),
        ({"images": GREY, "given_texts": TEXTS[:9]}, r"given_texts has .* for each of 60 images"),
        ({"images": GREY, "truth_t": TEXTS[:9]}, r"t has the shape .* for each of 60 images"),
        (
            {"images": GREY, "given_texts": TEXTS, "labels": TEXTS[:, 0]},
            "holds both labels and giv",
        ),
    ],
)
def test_a_wrong_array_is_named(save, arrays, message):
    with pytest.raises(UserError, match=message):
        load(save(**arrays))


def test_a_missing_file_is_named():
    with pytest.raises(UserError, match="there is no file 'nowhere.npz'"):
        load("nowhere.npz")
    with pytest.raises(UserError, match="write npz:PATH"):
        load("")


@pytest.mark.parametrize("damage", ["text", "truncated", "flipped", "empty", "npy"])
def test_a_damaged_file_is_named(tmp_path, damage):
    buffer = io.BytesIO()
    np.savez_compressed(buffer, images=GREY)
    content = bytearray(buffer.getvalue())
    content[len(content) // 2] ^= 0xFF
    npy = io.BytesIO()
    np.save(npy, GREY)
    damaged = {
        "text": b"not an archive",
        "truncated": buffer.getvalue()[:-200],
        "flipped": bytes(content),
        "empty": b"",
        "npy": npy.getvalue(),
    }
    path = tmp_path / "bad.npz"
    path.write_bytes(damaged[damage])
    with pytest.raises(UserError, match="bad.npz is not a valid .npz file"):
        load(str(path))

import numpy as np
import pytest
from PIL import Image

from harness.errors import UserError
from harness_datasets.image_folder import load

GREY = np.random.default_rng(0).integers(256, size=(40, 6, 5), dtype=np.uint8)
RGB = np.random.default_rng(1).integers(256, size=(40, 6, 5, 3), dtype=np.uint8)


def write(folder, images, suffix="png", start=0):
    folder.mkdir(parents=True, exist_ok=True)
    for index, image in enumerate(images, start):
        Image.fromarray(image).save(folder / f"{index:03}.{suffix}")


def contents(split):
    return {image.tobytes() for image in split.x}


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff", "PNG"])
def test_grey_images(tmp_path, suffix):
    write(tmp_path, GREY, suffix)
    dataset = load(str(tmp_path))
    assert (dataset.spec.shape, dataset.spec.levels, dataset.spec.classes) == ((1, 6, 5), 256, 0)
    assert [len(split) for split in dataset.splits.values()] == [32, 4, 4]
    assert set.union(*map(contents, dataset.splits.values())) == {i.tobytes() for i in GREY}


def test_colour_images_have_their_channels_first(tmp_path):
    write(tmp_path, RGB)
    dataset = load(str(tmp_path))
    assert dataset.spec.shape == (3, 6, 5)
    expected = {image.transpose(2, 0, 1).tobytes() for image in RGB}
    assert set.union(*map(contents, dataset.splits.values())) == expected


def test_jpeg_is_read(tmp_path):
    write(tmp_path, np.tile(np.arange(40, dtype=np.uint8)[:, None, None] * 6, (1, 8, 8)), "jpg")
    dataset = load(str(tmp_path))
    greys = {int(image.mean().round()) for s in dataset.splits.values() for image in s.x}
    assert len(greys) == 40


def test_subfolders_are_classes(tmp_path):
    write(tmp_path / "cat", GREY[:20])
    write(tmp_path / "ant", GREY[20:])
    (tmp_path / "readme.txt").write_text("not an image")
    dataset = load(str(tmp_path))
    assert dataset.spec.classes == 2
    ants = {image.tobytes() for image in GREY[20:]}
    for split in dataset.splits.values():
        for image, label in zip(split.x, split.y, strict=True):
            assert label == (0 if image.tobytes() in ants else 1)


def test_names_do_not_matter(tmp_path):
    write(tmp_path / "one", GREY)
    write(tmp_path / "other", GREY[::-1])
    one, other = load(str(tmp_path / "one")), load(str(tmp_path / "other"))
    for name in one.splits:
        assert contents(one.splits[name]) == contents(other.splits[name])


def test_a_palette_is_looked_up(tmp_path):
    for index in range(20):
        image = Image.fromarray(np.full((4, 4), index % 2, np.uint8), mode="L").convert("P")
        image.putpalette([10, 20, 30, 40, 50, index])
        image.save(tmp_path / f"{index}.png")
    images = np.concatenate([split.x for split in load(str(tmp_path)).splits.values()])
    assert {(10, 20, 30)} < {tuple(image[:, 0, 0].tolist()) for image in images}


@pytest.mark.parametrize("damage", [b"", b"nonsense", None])
def test_a_corrupt_file_is_named(tmp_path, damage):
    write(tmp_path, RGB)
    victim = tmp_path / "007.png"
    victim.write_bytes(victim.read_bytes()[:60] if damage is None else damage)
    with pytest.raises(UserError, match="007.png cannot be decoded"):
        load(str(tmp_path))


@pytest.mark.parametrize(
    ("odd", "message"),
    [
        (np.zeros((6, 6), np.uint8), "040.png is 6x6 grey, but .*000.png is 6x5 grey"),
        (np.zeros((6, 5, 3), np.uint8), "040.png is 6x5 RGB, but .*000.png is 6x5 grey"),
        (np.zeros((6, 5, 4), np.uint8), "040.png has mode RGBA with transparency"),
        (np.zeros((6, 5), np.uint16), "040.png has mode I;16; only grey and RGB with 8 bits"),
    ],
)
def test_an_odd_image_is_named(tmp_path, odd, message):
    write(tmp_path, GREY)
    write(tmp_path, [odd], start=40)
    with pytest.raises(UserError, match=message):
        load(str(tmp_path))


def test_a_missing_or_empty_folder_is_named(tmp_path):
    for argument, message in (
        ("", "write image-folder:PATH"),
        (str(tmp_path / "nowhere"), "there is no folder '.*nowhere'"),
        (str(tmp_path), "no image in .*; looked for .jpg"),
    ):
        with pytest.raises(UserError, match=message):
            load(argument)


def test_a_wrong_layout_is_explained(tmp_path):
    write(tmp_path / "deep" / "class", GREY[:1])
    with pytest.raises(UserError, match="deep/class/000.png is nested too deep"):
        load(str(tmp_path))
    write(tmp_path / "mixed" / "ant", GREY[:1])
    write(tmp_path / "mixed", GREY[1:2])
    with pytest.raises(UserError, match="is in the folder itself, .*ant/000.png in a subf"):
        load(str(tmp_path / "mixed"))
    write(tmp_path / "splits" / "train", GREY)
    write(tmp_path / "splits" / "test", GREY)
    with pytest.raises(UserError, match="test, train look like splits, not classes"):
        load(str(tmp_path / "splits"))


def test_too_few_images_are_refused(tmp_path):
    write(tmp_path, GREY[:3])
    with pytest.raises(UserError, match="3 images are too few .* for the"):
        load(str(tmp_path))

"""Which files of a folder are images; nothing that may be one is left out without a word."""

import io

import numpy as np
import pytest
from PIL import Image
from support.bad_images import interlaced_png, link, picture, pipe, raw, together
from support.unprivileged import bound_by_modes

from harness.errors import UserError
from harness.evaluate.samples import evaluate_images
from harness.files.image_folders import find_images
from harness.files.images import decode, read_images
from harness.plugins.registry import registry
from harness_datasets.image_folder import load

CLASSES = ("ant", "bee", "cat", "dog")


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("GENHARNESS_CACHE", str(tmp_path_factory.mktemp("cache")))


def names(folder):
    """Return the names that are found, and the remarks."""
    paths, remarks = find_images("x", folder)
    return [str(path.relative_to(folder)) for path in paths], list(remarks)


def classes(folder, n=20):
    """Write a folder of ``n`` images per class."""
    generator = np.random.default_rng(0)
    for name in CLASSES:
        (folder / name).mkdir(parents=True)
        for index in range(n):
            image = Image.fromarray(generator.integers(0, 256, (4, 4)).astype(np.uint8))
            image.save(folder / name / f"{index}.png")
    return folder


def warnings_of(samples, reference):
    evaluated = evaluate_images(str(samples), str(reference), registry(), metrics=["fid"])
    return evaluated.metrics["fid"].value, list(evaluated.warnings)


@pytest.mark.parametrize("linked", [CLASSES[1:3], CLASSES], ids=["some", "all"])
def test_linked_class_folders_are_read_like_others(tmp_path, linked):
    plain = classes(tmp_path / "plain")
    folder = tmp_path / "linked"
    folder.mkdir()
    for name in CLASSES:
        if name in linked:
            (folder / name).symlink_to(plain / name)
        else:
            classes(tmp_path / f"again-{name}")
            (tmp_path / f"again-{name}" / name).rename(folder / name)
    found, expected = load(str(folder)), load(str(plain))
    assert (found.spec.classes, found.fingerprint) == (4, expected.fingerprint)
    assert sum(map(len, found.splits.values())) == 80
    fid, warnings = warnings_of(folder, plain)
    assert fid == pytest.approx(0, abs=1e-9) and not warnings


def test_links_that_lead_to_what_is_read_already_or_above_are_left_out_by_name(tmp_path):
    root = tmp_path / "images"
    together(
        picture("images/ant/a.png"),
        picture("elsewhere/bee/b.png"),
        link("images/again", "ant"),
        link("images/ant/self", "."),
        link("images/bee", "../elsewhere/bee"),
        link("images/bees", "../elsewhere/bee"),
        link("elsewhere/bee/around", "../../images/ant"),
        link("images/up", "../.."),
        link("images/linked.png", "../elsewhere/bee/b.png"),
    )(tmp_path)
    found, [remark] = names(root)
    assert found == ["ant/a.png", "bee/b.png", "linked.png"]
    assert "4 links to folders that were already read (again, ant/self, bee/around, ...)" in remark
    assert "1 link to a folder above (up)" in remark


def test_what_may_not_be_read_is_an_error_that_names_it(tmp_path):
    folder = classes(tmp_path / "images", 2)
    locked = folder / "bee"
    locked.chmod(0)
    with bound_by_modes():
        for read in (lambda: load(str(folder)), lambda: warnings_of(folder, "digits")):
            with pytest.raises(
                UserError, match=f"{locked} cannot be read: Permission denied; make"
            ):
                read()
        with pytest.raises(UserError, match=f"{locked}/0.png cannot be read: Permission denied"):
            warnings_of(locked / "0.png", "digits")
        locked.chmod(0o700)
        (locked / "0.png").chmod(0)
        with pytest.raises(UserError, match="bee/0.png cannot be .*: .*Permission denied"):
            read_images("x", find_images("x", folder).paths)
        # Of others nobody knows what they hold.
        raw("images/notes", b"x")(tmp_path)
        (folder / "notes").chmod(0)
        assert "1 file that cannot be read (notes)" in names(folder)[1][0]
        np.savez(tmp_path / "a.npz", images=np.zeros((2, 8, 8), np.uint8))
        (tmp_path / "a.npz").chmod(0)
        for read in (lambda: load_npz(tmp_path), lambda: warnings_of(tmp_path / "a.npz", "digits")):
            with pytest.raises(UserError, match="a.npz cannot be read: Permission denied; make it"):
                read()


def load_npz(folder):
    from harness_datasets.npz import load

    return load(str(folder / "a.npz"))


def test_all_that_is_left_out_is_counted_with_examples(tmp_path):
    together(
        picture("a.png"),
        *(picture(f"{index}.gif") for index in range(5)),
        picture("._a.png"),
        picture("__MACOSX/._a.png"),
        picture(".cache/a.png"),
        raw("Thumbs.db", b"\xd0\xcf\x11\xe0"),
        raw("labels.csv", b"P5 is a label"),
        raw("empty/.gitkeep", b""),
        raw("photo.heic", b"\0\0\0\x18ftypheic"),
        raw("b", b"\xff\x4f\xff\x51"),
        pipe("fifo"),
    )(tmp_path)
    found, [remark] = names(tmp_path)
    assert found == ["a.png"]
    assert remark == (
        "x: left out: 5 GIF files (0.gif, 1.gif, 2.gif, ...); 1 HEIC file (photo.heic); "
        "1 JPEG 2000 file (b); 2 folders without images (__MACOSX, empty); "
        "2 hidden files (._a.png, __MACOSX/._a.png); 1 hidden folder (.cache); "
        "2 files that are not images (Thumbs.db, labels.csv); 1 pipe, socket or device (fifo)"
    )


def test_images_are_known_by_their_content_where_their_name_does_not_show_it(tmp_path):
    formats = {"PNG": "a", "JPEG": "b.jfif", "TIFF": "c.x", "BMP": "d", "WEBP": "e", "PPM": "f.pnm"}
    for kind, name in formats.items():
        image = Image.new("L" if kind != "WEBP" else "RGB", (8, 8))
        image.save(tmp_path / name, kind)
    picture("G.PNG")(tmp_path)
    found, [remark] = names(tmp_path)
    assert found == ["G.PNG", *sorted(formats.values())]
    assert remark == (
        "x: 6 of 7 images are recognised by their content, not by their suffix (a, b.jfif, c.x, "
        "...)"
    )


def test_files_that_share_their_name_in_two_formats_are_pointed_at(tmp_path):
    together(*(picture(name) for name in ("a/0.png", "a/0.bmp", "a/1.png", "a/1.PNG", "b/0.bmp")))(
        tmp_path
    )
    found, [remark] = names(tmp_path)
    assert len(found) == 5
    assert "2 of 5 images have the name of another in another format (a/0.bmp, a/0.png)" in remark


def saved(folder, images, name, **options):
    folder.mkdir()
    for index, image in enumerate(images):
        image.save(folder / name.format(index), **options)
    return folder


def test_lossy_content_is_warned_of_whatever_the_names_say(tmp_path, caplog):
    """JPEG in files called .png, and the lossy one of WebP's two ways, as in TIFF."""
    generator = np.random.default_rng(0)
    images = [
        Image.fromarray(generator.integers(0, 256, (8, 8, 3)).astype(np.uint8)) for _ in range(30)
    ]
    real = saved(tmp_path / "real", images, "{}.png")
    for name, options, message in (
        ("{}.png", {"format": "JPEG"}, "30 of 30 files are JPEG: lossy compression affects"),
        ("{}.webp", {}, "30 of 30 files are lossy WebP: lossy compression affects"),
        ("{}.webp", {"exif": Image.Exif().tobytes()}, "30 of 30 files are lossy WebP: lossy"),
        ("{}.tif", {"compression": "jpeg"}, "30 of 30 files are JPEG in TIFF: lossy"),
        ("{}.webp", {"lossless": True}, None),
        ("{}.tif", {"compression": "tiff_lzw"}, None),
    ):
        folder = saved(tmp_path / f"{len(list(tmp_path.iterdir()))}", images, name, **options)
        fid, warnings = warnings_of(folder, real)
        warnings = [warning for warning in warnings if "singular" not in warning]
        assert bool(fid > 1e-3) is bool(message)
        assert [warning.startswith(message) for warning in warnings] == ([True] if message else [])
        # Of the real images it is said where their names do not say it, and so of a data set.
        for _ in range(2):  # the second time their features are kept, and no file is decoded
            warnings = warnings_of(real, folder)[1]
            assert any("are lossy" in warning for warning in warnings) is bool(message)
        caplog.clear()
        load(str(folder))
        assert ("are lossy" in caplog.text) is bool(message)
    photographs = saved(tmp_path / "photographs", images, "{}.jpg")
    caplog.clear()
    load(str(photographs))
    assert not caplog.text


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_images_that_viewers_turn_are_pointed_at(tmp_path, suffix):
    exif = Image.Exif()
    exif[274] = 6
    image = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8))
    saved(tmp_path / "images", [image] * 2, f"{{}}.{suffix}", exif=exif)
    _, warnings = warnings_of(tmp_path / "images", tmp_path / "images")
    [turned] = [warning for warning in warnings if "EXIF" in warning]
    assert f"2 files, such as {tmp_path}/images/0.{suffix}, have an EXIF orientation" in turned
    exif[274] = 1
    image.save(tmp_path / f"straight.{suffix}", exif=exif)
    assert not decode("x", tmp_path / f"straight.{suffix}").oddity.turned


def test_one_bit_and_interlaced_images_are_read_as_they_are(tmp_path):
    interlaced_png("a.png", 77)(tmp_path)
    Image.fromarray(np.array([[True, False]])).save(tmp_path / "b.png")
    Image.new("L", (1, 1), 5).save(content := io.BytesIO(), "TIFF", compression="tiff_lzw")
    (tmp_path / "c.tif").write_bytes(content.getvalue())
    pixels = [decode("x", path).pixels.tolist() for path in find_images("x", tmp_path).paths]
    assert pixels == [[[[77]]], [[[255, 0]]], [[[5]]]]

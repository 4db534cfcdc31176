"""Folders, .npz and .npy files of images that are damaged, mistaken or made to do harm."""

import numpy as np
import pytest
from support.bad_images import (
    Trap,
    animation,
    array,
    arrays,
    deep_png,
    link,
    npz_bomb,
    picture,
    pipe,
    png_bomb,
    raw,
    tiff,
    together,
    unix_socket,
    zip_bomb,
    zipped,
)
from support.refusals import Case, assert_refused, cases, text_file

from harness.files.image_folders import find_images

EIGHT = np.zeros((4, 8, 8), np.uint8)


def folder(name, make, *says, remedy):
    """Return the case of a folder called "images"."""
    return Case(name, ("evaluate", "images", "--reference", "digits"), says, remedy, make)


def file(name, make, *says, remedy, suffix=".npz"):
    """Return the case of a file called "images.npz" or "images.npy"."""
    source = f"images{suffix}"
    return Case(name, ("evaluate", source, "--reference", "digits"), (source, *says), remedy, make)


def data(name, make, *says, remedy, source="npz:images.npz"):
    """Return the case of a benchmark on a data set of one's own."""
    content = f'name = "mine"\ndatasets = ["{source}"]\nmodels = ["vae"]\nbudget = "5 steps"\n'
    says = ("mine.toml: datasets.0: ", *says)
    make = together(text_file("mine.toml", content), make)
    return Case(name, ("plan", "mine.toml"), says, remedy, make)


def mkdir(folder):
    (folder / "images").mkdir()


FOLDERS = [
    folder("missing", lambda folder: None, "images", "no such folder", remedy="name a folder"),
    folder("empty", mkdir, "no image in images", remedy="looked for .jpg"),
    folder("other-files", text_file("images/a.txt", "a"), "no image in images", remedy=".png"),
    folder("hidden", picture("images/.a.png"), "no image in images", remedy=".png"),
    folder(
        "sizes",
        together(picture("images/a.png"), picture("images/b.png", (9, 8))),
        "images/b.png is 8x9",
        "images/a.png is 8x8",
        remedy="all images have one size",
    ),
    folder(
        "colours",
        together(picture("images/a.png"), picture("images/b.png", mode="RGB")),
        "images/b.png",
        remedy="number of channels",
    ),
    folder(
        "truncated-jpeg",
        picture("images/a.jpg", (64, 64), cut=200),
        "images/a.jpg cannot be decoded",
        remedy="write it again or remove it",
    ),
    folder(
        "truncated-png",
        picture("images/a.png", (64, 64), "RGB", cut=60),
        "images/a.png cannot be decoded",
        remedy="write it again or remove it",
    ),
    folder("empty-file", text_file("images/a.png", ""), "images/a.png", remedy="remove it"),
    folder("text", text_file("images/a.png", "hello"), "images/a.png", remedy="remove it"),
    folder("html", text_file("images/a.jpg", "<html>404"), "images/a.jpg", remedy="remove it"),
    folder(
        "postscript",
        text_file("images/a.png", "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n"),
        "images/a.png",
        remedy="remove it",
    ),
    folder(
        "bomb",
        png_bomb("images/a.png", 50_000),
        "images/a.png",
        "2500000000 pixels",
        remedy="images have at most",
    ),
    folder(
        "half-bomb",
        png_bomb("images/a.png", 12_000),
        "images/a.png",
        "144000000 pixels",
        remedy="images have at most",
    ),
    folder("animated-gif", animation("images/a.gif"), "no image in images", remedy=".png"),
    folder(
        "animated-webp",
        animation("images/a.webp"),
        "images/a.webp",
        "3 frames",
        remedy="save each as a file",
    ),
    folder(
        "pages",
        animation("images/a.tiff"),
        "images/a.tiff",
        "3 frames",
        remedy="save each as a file",
    ),
    folder(
        "sixteen-bit",
        picture("images/a.png", mode="I;16"),
        "images/a.png has mode I;16",
        remedy="convert it first",
    ),
    folder(
        "sixteen-bit-colour",
        deep_png("images/a.png"),
        "images/a.png has mode RGB with 16 bits per channel",
        remedy="convert it first",
    ),
    folder(
        "sixteen-bit-tiff",
        tiff("images/a.tif", 16, 3),
        "images/a.tif has mode RGB with 16 bits per channel",
        remedy="convert it first",
    ),
    folder(
        "sixteen-bit-ppm",
        raw("images/a.ppm", b"P6 8 8 65535\n" + bytes(8 * 8 * 6)),
        "images/a.ppm has mode RGB with 16 bits per channel",
        remedy="convert it first",
    ),
    folder(
        "twelve-bit-ppm",
        raw("images/a.ppm", b"P3 1 1 4095\n4095 1 2"),
        "images/a.ppm has mode RGB with 12 bits per channel",
        remedy="convert it first",
    ),
    folder(
        "further-channels",
        tiff("images/a.tif", 8, 4),
        "images/a.tif has mode RGB with further channels",
        remedy="convert it first",
    ),
    folder(
        "signed",
        tiff("images/a.tif", 8, 1, sample_format=2),
        "images/a.tif has mode L with signed values",
        remedy="convert it first",
    ),
    folder(
        "palette-with-transparency",
        picture("images/a.png", mode="P", transparency=3),
        "has mode P with transparency",
        remedy="convert it first",
    ),
    folder(
        "animated-png",
        animation("images/a.png"),
        "images/a.png has 3 frames",
        remedy="save each as a file",
    ),
    folder(
        "gif-as-png",
        picture("images/a.png", format="GIF"),
        "images/a.png cannot be decoded: it is GIF",
        remedy="write it again",
    ),
    folder(
        "avif-as-png",
        raw("images/a.png", b"\0\0\0\x1cftypavif" + bytes(40)),
        "images/a.png cannot be decoded: it is AVIF",
        remedy="write it again",
    ),
    folder(
        "nothing-that-is-read",
        together(
            picture("images/a.gif"),
            raw("images/b", b"\xff\x0a" + bytes(40)),
            raw("images/c.heic", b"\0\0\0\x18ftypheic" + bytes(40)),
            pipe("images/d"),
        ),
        "left out: 1 GIF file (a.gif); 1 HEIC file (c.heic); 1 JPEG XL file (b); 1 pipe",
        remedy="looked for .jpg",
    ),
    folder("float", picture("images/a.tiff", mode="F"), "has mode F", remedy="convert it first"),
    folder(
        "alpha", picture("images/a.png", mode="RGBA"), "transparency", remedy="convert it first"
    ),
    folder(
        "cmyk", picture("images/a.jpg", mode="CMYK"), "has mode CMYK", remedy="convert it first"
    ),
    folder(
        "grey-alpha", picture("images/a.png", mode="LA"), "has mode LA", remedy="convert it first"
    ),
    folder(
        "loop",
        together(picture("images/a.txt", format="PNG"), link("images/b.png", "b.png")),
        "images/b.png cannot be",
        remedy="remove it",
    ),
    folder(
        "dangling",
        link("images/a.png", "nowhere.png"),
        "images/a.png cannot be",
        remedy="remove it",
    ),
    folder(
        "dangling-folder",
        together(picture("images/cat/a.png"), link("images/dog", "nowhere/dog")),
        "images/dog cannot be read, by the link to nowhere/dog: No such file",
        remedy="remove it",
    ),
    folder("socket", unix_socket("images/a.png"), "it is not a regular file", remedy="remove it"),
    folder("pipe", pipe("images/a.png"), "images/a.png", remedy="remove it"),
    folder(
        "folder-as-picture",
        lambda folder: (folder / "images/a.png").mkdir(parents=True),
        "images/a.png cannot be read",
        remedy="remove it",
    ),
    folder(
        "control", text_file("images/a\x1b[31m.png", "hello"), "a\\x1b[31m.png", remedy="remove it"
    ),
    folder("rgb-for-grey", picture("images/a.png", mode="RGB"), "8x8 RGB", remedy="save them grey"),
    folder("wrong-size", picture("images/a.png", (9, 9)), "9x9 grey", remedy="resize them"),
    folder(
        "too-bright",
        lambda folder: (mkdir(folder), picture_of(folder / "images/a.png", 200)),
        "the value 200",
        remedy="in an .npz file",
    ),
]


def picture_of(path, value):
    from PIL import Image

    Image.new("L", (8, 8), value).save(path)


FILES = [
    file("no-file", lambda folder: None, "no such folder or file", remedy="name a folder"),
    file("is-folder", lambda folder: (folder / "images.npz").mkdir(), "no image", remedy=".png"),
    file("is-text", text_file("images.npz", "hello"), "not a valid .npz", remedy="numpy.savez"),
    file("is-empty", text_file("images.npz", ""), "not a valid .npz", remedy="numpy.savez"),
    file(
        "is-npy",
        lambda folder: (
            array("x.npy", EIGHT)(folder) or (folder / "x.npy").rename(folder / "images.npz")
        ),
        "not a valid .npz",
        remedy="numpy.savez",
    ),
    file(
        "is-pickle",
        text_file("images.npz", b"\x80\x04\x95\x00."),
        "not a valid .npz",
        remedy="numpy.savez",
    ),
    file(
        "cut-off",
        lambda folder: (
            arrays("images.npz", images=EIGHT)(folder)
            or (folder / "images.npz").write_bytes((folder / "images.npz").read_bytes()[:-20])
        ),
        "not a valid .npz",
        remedy="numpy.savez",
    ),
    file(
        "flipped",
        lambda folder: flip(
            arrays("images.npz", images=np.arange(256, dtype=np.uint8).reshape(4, 8, 8)), folder
        ),
        "not a valid .npz",
        remedy="numpy.savez",
    ),
    file("no-arrays", zipped("images.npz"), "holds nothing", remedy="an array called images"),
    file("no-array", zipped("images.npz", readme=b"hello"), "readme", remedy="numpy.savez"),
    file("escapes", zipped("images.npz", **{"../../evil.npy": b"x"}), "evil", remedy="numpy.savez"),
    file(
        "object",
        arrays("images.npz", images=np.array([Trap()], dtype=object)),
        "not a valid .npz",
        remedy="numpy.savez",
    ),
    file(
        "records",
        arrays("images.npz", images=np.zeros(4, [("a", "u1"), ("b", "O")])),
        "not a valid .npz",
        remedy="numpy.savez",
    ),
    file("bomb", zip_bomb("images.npz"), "not a valid .npz", remedy="numpy.savez"),
    file(
        "shape-bomb",
        npz_bomb("images.npz", "(100000000000, 8, 8)"),
        "not a valid .npz",
        remedy="numpy.savez",
    ),
    file(
        "negative", npz_bomb("images.npz", "(-1, 8, 8)"), "not a valid .npz", remedy="numpy.savez"
    ),
    file(
        "short",
        npz_bomb("images.npz", "(4, 8, 8)", bytes(10)),
        "not a valid .npz",
        remedy="numpy.savez",
    ),
    file(
        "code-in-header",
        npz_bomb("images.npz", "__import__('os').system('touch trapped')"),
        "not a valid .npz",
        remedy="numpy.savez",
    ),
    file(
        "float",
        arrays("images.npz", images=EIGHT.astype(float)),
        "images is float64",
        remedy="scale and round",
    ),
    file(
        "int64", arrays("images.npz", images=EIGHT.astype(int)), "images is int64", remedy="uint8"
    ),
    file("bool", arrays("images.npz", images=EIGHT.astype(bool)), "images is bool", remedy="uint8"),
    file(
        "two-dimensions", arrays("images.npz", images=EIGHT[0]), "(8, 8)", remedy="needs (N, H, W)"
    ),
    file(
        "five-dimensions",
        arrays("images.npz", images=EIGHT[None, None]),
        "(1, 1, 4, 8, 8)",
        remedy="needs (N, H, W)",
    ),
    file(
        "two-channels",
        arrays("images.npz", images=np.zeros((4, 8, 8, 2), np.uint8)),
        "(4, 8, 8, 2)",
        remedy="C is 1 or 3",
    ),
    file(
        "no-pixels",
        arrays("images.npz", images=np.zeros((4, 0, 8), np.uint8)),
        "(4, 0, 8)",
        remedy="at least one pixel",
    ),
    file(
        "no-images",
        arrays("images.npz", images=EIGHT[:0]),
        "holds no images",
        remedy="at least one",
    ),
    file(
        "two-arrays",
        arrays("images.npz", a=EIGHT, b=EIGHT),
        "a, b",
        remedy="an array called images",
    ),
    file("levels", arrays("images.npz", images=EIGHT, levels=1), "levels is 1", remedy="2 to 256"),
    file(
        "levels-text",
        arrays("images.npz", images=EIGHT, levels="17"),
        "levels is",
        remedy="2 to 256",
    ),
    file(
        "levels-fraction",
        arrays("images.npz", images=EIGHT, levels=16.5),
        "levels is 16.5",
        remedy="2 to 256",
    ),
    file(
        "levels-nan",
        arrays("images.npz", images=EIGHT, levels=np.nan),
        "levels is nan",
        remedy="2 to 256",
    ),
    file(
        "other-levels",
        arrays("images.npz", images=EIGHT, levels=16),
        "16 levels",
        remedy="17 levels",
    ),
    file(
        "npy-object",
        array("images.npy", np.array([Trap()], dtype=object)),
        "not a valid .npy",
        remedy="numpy.save",
        suffix=".npy",
    ),
    file(
        "npy-is-npz",
        lambda folder: (
            arrays("x.npz", a=EIGHT)(folder) or (folder / "x.npz").rename(folder / "images.npy")
        ),
        "is an .npz file",
        remedy="rename it",
        suffix=".npy",
    ),
    file(
        "npy-pickle",
        text_file("images.npy", b"\x80\x04\x95\x00."),
        "not a valid .npy",
        remedy="numpy.save",
        suffix=".npy",
    ),
    file(
        "npy-bomb",
        lambda folder: npy_bomb(folder / "images.npy"),
        "images.npy",
        remedy="numpy.save",
        suffix=".npy",
    ),
    file("pt", text_file("images.pt", b"x"), remedy=".npz or an .npy file", suffix=".pt"),
    file("pipe", pipe("images.npz"), "no such folder or file", remedy="name a folder"),
    Case(
        "unpaired-surrogate",
        ("evaluate", "a\udcff.npz", "--reference", "digits"),
        ("a\\udcff.npz",),
        "name a folder",
    ),
]


def flip(make, folder):
    make(folder)
    content = bytearray((folder / "images.npz").read_bytes())
    content[80] ^= 0xFF
    (folder / "images.npz").write_bytes(content)


def npy_bomb(path):
    head = "{'descr': '|u1', 'fortran_order': False, 'shape': (100000000000, 8, 8), }".ljust(117)
    path.write_bytes(b"\x93NUMPY\x01\x00\x76\x00" + head.encode() + b"\n")


DATA = [
    data(
        "npz-unknown", arrays("images.npz", image=EIGHT), "unknown arrays image", remedy="known are"
    ),
    data(
        "npz-labels-alone",
        arrays("images.npz", labels=np.arange(4)),
        "labels without",
        remedy="images",
    ),
    data(
        "npz-short-labels",
        arrays("images.npz", images=EIGHT, labels=np.arange(3)),
        "labels is",
        remedy="shape (4,)",
    ),
    data(
        "npz-negative-labels",
        arrays("images.npz", images=EIGHT, labels=np.arange(4) - 1),
        "labels",
        remedy="integers from 0",
    ),
    data(
        "npz-float-labels",
        arrays("images.npz", images=EIGHT, labels=np.zeros(4)),
        "labels",
        remedy="integers from 0",
    ),
    data(
        "npz-huge-labels",
        arrays("images.npz", images=EIGHT, labels=np.full(4, 2**62)),
        "labels",
        remedy="at most",
    ),
    data(
        "npz-train-alone",
        arrays("images.npz", train_images=EIGHT),
        "train_images",
        remedy="test_images",
    ),
    data(
        "npz-shapes",
        arrays("images.npz", train_images=EIGHT, test_images=EIGHT[:, :7]),
        "splits differ",
        remedy="one shape",
    ),
    data("npz-few", arrays("images.npz", images=EIGHT), "too few to divide", remedy="distinct"),
    data(
        "npz-dark",
        arrays("images.npz", images=EIGHT + np.uint8(9), levels=5),
        "levels is 5",
        remedy="largest",
    ),
    data(
        "npz-trap",
        arrays("images.npz", images=np.array([Trap()], dtype=object)),
        "not a valid",
        remedy="numpy.savez",
    ),
    data("npz-bomb", zip_bomb("images.npz"), "GiB unpacked", remedy="at most"),
    data(
        "npz-folder", lambda folder: (folder / "images.npz").mkdir(), "no file", remedy="npz:PATH"
    ),
    data(
        "folder-missing",
        lambda folder: None,
        "no folder 'no'",
        remedy="image-folder:PATH",
        source="image-folder:no",
    ),
    data(
        "folder-depth",
        picture("images/a/b/c.png"),
        "too deep",
        remedy="one level of subfolders",
        source="image-folder:images",
    ),
    data(
        "folder-mixed",
        together(picture("images/a.png"), picture("images/b/c.png")),
        "images/a.png",
        remedy="or none",
        source="image-folder:images",
    ),
    data(
        "folder-splits",
        together(picture("images/train/a.png"), picture("images/test/a.png")),
        "look like splits",
        remedy="npz:PATH",
        source="image-folder:images",
    ),
    data(
        "folder-bomb",
        png_bomb("images/a.png", 50_000),
        "images/a.png",
        remedy="at most",
        source="image-folder:images",
    ),
    data(
        "folder-one",
        picture("images/a.png"),
        "too few to divide",
        remedy="distinct",
        source="image-folder:images",
    ),
]


@cases(*FOLDERS)
def test_a_bad_folder_is_refused(case, tmp_path, monkeypatch, capfd):
    assert_refused(case, tmp_path, monkeypatch, capfd)


@cases(*FILES)
def test_a_bad_file_is_refused(case, tmp_path, monkeypatch, capfd):
    assert_refused(case, tmp_path, monkeypatch, capfd)


@cases(*DATA)
def test_a_bad_data_set_is_refused(case, tmp_path, monkeypatch, capfd):
    assert_refused(case, tmp_path, monkeypatch, capfd)


def test_a_loop_of_folders_is_no_trap(tmp_path, monkeypatch):
    """The images are found once, and not again through the link."""
    monkeypatch.chdir(tmp_path)
    together(picture("images/a.png"), link("images/again", "."))(tmp_path)
    paths, [remark] = find_images("images", tmp_path / "images")
    assert [path.name for path in paths] == ["a.png"]
    assert remark == "images: left out: 1 link to a folder that was already read (again)"


def test_the_trap_is_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    array("trap.npy", np.array([Trap()], dtype=object))(tmp_path)
    with pytest.raises(ValueError, match="allow_pickle"):
        np.load("trap.npy", allow_pickle=False)
    assert not (tmp_path / "trapped").exists()
    np.load("trap.npy", allow_pickle=True)
    assert (tmp_path / "trapped").exists()

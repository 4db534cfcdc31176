import io
import wave

import numpy as np
import pytest
from PIL import Image

from harness.contract import ArraySpec, DataSpec
from harness.measurement.pictures import draw, draw_conditional, draw_pairs
from harness.measurement.pictures.sounds import perceptible, spectrogram
from harness.measurement.pictures.videos import gif

IMAGE = ArraySpec("image", (1, 4, 4), 8)
VIDEO = ArraySpec("video", (3, 1, 4, 4), 8, rate=10)
SOUND = ArraySpec("audio", (1, 800), 256, rate=8000)
TEXT = ArraySpec("text", (4,), 6, alphabet="a<&\n\t\u202e")


def opened(picture):
    return Image.open(io.BytesIO(picture))


def gray(picture):
    pixels = np.asarray(opened(picture).convert("RGB"))
    assert (pixels == pixels[..., :1]).all()
    return pixels[..., 0]


def frames(picture):
    moving = opened(picture)
    for number in range(moving.n_frames):
        moving.seek(number)
        yield np.asarray(moving.convert("RGB"))


def levels(shape, *values):
    """Return examples that are each of one value."""
    return np.stack([np.full(shape, value, np.uint8) for value in values])


def recording(content):
    with wave.open(io.BytesIO(content)) as found:
        assert found.getsampwidth() == 2
        samples = np.frombuffer(found.readframes(found.getnframes()), "<i2")
        return found.getframerate(), samples.reshape(-1, found.getnchannels())


def test_images_make_a_grid_of_rows():
    [(suffix, picture)] = draw(IMAGE, levels((1, 4, 4), *(n % 8 for n in range(70)))).items()
    assert suffix == "png"
    pixels = gray(picture)
    assert pixels.shape == (6 * 5 + 1, 10 * 5 + 1)
    assert (pixels[::5] == 255).all() and (pixels[:, ::5] == 255).all()
    for index in (0, 13, 59):
        top, left = 5 * (index // 10) + 1, 5 * (index % 10) + 1
        assert (pixels[top : top + 4, left : left + 4] == round(index % 8 * 255 / 7)).all()


def test_pairs_of_images_stand_side_by_side():
    left = levels((1, 4, 4), *range(7))
    pixels = gray(draw_pairs(IMAGE, left, left + 1)["png"])
    # Two rows of five pairs; a pair is 4 + 4 wide, and white lines part the pairs.
    assert pixels.shape == (2 * 5 + 1, 5 * 10 + 1)
    for index, (top, start) in enumerate([(1, 1), (1, 11), (1, 21), (1, 31), (1, 41), (6, 1)]):
        assert (pixels[top : top + 4, start : start + 4] == round(index * 255 / 7)).all()
        assert (pixels[top : top + 4, start + 4 : start + 8] == round((index + 1) * 255 / 7)).all()
        assert (pixels[top : top + 4, start + 8] == 255).all()


def test_a_condition_that_is_an_image_stands_beside_its_sample_whatever_its_size_and_levels():
    colours = ArraySpec("image", (3, 2, 3), 256)
    y = levels((3, 2, 3), 10, 20)
    y[:, 0] = 200
    files = draw_conditional(DataSpec(IMAGE, colours), levels((1, 4, 4), 0, 7), y)
    pixels = np.asarray(opened(files["png"]))
    assert pixels.shape == (6, 5 * 9 + 1, 3) and set(files) == {"png"}
    assert (pixels[1:3, 10:13] == (200, 20, 20)).all()
    assert (pixels[3:5, 10:13] == 255).all()  # below the smaller of the two
    assert (pixels[1:5, 4:8] == 0).all()


def test_videos_make_a_strip_each_and_move_in_a_grid():
    x = (np.arange(5)[:, None] + np.arange(3)).astype(np.uint8)  # value by example and frame
    files = draw(VIDEO, x[:, :, None, None, None].repeat(4, axis=-1).repeat(4, axis=-2))
    assert set(files) == {"png", "gif"}
    shown = np.rint(x / 7 * 255)
    strips = gray(files["png"])
    assert strips.shape == (5 * 5 + 1, 3 * 5 + 1)
    assert (strips[3::5, 3::5] == shown).all()
    moving = opened(files["gif"])
    assert (moving.n_frames, moving.info["duration"], moving.info["loop"]) == (3, 100, 0)
    for t, frame in enumerate(frames(files["gif"])):
        assert frame.shape == (2 * 5 + 1, 4 * 5 + 1, 3)
        assert (frame[3::5, 3::5, 0].flatten()[:5] == shown[:, t]).all()
        assert (frame[1:5, 1:5] == shown[0, t]).all()


def test_a_first_frame_stands_beside_the_video_for_as_long_as_it_moves():
    x = np.arange(3, dtype=np.uint8)[None, :, None, None, None] * np.ones((1, 1, 4, 4), np.uint8)
    files = draw_conditional(DataSpec(VIDEO, IMAGE), x, levels((1, 4, 4), 7))
    for t, frame in enumerate(frames(files["gif"])):
        assert (frame[1:5, 1:5] == 255).all()
        assert (frame[1:5, 5:9] == round(t * 255 / 7)).all()


def test_a_moving_picture_in_colour_keeps_a_few_of_them():
    red, blue = np.zeros((2, 6, 6, 3), np.uint8)
    red[..., 0], blue[..., 2] = 255, 255
    found = list(frames(gif([red, blue], rate=1000)))
    assert np.array_equal(found, [red, blue])
    assert opened(gif([red, blue], rate=1000)).info["duration"] == 20


def test_mu_law_and_linear_levels_become_waves():
    x = np.array([[[0, 64, 128, 255]]], np.uint8)
    # ITU-T G.711's law for mu = 255, at s = -1, -127/255, 1/255 and 1.
    expected = [-1, -(256 ** (127 / 255) - 1) / 255, (256 ** (1 / 255) - 1) / 255, 1]
    assert perceptible(x, SOUND)[0, 0] == pytest.approx(expected, abs=1e-12)
    linear = perceptible(np.array([[[0, 1, 2]]], np.uint8), ArraySpec("audio", (1, 3), 3))
    assert linear[0, 0] == pytest.approx([-1, 0, 1])


def test_sounds_follow_each_other_with_silence_between():
    x = levels((1, 800), *([255, 0] * 5))
    files = draw(SOUND, x)
    assert set(files) == {"png", "wav"}
    rate, samples = recording(files["wav"])
    assert rate == 8000 and samples.shape == (8 * 800 + 7 * 2000, 1)
    for n in range(8):
        start = n * 2800
        assert (samples[start : start + 800] == (32767 if n % 2 == 0 else -32767)).all()
        assert (samples[start + 800 : start + 2800] == 0).all()
    _, two = recording(draw(ArraySpec("audio", (2, 10), 256), levels((2, 10), 255))["wav"])
    assert two.shape == (10, 2)
    _, many = recording(draw(ArraySpec("audio", (5, 10), 256), levels((5, 10), 255))["wav"])
    assert many.shape == (10, 1)


def test_long_sounds_are_few_and_end_early():
    spec = ArraySpec("audio", (1, 60), 4, rate=4)  # of 15 s, where 12 s are played
    rate, samples = recording(draw(spec, levels((1, 60), 3, 3))["wav"])
    assert rate == 4 and len(samples) == 48


def test_a_pair_of_sounds_is_heard_one_after_the_other():
    _, samples = recording(draw_pairs(SOUND, levels((1, 800), 255), levels((1, 800), 0))["wav"])
    assert (samples[:800] == 32767).all() and (samples[2800:] == -32767).all()


def test_a_spectrogram_has_a_line_at_the_pitch():
    time = np.arange(8000) / 8000
    quiet, loud = (spectrogram(a * np.sin(2 * np.pi * 1000 * time), 8000) for a in (0.01, 1.0))
    # 256 samples a window: 129 frequencies up to 4 kHz, the lowest at the bottom.
    assert loud.shape == (129, 161)
    middle = loud[:, 80]
    assert middle.argmax() == 128 - 32 and middle.max() == 255
    assert quiet[96, 80] == round(255 * (1 - 40 / 80))
    assert (spectrogram(np.zeros(8000), 8000) == 0).all()


def test_texts_are_lines_in_which_every_character_is_seen():
    x = np.array([[0, 1, 2, 0], [3, 4, 5, 7]], np.uint8)
    assert draw(TEXT, x)["txt"].decode() == "a<&a\n␊␉\\u202e�\n"
    latin = draw(ArraySpec("text", (4,)), np.array([[228, 0, 127, 133]], np.uint8))
    assert latin["txt"].decode() == "ä␀␡\\x85\n"


def test_texts_in_pairs_and_along_arcs_have_empty_lines_between():
    x = np.array([[0] * 4, [1] * 4], np.uint8)
    assert draw_pairs(TEXT, x, 1 - x)["txt"] == b"aaaa\n<<<<\n\n<<<<\naaaa\n\n"
    assert draw(TEXT, x.repeat(2, axis=0), columns=2)["txt"] == b"aaaa\naaaa\n\n<<<<\n<<<<\n"


@pytest.mark.parametrize(
    ("kind", "text"),
    [(TEXT, "0\ta<&a\n12\taaaa\n"), (IMAGE, "0\n12\n"), (SOUND, "0\n12\n")],
)
def test_labels_are_written_beside_samples_of_any_kind(kind, text):
    x = np.zeros((2, *kind.shape), np.uint8)
    if kind is TEXT:
        x[0] = [0, 1, 2, 0]
    spec = DataSpec(kind, ArraySpec("label", (), 20))
    files = draw_conditional(spec, x, np.array([0, 12]))
    assert files["txt"].decode() == text
    assert set(files) == {"txt"} | set(draw(kind, x))


def test_a_caption_is_a_line_and_what_cannot_stand_beside_a_sample_is_left_out():
    x = levels((1, 4, 4), 1, 2)
    captions = np.array([[0, 3, 0, 0], [1, 1, 1, 1]], np.uint8)
    files = draw_conditional(DataSpec(IMAGE, TEXT), x, captions)
    assert files["txt"].decode() == "a␊aa\n<<<<\n"
    sounds = levels((1, 800), 1, 2)
    assert draw_conditional(DataSpec(IMAGE, SOUND), x, sounds) == draw(IMAGE, x)
    assert draw(ArraySpec("label", (), 3), np.arange(3)) == {}

"""Whatever anybody types: it is read and can be written down again, or a UserError names it."""

import io

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from harness.errors import UserError, for_terminal, quoted
from harness.files.image_sets import open_images
from harness.files.images import ImageError, read_array_file, read_images
from harness.planning.benchmark import Benchmark, parse_benchmark, parse_settings
from harness.planning.budget import Budget, BudgetError

bounded = settings(max_examples=300, derandomize=True, deadline=None, database=None)
few = settings(max_examples=60, derandomize=True, deadline=None, database=None)

NUMBERS = st.one_of(
    st.integers(-(10**30), 10**30).map(str),
    st.floats(allow_nan=True).map(repr),
    st.decimals(allow_nan=False).map(str),
    st.text("0123456789._eE+-٣５²", max_size=12),
)
UNITS = st.one_of(
    st.sampled_from(
        ["s", "min", "h", "days", "steps", "k steps", "Mimages", "PFLOP", "EFLOPs", "m", "", "k"]
    ),
    st.text(max_size=8),
)
BUDGETS = st.one_of(
    st.text(max_size=30), st.builds("{}{}{}".format, NUMBERS, st.sampled_from(["", " "]), UNITS)
)


@bounded
@given(BUDGETS)
@example("1_000.5_5e-3 kFLOP")
@example("9007199254740992 steps")
@example("1.7976931348623157e308 EFLOP")
def test_a_budget_can_be_written_down_again_or_is_named(text):
    try:
        budget = Budget.parse(text)
    except BudgetError as error:
        assert quoted(text) in str(error)
    else:
        assert Budget.parse(str(budget)) == budget


KEYS = st.sampled_from(
    [*Benchmark.model_fields, "samples", "curve", "metrics", "model", "x y", "é"]
)
VALUES = st.recursive(
    st.one_of(
        st.sampled_from(
            ["true", "nan", "-inf", "1e400", "5", "-1", "0.5", "2026-01-01", "0x1F", "''"]
        ),
        st.integers(-(2**70), 2**70).map(str),
        st.text(max_size=6).map(lambda text: '"' + text.replace("\\", "").replace('"', "") + '"'),
        st.text(max_size=6),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
        st.dictionaries(KEYS, inner, max_size=2).map(
            lambda items: "{" + ", ".join(f'"{k}" = {v}' for k, v in items.items()) + "}"
        ),
    ),
    max_leaves=4,
)
LINES = st.one_of(
    st.builds('"{}" = {}'.format, KEYS, VALUES),
    st.sampled_from(["[evaluation]", "[[models]]", "[models]", "# comment", 'budget = "5 s"']),
    st.text(max_size=20),
)
GOOD = ['name = "mine"', 'datasets = ["digits"]', 'models = ["vae"]', 'budget = "5 steps"']
FILES = st.one_of(
    st.text(max_size=60),
    st.lists(LINES, max_size=6).map("\n".join),
    st.builds(lambda lines: "\n".join(GOOD + lines), st.lists(LINES, max_size=3)),
)


@bounded
@given(FILES)
@example("\n".join([*GOOD, "seeds = [0, 1]", "[evaluation]", "curve = [0.5]"]))
def test_a_file_is_read_or_refused_by_name(text):
    try:
        benchmark = parse_benchmark(text, "mine.toml")
    except UserError as error:
        assert all(line.startswith("mine.toml") for line in for_terminal(str(error)).splitlines())
    else:
        assert Benchmark.model_validate_json(benchmark.model_dump_json()) == benchmark


@bounded
@given(st.one_of(st.text(max_size=40), st.builds("vae.latent={}".format, VALUES)))
def test_a_setting_is_read_or_refused_by_name(text):
    try:
        parse_settings([text])
    except UserError as error:
        assert quoted(text) in str(error)


@bounded
@given(st.text())
def test_what_reaches_the_terminal_is_printable(text):
    assert all(c.isprintable() or c == "\n" for c in for_terminal(text))


def encoded(kind):
    """Return the bytes of a sound file."""
    file = io.BytesIO()
    pixels = np.arange(4 * 64, dtype=np.uint8).reshape(4, 8, 8)
    if kind == "npz":
        np.savez_compressed(file, images=pixels)
    elif kind == "npy":
        np.save(file, pixels)
    else:
        Image.fromarray(pixels[0]).save(file, kind)
    return file.getvalue()


READERS = {
    "npz": lambda path: (read_array_file("x", path), list(open_images(str(path)).batches(2))),
    "npy": lambda path: list(open_images(str(path)).batches(2)),
} | {kind: lambda path: read_images("x", [path]) for kind in ("png", "jpeg", "tiff", "webp", "bmp")}


@pytest.mark.parametrize("kind", READERS)
def test_a_damaged_file_is_read_or_refused_by_name(kind, tmp_path):
    sound, path = encoded(kind), tmp_path / f"a.{kind}"
    damage = st.lists(st.tuples(st.integers(0, len(sound) - 1), st.integers(0, 255)), max_size=4)

    @few
    @given(damage, st.integers(0, len(sound)))
    def read(changes, length):
        content = bytearray(sound)
        for place, value in changes:
            content[place] = value
        path.write_bytes(content[: max(length, 1)])
        try:
            READERS[kind](path)
        except ImageError as error:
            assert str(path) in str(error)

    read()

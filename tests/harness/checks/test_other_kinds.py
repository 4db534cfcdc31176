"""Every check of models of texts, of videos and of images from images; and what does not apply."""

import pytest
from support import tiny_pairs, tiny_text, tiny_video
from support.tiny_pairs import Restorer
from support.tiny_text import Bigram
from support.tiny_video import NextFrame
from support.toy_densities import Autoregression

from harness.checks import (
    NotApplicable,
    check_condition,
    check_coverage,
    check_entropy,
    check_frequencies,
    check_sizes,
    check_total_probability,
    checks_for,
)
from harness.checks.datasets import dataset_checks
from harness.checks.outcome import outcomes_of
from harness.checks.own_data import default_data, describe_spec
from harness.checks.probability import FLAT
from harness.contract import ArraySpec, DataSpec

IMAGE = ArraySpec("image", (1, 4, 4), 5)
DATA = {
    Bigram: DataSpec(ArraySpec("text", (8,), 5)),
    NextFrame: DataSpec(ArraySpec("video", (3, 1, 4, 4), 5)),
    Restorer: DataSpec(IMAGE, IMAGE),
}
UNAPPLIED = {
    Bigram: {"coverage": "pairs of characters interact"},
    NextFrame: {"coverage": "not in frames"},
    Restorer: {"coverage": "its pixels are independent"},
}


@pytest.mark.parametrize(
    ("model_class", "check"),
    [(model, check) for model in DATA for check in checks_for(model)],
    ids=lambda value: getattr(value, "name", None) or value.__name__,
)
def test_a_model_of_another_kind_passes_every_check(model_class, check):
    try:
        check.run(DATA[model_class], learning_rate=0.05)
    except NotApplicable as reason:
        assert UNAPPLIED[model_class].get(check.name, "nothing") in str(reason)
    else:
        assert check.name not in UNAPPLIED[model_class]


class Sound(Autoregression):
    makes = frozenset({"audio"})


class Illustrator(Restorer):
    takes = frozenset({"text"})


@pytest.mark.parametrize(
    "check", [check_total_probability, check_frequencies, check_coverage, check_sizes]
)
def test_checks_choose_small_sounds_for_a_model_of_sounds(check):
    assert not check(Sound, DataSpec(ArraySpec("audio", (1, 16), 5)), {})


@pytest.mark.parametrize("check", [check_condition, check_frequencies, check_sizes])
def test_images_from_captions_are_checked_given_captions(check):
    spec = DataSpec(IMAGE, ArraySpec("text", (6,), 5))
    assert not check(Illustrator, spec, {"learning_rate": 0.05})


class Translator(Restorer):
    """Learns from unpaired data alone, or says so."""

    @classmethod
    def supports(cls, spec):
        return "it wants unpaired data" if spec.paired else None


def test_a_model_is_checked_on_data_of_its_kinds_that_it_does_not_refuse():
    assert [describe_spec(default_data(model)) for model in (Bigram, NextFrame, Restorer)] == [
        "texts 24 with 17 levels and 10 classes",
        "videos 3x1x8x8 with 17 levels and 10 classes",
        "images 1x8x8 with 17 levels and images 1x8x8 with 17 levels as conditions",
    ]
    assert not default_data(Translator).paired


def test_a_condition_of_the_kind_of_x_is_to_a_small_x_what_it_is_to_the_datas():
    half = DataSpec(ArraySpec("image", (3, 8, 8)), ArraySpec("image", (1, 4, 4), 2))
    assert describe_spec(FLAT.of(half)) == (
        "images 1x4x4 with 4 levels and images 1x2x2 with 2 levels as conditions"
    )
    first_frame = DataSpec(ArraySpec("video", (9, 3, 8, 8)), ArraySpec("image", (3, 8, 8)))
    assert FLAT.of(first_frame).y.shape == FLAT.of(first_frame).x.shape[1:]
    caption = DataSpec(ArraySpec("image", (1, 8, 8)), ArraySpec("text", (99,), 3, "abc"))
    assert FLAT.of(caption).y == ArraySpec("text", FLAT.shapes["text"], 3)


@pytest.mark.parametrize(
    "check", [check_total_probability, check_entropy, check_frequencies, check_condition]
)
def test_unpaired_data_teach_no_likelihood_and_no_condition(check):
    with pytest.raises(NotApplicable, match="unpaired data are independent draws"):
        check(Translator, DataSpec(IMAGE, IMAGE, paired=False), {})


@pytest.mark.parametrize("plugin", [tiny_text, tiny_video, tiny_pairs])
def test_data_sets_of_other_kinds_pass_their_checks(plugin):
    found = {each.name: each for each in outcomes_of(dataset_checks("", plugin.load))}
    assert {name for name, each in found.items() if each.verdict == "passed"} == {
        "form",
        "repeatable",
        "levels",
    }
    assert all(each.is_sound for each in found.values())

import itertools
import re

from hypothesis import given
from hypothesis import strategies as st
from support.rows import make_row

from harness_reports.statistics.groups import groups, letter_display
from harness_reports.statistics.observations import observations

LABELS = list("abcdefg")
PAIRS = list(itertools.combinations(LABELS, 2))


def spelt(text):
    """Return the letters of a text with "B–E" for BCDE."""
    return re.sub("(.)–(.)", lambda m: "".join(map(chr, range(ord(m[1]), ord(m[2]) + 1))), text)


@given(st.sets(st.sampled_from(PAIRS)))
def test_two_share_a_letter_exactly_if_they_are_not_told_apart(apart):
    letters = {label: spelt(text) for label, text in letter_display(LABELS, sorted(apart)).items()}
    for a, b in PAIRS:
        assert bool(set(letters[a]) & set(letters[b])) == ((a, b) not in apart)
    assert letters["a"].startswith("A") and all(letters.values())


def test_letters_run_from_the_best():
    assert letter_display("abc", []) == {"a": "A", "b": "A", "c": "A"}
    assert letter_display("abc", [("a", "c")]) == {"a": "A", "b": "AB", "c": "B"}
    assert letter_display("abc", PAIRS[:2] + [("b", "c")]) == {"a": "A", "b": "B", "c": "C"}


def test_four_letters_in_a_row_are_written_as_a_range():
    apart = [("abcdefghij"[i], "abcdefghij"[j]) for i in range(10) for j in range(i + 5, 10)]
    letters = letter_display("abcdefghij", apart)
    assert (letters["a"], letters["c"], letters["e"]) == ("A", "ABC", "A–E")


def test_the_best_has_the_first_letter_whichever_way_is_better():
    rows = [
        make_row(model, mean + seed / 100, seed=seed)
        for model, mean in (("vae", 9.0), ("ddpm", 1.0))
        for seed in range(3)
    ]
    for metric, first in (("fid", "ddpm"), ("images_per_second", None)):
        found = {key[-1]: letters for key, letters in groups(observations(rows, metric)).items()}
        assert found == ({"ddpm": "A", "vae": "B"} if first else {"vae": "A", "ddpm": "A"})


def test_without_a_direction_or_seeds_there_are_no_groups():
    rows = [make_row(seed=seed) for seed in range(3)] + [make_row("ddpm", seed=s) for s in range(3)]
    assert groups(observations(rows, "nfe")) == {}
    assert groups(observations(rows[:4], "fid")) == {}
    assert groups(observations([], "fid")) == {}

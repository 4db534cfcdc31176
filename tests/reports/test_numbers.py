import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness_reports.numbers import count, decimals, fixed, prefixed, significant, spread

SIZES = dict(zip("kMGTPEZ", (1e3, 1e6, 1e9, 1e12, 1e15, 1e18, 1e21), strict=True))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (950, "950"),
        (1_200_000, "1.20M"),
        (999_949, "1.00M"),
        (999_500, "1.00M"),
        (12.5, "12.5"),
    ],
)
def test_prefixes(value, text):
    assert prefixed(value) == text


def test_prefixes_with_a_unit():
    assert prefixed(3.4e9, "FLOP") == "3.40 GFLOP"
    assert prefixed(12, "B") == "12 B"


@given(st.floats(1, 1e23))
def test_prefixed_numbers_read_back_to_three_figures(value):
    text = prefixed(value)
    size = SIZES.get(text[-1], 1.0)
    number = float(text.rstrip("kMGTPEZ"))
    assert number * size == pytest.approx(value, rel=0.0051)
    assert number < 1000 or size == 1e21


@given(st.floats(1e-6, 1e12))
def test_significant_numbers_read_back_to_three_figures(value):
    assert float(significant(value).replace(",", "")) == pytest.approx(value, rel=0.0051)


def test_numbers_that_are_none():
    assert significant(math.inf) == "∞" and fixed(-math.inf, 2) == "−∞"
    assert prefixed(math.nan) == "not a number"


@pytest.mark.parametrize(
    ("values", "places"),
    [([0.487, 3.186], 3), ([14.2, 300.0], 1), ([0.0001, 2.0], 3), ([5.8, 9.1], 2), ([], 3)],
)
def test_decimals_show_three_figures_of_the_smallest(values, places):
    assert decimals(values) == places


def test_counts():
    assert (count(1000), count(4703.67), count(12.5)) == ("1,000", "4,704", "12.5")


@pytest.mark.parametrize(
    ("error", "printed", "text"),
    [
        (0.0421, "3.186", "0.042"),
        (0.0001, "3.186", "<0.001"),
        (0.0, "3.186", "0.000"),
        (405.7, "36,500", "410"),
    ],
)
def test_spreads_have_the_decimals_of_their_value(error, printed, text):
    assert spread(error, printed) == text

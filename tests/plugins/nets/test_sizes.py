"""How sides of images are halved, for generators, flows, encoders and U-Nets."""

import pytest

from harness_nets.sizes import even_halvings, pyramid, unet_levels


@pytest.mark.parametrize(
    ("side", "expected"),
    [(2, 1), (4, 2), (8, 2), (9, 0), (12, 2), (16, 2), (28, 2), (32, 3), (64, 4)],
)
def test_sides_halve_down_to_four_pixels_and_twice_where_they_can(side, expected):
    assert even_halvings(side, side, at_least=2) == expected


@pytest.mark.parametrize(
    ("size", "count"),
    [((2, 2), 0), ((8, 8), 1), ((28, 28), 2), ((32, 32), 3), ((8, 12), 1), ((7, 8), 0)],
)
def test_even_sides_halve_down_to_four(size, count):
    assert even_halvings(*size) == count


def test_pyramids_halve_until_no_side_exceeds_four():
    assert pyramid(28, 28) == [(28, 28), (14, 14), (7, 7), (4, 4)]
    assert pyramid(2, 9) == [(2, 9), (1, 5), (1, 3)]


def test_levels_of_a_unet_halve_and_round_up_while_sides_stay_at_least_four():
    assert [h for h, _ in unet_levels(32, 32)] == [32, 16, 8, 4]
    assert [h for h, _ in unet_levels(28, 28)] == [28, 14, 7]
    assert unet_levels(9, 30) == [(9, 30), (5, 15)]
    assert unet_levels(2, 2) == [(2, 2)]

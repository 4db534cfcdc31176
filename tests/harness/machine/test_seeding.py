"""Seeds follow from paths of integers and do not collide."""

import itertools

import torch

from harness.machine.seeding import derive, reseed


def test_seeds_of_different_paths_differ():
    paths = [*itertools.product(range(20), repeat=2), *itertools.product(range(8), repeat=3)]
    seeds = {derive(*path) for path in paths}
    assert len(seeds) == len(paths)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_neighbouring_seeds_share_half_their_bits_on_average():
    """An avalanche: one step further flips about 31.5 of 63 bits."""
    flips = [(derive(0, 2, i) ^ derive(0, 2, i + 1)).bit_count() for i in range(500)]
    assert 30.5 < sum(flips) / len(flips) < 32.5


def test_seeds_stay_what_they_were():
    """Rows of earlier versions are reproduced only so; the first is SplitMix64's own, halved."""
    assert derive(0) == 0xE220A8397B1DCDAF >> 1
    assert derive(1, 2, 3) == 3851293329796251419
    assert derive(3, 2, 1) == 7716143592125757362


def test_reseeding_repeats_the_noise():
    reseed(torch.device("cpu"), 4, 2, 7)
    first = torch.randn(5)
    reseed(torch.device("cpu"), 4, 2, 7)
    assert torch.equal(torch.randn(5), first)
    reseed(torch.device("cpu"), 4, 2, 8)
    assert not torch.equal(torch.randn(5), first)

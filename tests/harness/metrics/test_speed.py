import pytest
import torch

from harness.metrics.speed import sampling_speed, timed_call

CPU = torch.device("cpu")


class Sampler:
    """Takes the given seconds on its own clock; the last of them again and again."""

    def __init__(self, *seconds):
        self.seconds = list(seconds)
        self.now = 0.0
        self.calls = []

    def __call__(self, n):
        self.calls.append(n)
        self.now += self.seconds.pop(0) if len(self.seconds) > 1 else self.seconds[0]

    def clock(self):
        return self.now

    def speeds(self, batch_sizes, seconds):
        return sampling_speed(self, batch_sizes, CPU, seconds=seconds, clock=self.clock)


def test_the_first_call_is_not_timed():
    sampler = Sampler(100.0, 1.0)
    (speed,) = sampler.speeds([8], seconds=5)
    assert (speed.seconds, speed.images_per_second, speed.spread) == (1.0, 8.0, 0.0)
    assert speed.repetitions == 5 and len(sampler.calls) == 6


def test_median_and_interquartile_range():
    (speed,) = Sampler(9.0, 1.0, 2.0, 4.0, 5.0, 8.0).speeds([40], seconds=20)
    assert speed.repetitions == 5
    assert speed.seconds == 4.0
    # Four fifths of the way from 5 to 8: rank 0.95 x 4 = 3.8.
    assert speed.p95 == pytest.approx(7.4)
    assert speed.images_per_second == 10.0
    assert speed.spread == 20.0 - 8.0


def test_repeats_three_times_even_if_that_takes_longer_than_its_share():
    (speed,) = Sampler(0.9).speeds([1], seconds=1)
    assert speed.repetitions == 3


def test_does_not_repeat_a_call_that_is_longer_than_its_share():
    (speed,) = Sampler(1.1).speeds([1], seconds=1)
    assert speed.repetitions == 1 and speed.spread == 0.0


def test_batch_sizes_share_the_seconds():
    sampler = Sampler(1.0)
    speeds = sampler.speeds([1, 64], seconds=20)
    assert [speed.batch_size for speed in speeds] == [1, 64]
    assert [speed.repetitions for speed in speeds] == [10, 10]
    assert sampler.calls == [1] * 11 + [64] * 11


def test_says_how_many_threads_worked():
    (speed,) = Sampler(1.0).speeds([1], seconds=1)
    assert speed.threads == torch.get_num_threads()


def test_cuda_is_waited_for_at_both_ends(monkeypatch):
    events = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: events.append("wait"))
    times = iter(range(100))

    def clock():
        events.append("clock")
        return float(next(times))

    sampling_speed(
        lambda n: events.append("sample"), [1], torch.device("cuda"), seconds=1, clock=clock
    )
    one = ["wait", "clock", "sample", "wait", "clock"]
    assert events == one * 4


def test_a_timed_call_is_a_call_and_its_seconds():
    sampler = Sampler(3.0)
    assert timed_call(sampler, 7, CPU, sampler.clock) == 3.0
    assert sampler.calls == [7]


@pytest.mark.gpu
def test_runs_on_cuda():
    device = torch.device("cuda")
    (speed,) = sampling_speed(lambda n: torch.zeros(n, device=device), [4], device, seconds=0.01)
    assert speed.repetitions >= 3

from collections.abc import Callable

import pytest
import torch

from harness.machine.clock import CpuClock, CudaClock, clock_for


class Time:
    """Seconds that pass only when told."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


class Device:
    """A device with a queue: ``launch`` is immediate, the work takes its time."""

    def __init__(self) -> None:
        self.now = 0.0
        self.idle_at = 0.0
        self.aside_until = 0.0
        self.waits: list[str] = []

    def launch(self, seconds: float) -> None:
        self.idle_at = max(self.idle_at, self.now) + seconds

    def launch_aside(self, seconds: float) -> None:
        """Work on another stream, which events of the first do not wait for."""
        self.aside_until = max(self.aside_until, self.now) + seconds

    def mark(self) -> "Mark":
        return Mark(self, max(self.idle_at, self.now))

    def synchronize(self) -> None:
        self.waits.append("device")
        self.now = max(self.now, self.idle_at, self.aside_until)


class Mark:
    def __init__(self, device: Device, at: float) -> None:
        self.device, self.at = device, at

    def query(self) -> bool:
        return self.device.now >= self.at

    def synchronize(self) -> None:
        self.device.waits.append("event")
        self.device.now = max(self.device.now, self.at)

    def elapsed_time(self, end: "Mark") -> float:
        assert self.query() and end.query(), "torch raises on events that are not done"
        return (end.at - self.at) * 1e3


def cuda_clock(device: Device, ahead: int = 8) -> CudaClock:
    return CudaClock(torch.device("cuda"), device.mark, device.synchronize, ahead)


def test_cpu_clock_times_each_window_alone():
    time = Time()
    clock = CpuClock(time)
    time.seconds += 5
    clock.start()
    time.seconds += 0.25
    clock.tick()
    assert clock.elapsed() == 0.25
    time.seconds += 0.5
    assert clock.stop() == 0.75
    time.seconds += 7
    clock.start()
    time.seconds += 2
    assert clock.stop() == 2


def test_cuda_window_begins_and_ends_with_an_idle_device():
    device = Device()
    device.launch(3)
    clock = cuda_clock(device)
    clock.start()
    assert (device.now, device.waits) == (3, ["device"])
    device.launch(2)
    clock.tick()
    assert clock.stop() == 2
    assert (device.now, device.waits) == (5, ["device", "device"])


def test_cuda_work_on_another_stream_is_on_the_clock():
    """An event of one stream is reached while the work of another is still going on."""
    device = Device()
    clock = cuda_clock(device)
    clock.start()
    device.launch(1)
    clock.tick()
    device.launch_aside(5)
    assert clock.stop() == 5
    clock.start()
    device.launch(1)
    assert clock.stop() == 1


def test_cuda_elapsed_is_that_of_the_last_step_done_and_never_waits():
    device = Device()
    clock = cuda_clock(device)
    clock.start()
    device.waits.clear()
    for _ in range(4):
        device.launch(1)
        clock.tick()
    assert clock.elapsed() == 0
    device.now = 2.5
    assert clock.elapsed() == 2
    assert clock.elapsed() == 2
    device.now = 10
    assert clock.elapsed() == 4
    assert device.waits == []


def test_cuda_host_time_between_steps_is_on_the_clock():
    device = Device()
    clock = cuda_clock(device)
    clock.start()
    for _ in range(3):
        device.launch(1)
        clock.tick()
        device.now += 5
    assert clock.stop() == 15


def test_cuda_run_ahead_is_bounded():
    device = Device()
    clock = cuda_clock(device, ahead=4)
    clock.start()
    for step in range(1, 101):
        device.launch(1)
        clock.tick()
        assert step - device.now <= 4
        assert step - clock.elapsed() <= 4
    assert "device" not in device.waits[1:]
    assert clock.stop() == 100


def steps_until(limit: float, device: Device, clock: CudaClock) -> float:
    clock.start()
    while clock.elapsed() < limit:
        device.launch(1)
        clock.tick()
    return clock.stop()


@pytest.mark.parametrize("ahead", [1, 8])
def test_cuda_overrun_is_at_most_the_run_ahead(ahead):
    device = Device()
    assert 20 <= steps_until(20, device, cuda_clock(device, ahead)) <= 20 + ahead


def test_cuda_forgets_the_last_window():
    device = Device()
    clock = cuda_clock(device)
    clock.start()
    device.launch(1)
    clock.tick()
    clock.stop()
    device.now += 50
    clock.start()
    assert clock.elapsed() == 0
    device.launch(2)
    clock.tick()
    assert clock.stop() == 2


def test_cuda_forgets_a_window_that_was_left_open():
    device = Device()
    clock = cuda_clock(device)
    clock.start()
    device.launch(1)
    clock.tick()
    device.now += 50
    clock.start()
    assert clock.elapsed() == 0


def test_cuda_clock_must_be_started():
    with pytest.raises(RuntimeError, match="not started"):
        cuda_clock(Device()).stop()


def test_clock_for():
    assert isinstance(clock_for(torch.device("cpu")), CpuClock)
    assert isinstance(clock_for(torch.device("cuda")), CudaClock)


@pytest.mark.gpu
def test_cuda_clock_covers_the_work_of_the_device():
    device = torch.device("cuda")
    x = torch.randn(4096, 4096, device=device)

    def seconds(steps: int, after: Callable[[CudaClock], None]) -> float:
        clock = CudaClock(device)
        clock.start()
        for _ in range(steps):
            torch.mm(x, x)
            clock.tick()
            after(clock)
        elapsed = clock.elapsed()
        total = clock.stop()
        assert elapsed <= total
        assert clock.elapsed() == total
        return total

    seconds(2, lambda clock: None)
    short, long = seconds(20, lambda clock: None), seconds(200, lambda clock: None)
    assert long > 3 * short > 0

import io

import psutil
import pytest
import torch
from torch.optim import SGD, Adam, Optimizer

from harness.machine.memory import peak_memory
from harness.planning.budget import Budget
from harness.row import Usage
from harness.training import ledger as ledger_module
from harness.training.ledger import Ledger, unaccounted


class Time:
    """Seconds that pass only when told."""

    def __init__(self, seconds: float = 1000.0) -> None:
        self.seconds = seconds

    def __call__(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


class FakeClock:
    """A device clock that lags behind the wall and catches up when stopped."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.done = 0.0

    def start(self) -> None:
        self.calls.append("start")
        self.done = 0.0

    def tick(self) -> None:
        self.done += 0.25

    def elapsed(self) -> float:
        return self.done

    def stop(self) -> float:
        self.calls.append("stop")
        return self.done + 0.125


@pytest.fixture
def time():
    return Time()


@pytest.fixture
def ledger(time):
    return Ledger(now=time)


def parameter():
    p = torch.nn.Parameter(torch.zeros(1))
    p.grad = torch.ones(1)
    return p


def test_time_since_the_process_was_spawned_is_setup(time):
    ledger = Ledger(origin=time() - 3, now=time)
    with ledger.phase("setup"):
        time.sleep(2)
    usage = ledger.usage()
    assert usage.phases == {"setup": 5}
    assert usage.wall == 5


def test_parts_of_an_evaluation_lie_within_its_phase_and_go_on_in_another_process(time, ledger):
    with ledger.phase("eval"):
        for name, seconds in (("sampling", 1), ("scoring", 2), ("sampling", 4)):
            with ledger.part(name):
                time.sleep(seconds)
        time.sleep(8)
    usage = ledger.usage()
    assert usage.evaluation == {"sampling": 5, "scoring": 2}
    assert usage.phases["eval"] == 15
    again = Ledger(now=time)
    again.load_state_dict(ledger.state_dict())
    with again.part("scoring"):
        time.sleep(1)
    assert again.usage().evaluation == {"sampling": 5, "scoring": 3}


def test_a_row_without_parts_is_written_as_before(ledger):
    assert "evaluation" not in ledger.usage().model_dump()
    assert "evaluation" not in ledger.state_dict()


def test_phases_accumulate(time, ledger):
    for name, seconds in (("warm_up", 1), ("train", 2), ("eval", 4), ("train", 8), ("io", 16)):
        with ledger.phase(name):
            time.sleep(seconds)
    assert ledger.usage().phases == {"setup": 0, "warm_up": 1, "train": 10, "eval": 4, "io": 16}
    assert ledger.usage().wall == 31


def test_inner_phase_pauses_the_outer(time, ledger):
    with ledger.phase("train"):
        time.sleep(1)
        with ledger.phase("io"):
            time.sleep(10)
            with ledger.phase("eval"):
                time.sleep(100)
        time.sleep(2)
    usage = ledger.usage()
    assert usage.phases == {"setup": 0, "train": 3, "io": 10, "eval": 100}
    assert unaccounted(usage) == 0


def test_phase_ends_with_an_exception(time, ledger):
    with pytest.raises(KeyError), ledger.phase("train"):
        time.sleep(1)
        raise KeyError
    time.sleep(4)
    assert ledger.usage().phases["train"] == 1
    assert ledger.usage().wall == 5


def test_usage_inside_a_phase_is_up_to_date(time, ledger):
    with ledger.phase("train"):
        time.sleep(1)
        assert ledger.usage().phases["train"] == 1
        time.sleep(1)
    assert ledger.usage().phases["train"] == 2


def test_unaccounted_is_the_share_of_no_phase(time, ledger):
    with ledger.phase("train"):
        time.sleep(98)
    time.sleep(2)
    assert unaccounted(ledger.usage()) == pytest.approx(0.02)
    assert unaccounted(Usage(wall=50, phases={"train": 51})) == pytest.approx(0.02)
    assert unaccounted(Usage()) == 0


def test_steps_add_up(ledger):
    ledger.record_step(64, 1e9)
    ledger.record_step(32, 5e8)
    ledger.add_seconds(1.5)
    ledger.add_seconds(2)
    usage = ledger.usage()
    assert (usage.batches, usage.images, usage.flops, usage.seconds) == (2, 96, 1.5e9, 3.5)


def test_window_reads_the_clock_while_it_runs(ledger):
    clock = FakeClock()
    ledger.add_seconds(10)
    with ledger.window(clock):
        clock.tick()
        assert ledger.seconds == 10.25
        clock.tick()
        assert Budget.parse("21 s").fraction(ledger) == 0.5
    assert ledger.seconds == 10.625
    with pytest.raises(KeyError), ledger.window(clock):
        raise KeyError
    assert ledger.seconds == 10.75
    assert clock.calls == ["start", "stop"] * 2


class Inherited(SGD):
    """Calls the step it overrides, which has a hook of its own."""

    def step(self, closure=None):
        return super().step(closure)


class Lookahead(Optimizer):
    """Makes two steps of another optimizer a step of its own."""

    def __init__(self, params, inner):
        super().__init__(params, {})
        self.inner = inner

    def step(self, closure=None):
        self.inner.step()
        self.inner.step()


def test_counts_the_steps_of_every_optimizer(ledger):
    discriminator, generator = SGD([parameter()], lr=0.1), Adam([parameter()])
    generator.step()
    with ledger.counting_optimizer_steps():
        for _ in range(3):
            discriminator.step()
        generator.step()
        SGD([parameter()], lr=0.1).step()
    generator.step()
    assert ledger.usage().steps == 5


def test_a_step_within_a_step_is_no_other(ledger):
    SGD([parameter()], lr=0.1).step()  # from here on SGD.step itself is hooked
    p = parameter()
    inherited, lookahead = Inherited([p], lr=0.1), Lookahead([p], SGD([p], lr=0.1))
    with ledger.counting_optimizer_steps():
        inherited.step()
        lookahead.step()
    assert ledger.steps == 2


def test_counting_recovers_from_a_step_that_raised(ledger):
    p = parameter()

    def fail():
        raise KeyError

    with ledger.counting_optimizer_steps():
        with pytest.raises(KeyError):
            SGD([p], lr=0.1).step(fail)
    with ledger.counting_optimizer_steps():
        SGD([p], lr=0.1).step()
    assert ledger.steps == 1


def test_resumed_process_continues(time, ledger):
    with ledger.phase("warm_up"):
        time.sleep(1)
    with ledger.phase("train"), ledger.counting_optimizer_steps():
        time.sleep(5)
        Adam([parameter()]).step()
        ledger.record_step(64, 1e9)
        ledger.add_seconds(4.5)
    ledger.uncounted = {"aten.cumsum": 2}
    buffer = io.BytesIO()
    torch.save(ledger.state_dict(), buffer)
    time.sleep(500)  # the rest was lost with the process, and then nobody worked

    buffer.seek(0)
    resumed = Ledger(origin=time() - 7, now=time)
    resumed.load_state_dict(torch.load(buffer, weights_only=True))
    assert Budget.parse("9 s").fraction(resumed) == 0.5
    with resumed.phase("train"):
        time.sleep(10)
    resumed.record_step(64, 1e9)
    resumed.add_seconds(9)
    usage = resumed.usage()
    assert usage.phases == {"setup": 7, "warm_up": 1, "train": 15}
    assert usage.wall == 23
    assert unaccounted(usage) == 0
    assert (usage.seconds, usage.flops, usage.images) == (13.5, 2e9, 128)
    assert (usage.steps, usage.batches, usage.starts) == (1, 2, 2)
    assert usage.uncounted == {"aten.cumsum": 2}

    third = Ledger(now=time)
    third.load_state_dict(resumed.state_dict())
    assert third.usage().starts == 3


def test_state_is_that_of_the_row(ledger):
    ledger.overrun = 0.5
    assert ledger.usage().model_dump() == ledger.state_dict()


def test_snapshot_does_not_change(time, ledger):
    usage, state = ledger.usage(), ledger.state_dict()
    with ledger.phase("setup"):
        time.sleep(1)
    ledger.uncounted["aten.cumsum"] = 1
    assert usage.phases == state["phases"] == {"setup": 0}
    assert usage.uncounted == state["uncounted"] == {}


def test_peak_memory_is_that_of_training(monkeypatch, ledger):
    """Of a device whose peak rises until it is reset."""
    device = {"peak": 0}
    monkeypatch.setattr(ledger_module, "peak_memory", lambda _: device["peak"])
    monkeypatch.setattr(ledger_module, "reset_peak_memory", lambda _: device.update(peak=0))
    for name, peak in (("warm_up", 900), ("train", 300), ("eval", 800), ("train", 200)):
        with ledger.phase(name):
            device["peak"] = max(device["peak"], peak)
    assert ledger.usage().peak_memory == 300
    resumed = Ledger()
    resumed.load_state_dict(ledger.state_dict())
    assert resumed.peak_memory == 300


def test_peak_memory_of_a_process_never_falls():
    cpu = torch.device("cpu")
    more, before = 2**26, peak_memory(cpu)
    block = torch.ones(before - psutil.Process().memory_info().rss + more, dtype=torch.uint8)
    del block
    assert before + more / 2 < peak_memory(cpu) < before + 2 * more


@pytest.mark.gpu
def test_peak_memory_of_a_gpu():
    device = torch.device("cuda")
    ledger = Ledger(device)
    with ledger.phase("warm_up"):
        torch.empty(2**28, dtype=torch.uint8, device=device)
    with ledger.phase("train"):
        torch.empty(2**24, dtype=torch.uint8, device=device)
    assert 2**24 <= ledger.peak_memory < 2**28


class Work:
    """A clock of a window, and CPU times, that pass when told; and who was paused when."""

    def __init__(self, time):
        self.time = time
        self.cpu = [5.0, 7.0]
        self.pauses = []
        self.begin = 0.0

    def compute(self, seconds, threads=1):
        self.time.sleep(seconds)
        self.cpu[0] += seconds
        self.cpu[1] += threads * seconds

    def pause(self, seconds):
        self.pauses.append((self.time(), self.time() + seconds))
        self.time.sleep(seconds)

    def paused_between(self, begin, end):
        return sum(max(0, min(end, last) - max(begin, first)) for first, last in self.pauses)

    def start(self):
        self.begin = self.time()

    def stop(self):
        return self.time() - self.begin

    elapsed = stop


@pytest.fixture
def work(time):
    return Work(time)


def charged(work, *parts, device="cpu"):
    """Return the device-seconds, pauses and idle seconds of one window."""
    ledger = Ledger(
        torch.device(device),
        now=work.time,
        paused_between=work.paused_between,
        cpu_times=lambda: tuple(work.cpu),
    )
    with ledger.window(work):
        for part in parts:
            part()
    usage = ledger.usage()
    assert usage == Usage(**ledger.state_dict())
    return usage.seconds, usage.paused, usage.idle


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_pause_is_not_charged_and_stands_in_the_row(work, device):
    """Of a CUDA device too, though what its host computes tells nothing of it."""
    parts = lambda: work.compute(0.5), lambda: work.pause(14.0), lambda: work.compute(0.25)
    assert charged(work, *parts, device=device) == (0.75, 14.0, 0.0)
    # A pause before the window is not its own.
    assert charged(work, lambda: work.compute(1.0), device=device) == (1.0, 0.0, 0.0)


def test_several_threads_do_not_hide_a_pause(work):
    parts = lambda: work.compute(1.0, threads=8), lambda: work.pause(4.0)
    assert charged(work, *parts) == (1.0, 4.0, 0.0)


def test_what_computed_was_not_paused_whatever_the_watcher_says(work):
    """It was stopped alone."""
    work.pauses.append((work.time(), work.time() + 10))
    assert charged(work, lambda: work.compute(3.0)) == (3.0, 0.0, 0.0)


def test_time_without_cpu_time_is_charged_and_reported(work):
    """A model that waits, or a machine that others keep busy: nobody can tell them apart."""
    wait = lambda: work.time.sleep(3.0)  # noqa: E731
    assert charged(work, lambda: work.compute(1.0), wait) == (4.0, 0.0, 3.0)
    assert charged(work, lambda: work.compute(4.0), wait) == (7.0, 0.0, 0.0)
    # A device works while its host waits.
    assert charged(work, wait, device="cuda") == (3.0, 0.0, 0.0)


def test_pauses_are_added_up_over_processes_and_devices(work):
    def run(state=None):
        ledger = Ledger(
            now=work.time, paused_between=work.paused_between, cpu_times=lambda: tuple(work.cpu)
        )
        ledger.devices = 2
        if state:
            ledger.load_state_dict(state)
        with ledger.window(work):
            work.compute(1.0)
            work.pause(2.0)
        return ledger.state_dict()

    assert (run()["seconds"], run()["paused"]) == (2.0, 2.0)
    again = run(run())
    assert (again["seconds"], again["paused"]) == (4.0, 4.0)

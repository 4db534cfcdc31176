"""The sweep over batch sizes, each model in a process of its own.

In its own process each model has a cold first call and its own peak memory, and running out of
memory ends only one sweep.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

import torch

from harness.errors import UserError
from harness.machine.exceptions import is_out_of_memory
from harness.machine.memory import peak_memory, reset_peak_memory
from harness.measurement.sampling import Sampler
from harness.metrics.speed import Speed, sampling_speed, timed_call
from harness.plugins.registry import registry
from harness.speed.subject import draw, parameters, untrained_sampler

BATCH_SIZES = tuple(2**k for k in range(11))
NO_MEMORY = "out of memory"


@dataclass(frozen=True)
class Request:
    """A request of what to measure.

    Attributes:
        model: its name.
        dataset: whose images it generates.
        batch_sizes: in ascending order.
        seconds: of timed calls at each batch size.
        longest: seconds; the sweep ends before a call that would take longer.
        device: cpu or a CUDA device.
        threads: of torch on a CPU; 0 leaves them as they are.
    """

    model: str
    dataset: str = "digits"
    batch_sizes: tuple[int, ...] = BATCH_SIZES
    seconds: float = 1.0
    longest: float = 60.0
    device: str = "cpu"
    threads: int = 0


@dataclass(frozen=True)
class Cost:
    """Costs that do not depend on the batch size.

    Attributes:
        cold_start: seconds of the first call, of the smallest batch.
        parameters: of the model.
        evaluations: calls of the network per batch.
        flops: per image.
        uncounted: operators without a formula, which ``flops`` lacks, with their calls per batch.
    """

    cold_start: float
    parameters: int
    evaluations: float
    flops: float
    uncounted: dict[str, int]


@dataclass(frozen=True)
class Step:
    """One batch size: its speed, and the peak of memory up to here in bytes.

    The peak is of the device on CUDA, at this batch size; of the process on a CPU, so far.
    """

    speed: Speed
    peak_memory: int


@dataclass
class Sweep:
    """The measurements of one model.

    Attributes:
        request: the request.
        cost: None if the first call failed.
        steps: one per batch size, as far as the sweep went.
        ended: why it ended before the last batch size; empty if it did not.
    """

    request: Request
    cost: Cost | None = None
    steps: list[Step] = field(default_factory=list)
    ended: str = ""

    def take(self, message: Cost | Step | str) -> None:
        """Record a message of the sweep."""
        match message:
            case Cost():
                self.cost = message
            case Step():
                self.steps.append(message)
            case str():
                self.ended = message


def measure(request: Request) -> Sweep:
    """Sweep one model in a new process; measurements are kept even if it dies.

    Raises:
        UserError: there is no such model or data set, or the model does not support the data set.
    """
    spawn = multiprocessing.get_context("spawn")
    receiver, sender = spawn.Pipe(duplex=False)
    process = spawn.Process(target=_work, args=(sender, request), daemon=True)
    process.start()
    sender.close()
    sweep = Sweep(request)
    finished = False
    try:
        while not finished:
            message = receiver.recv()
            if isinstance(message, UserError):
                raise message
            finished = message is None
            if not finished:
                sweep.take(message)
    except EOFError:
        process.join()
        # The OOM killer ends processes.
        killed = f"{NO_MEMORY}: the process was killed" if process.exitcode == -9 else ""
        sweep.ended = killed or f"the process ended with exit code {process.exitcode}"
    finally:
        process.join()
    return sweep


def _work(sender: Connection, request: Request) -> None:
    """Sweep in this process, and send the results."""
    if request.threads:
        torch.set_num_threads(request.threads)
    try:
        device = torch.device(request.device)
        sampler = untrained_sampler(registry(), request.model, request.dataset, device)
        for message in sweep(sampler, request.batch_sizes, request.seconds, request.longest):
            sender.send(message)
    except UserError as error:
        sender.send(error)
    except Exception as error:
        sender.send(f"{type(error).__name__}: {error}")
    sender.send(None)


def sweep(
    sampler: Sampler, batch_sizes: Sequence[int], seconds: float, longest: float
) -> Iterator[Cost | Step | str]:
    """Yield the cost of sampling, the speed at each batch size, and why it ended early if it did.

    Args:
        sampler: of a model that was never called.
        batch_sizes: in ascending order.
        seconds: of timed calls at each.
        longest: a call that is expected to take more seconds is not made.
    """
    device = sampler.device
    try:
        cold = timed_call(lambda n: draw(sampler, n), batch_sizes[0], device)
        cost = sampler.cost()
        yield Cost(cold, parameters(sampler), *cost)
        last: Speed | None = None
        for n in batch_sizes:
            if last and last.seconds * n / last.batch_size > longest:
                yield f"a batch of {n} would take more than {longest:g} s"
                return
            reset_peak_memory(device)
            [last] = sampling_speed(lambda n: draw(sampler, n), [n], device, seconds=seconds)
            yield Step(last, peak_memory(device))
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        yield NO_MEMORY

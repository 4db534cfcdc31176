"""A plugin whose models fail in every way that a worker has to survive, and one that works.

It is installed by writing the metadata of a distribution beside a copy of this file and putting
that folder on PYTHONPATH, which is all that an installer would do.
"""

from __future__ import annotations

import ctypes
import locale
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from harness.contract import Batch, GenerativeModel, LogLikelihood, setting
from harness.hooks import ModelInfo, hookimpl

FAULTS = (
    "steady",
    "raises",
    "segfaults",
    "leaves",
    "hangs",
    "diverges",
    "overflows-memory",
    "samples-floats",
    "unsupported",
    "exits",
    "exits-as-if-done",
    "exits-as-if-stopped",
    "interrupts",
    "crashes",
    "allocates",
    "swallows",
    "hangs-at-birth",
    "hangs-in-sample",
    "idles",
    "kills-itself",
    "forks",
    "leaves-threads",
    "leaves-children",
    "prints",
    "disturbs",
    "removes-its-folder",
    "talks-for-ever",
    "raises-children",
    "closes-descriptors",
)


@hookimpl
def harness_models() -> list[ModelInfo]:
    return [
        ModelInfo(name, f"a model that {name}", f"faulty_plugin:{_class_name(name)}", type="toy")
        for name in FAULTS
    ]


def _class_name(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("-"))


@dataclass(frozen=True)
class Config:
    batch_size: int = setting(32, "images per step")
    step_seconds: float = setting(0.0, "time that a step takes at least")


class Steady(GenerativeModel):
    """Independent pixels: softmax over levels, trained by Adam on the exact likelihood."""

    Config = Config

    def __init__(self, spec, config) -> None:
        super().__init__(spec, config)
        self.network = nn.Linear(1, spec.dimensions * spec.levels)
        self.optimizers = {"adam": torch.optim.Adam(self.parameters(), lr=0.05)}

    def log_p(self) -> Tensor:
        one = next(self.parameters()).new_ones(1, 1)
        return self.network(one).view(self.spec.dimensions, self.spec.levels).log_softmax(1)

    def training_step(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        time.sleep(self.config.step_seconds)
        loss = -self._nats(batch.x).mean() + 0.0 * torch.rand(())
        self.optimizers["adam"].zero_grad()
        loss.backward()
        self.optimizers["adam"].step()
        return {"nats": loss.detach()}

    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        drawn = torch.multinomial(self.log_p().exp(), n, replacement=True)
        return drawn.T.reshape(n, *self.spec.shape).to(torch.uint8)

    def log_likelihood(self, x: Tensor, y: Tensor | None = None) -> LogLikelihood:
        return LogLikelihood(self._nats(x), "exact")

    def _nats(self, images: Tensor) -> Tensor:
        index = images.flatten(1).long().unsqueeze(2)
        return self.log_p().expand(len(images), -1, -1).gather(2, index).sum((1, 2))


class Raises(Steady):
    def training_step(self, batch, progress):
        if progress > 0.3:
            raise RuntimeError("the plugin is\nbroken <b>here</b>")
        return super().training_step(batch, progress)


class Segfaults(Steady):
    def training_step(self, batch, progress):
        os.kill(os.getpid(), signal.SIGSEGV)


class Leaves(Steady):
    def training_step(self, batch, progress):
        os._exit(3)


class Hangs(Steady):
    def training_step(self, batch, progress):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(600)


class Diverges(Steady):
    def training_step(self, batch, progress):
        losses = super().training_step(batch, progress)
        return {"nats": losses["nats"] / (0.0 if progress > 0.3 else 1.0)}


class OverflowsMemory(Steady):
    def training_step(self, batch, progress):
        raise MemoryError("cannot allocate 1 EiB")


class SamplesFloats(Steady):
    def sample(self, n, y=None):
        return super().sample(n).float()


class Unsupported(Steady):
    @classmethod
    def supports(cls, spec) -> str | None:
        return "it paints in oil only"


class Exits(Steady):
    def training_step(self, batch, progress):
        sys.exit(0)


class ExitsAsIfDone(Steady):
    def training_step(self, batch, progress):
        os._exit(0)


class ExitsAsIfStopped(Steady):
    def sample(self, n, y=None):
        os._exit(75)


class Interrupts(Steady):
    def training_step(self, batch, progress):
        raise KeyboardInterrupt


class Crashes(Steady):
    def training_step(self, batch, progress):
        ctypes.string_at(0)


class Allocates(Steady):
    def training_step(self, batch, progress):
        torch.empty(1 << 50)


class Swallows(Steady):
    """Keeps another 64 MiB at every step, as if each of them were needed."""

    def training_step(self, batch, progress):
        self.kept = [*getattr(self, "kept", ()), torch.ones(2**24)]
        return super().training_step(batch, progress)


class HangsAtBirth(Steady):
    """Holds the interpreter's lock, so that no other thread and no handler of a signal runs."""

    def __init__(self, spec, config) -> None:
        super().__init__(spec, config)
        ctypes.PyDLL(None).sleep(600)


class HangsInSample(Steady):
    def sample(self, n, y=None):
        threading.Event().wait()


class Idles(Steady):
    """Ends every step, and never uses any of a budget in optimizer steps."""

    def training_step(self, batch, progress):
        time.sleep(0.05)
        return {"nats": -self._nats(batch.x).mean().detach()}


class KillsItself(Steady):
    def training_step(self, batch, progress):
        os.kill(os.getpid(), signal.SIGKILL)


class Forks(Steady):
    """Comes back to the trial twice, in every step."""

    def training_step(self, batch, progress):
        os.fork()
        return super().training_step(batch, progress)


class LeavesThreads(Steady):
    def training_step(self, batch, progress):
        if progress == 0:
            threading.Thread(target=time.sleep, args=(600,)).start()
        return super().training_step(batch, progress)


class LeavesChildren(Steady):
    def training_step(self, batch, progress):
        if progress == 0:
            print("left", subprocess.Popen(["sleep", "600"]).pid, flush=True)
        return super().training_step(batch, progress)


class Prints(Steady):
    def training_step(self, batch, progress):
        if progress == 0:
            print("first", flush=True)
            for _ in range(40):
                print("x" * 2**20, flush=True)
            print("last", flush=True)
        return super().training_step(batch, progress)


class Disturbs(Steady):
    """Changes whatever is global, and then does as ``Steady``."""

    def training_step(self, batch, progress):
        losses = super().training_step(batch, progress)
        disturb()
        return losses

    def sample(self, n, y=None):
        images = super().sample(n, y)
        disturb()
        return images


class RemovesItsFolder(Steady):
    """Clears away the folder of its own trial, in every step and every call of ``sample``."""

    def training_step(self, batch, progress):
        remove_folder()
        return super().training_step(batch, progress)

    def sample(self, n, y=None):
        remove_folder()
        return super().sample(n, y)


class TalksForEver(Steady):
    def training_step(self, batch, progress):
        raise RuntimeError("it begins " + "x" * 3_000_000 + " and ends")


class RaisesChildren(Steady):
    """Ends a fork as multiprocessing does, and leaves two daemons in sessions of their own."""

    def training_step(self, batch, progress):
        if progress == 0:
            for number in (signal.SIGTERM, signal.SIGINT):
                pid = os.fork()
                if pid == 0:
                    wait_to_be_ended()
                os.kill(pid, number)
                _, status = os.waitpid(pid, 0)
                print("a fork ended with", os.waitstatus_to_exitcode(status), flush=True)
            daemon = os.fork()
            if daemon == 0:
                os.setsid()
                time.sleep(600)
            options = {"close_fds": False, "start_new_session": True}
            executed = subprocess.Popen(["sleep", "600"], **options)
            print(f"left {daemon}\nleft {executed.pid}", flush=True)
        return super().training_step(batch, progress)


def wait_to_be_ended() -> None:
    try:
        while True:
            time.sleep(0.01)
    except KeyboardInterrupt:
        os._exit(3)


class ClosesDescriptors(Steady):
    """As a program does that makes a daemon of itself; and goes to a folder that it removes."""

    def training_step(self, batch, progress):
        if progress == 0:
            os.closerange(3, 1024)
            os.chdir(tempfile.mkdtemp())
            os.rmdir(os.getcwd())
        return super().training_step(batch, progress)


def remove_folder() -> None:
    """Remove the folder that this process logs to."""
    log = os.readlink("/proc/self/fd/1").removesuffix(" (deleted)")
    shutil.rmtree(Path(log).parent, ignore_errors=True)


def disturb() -> None:
    torch.manual_seed(666)
    torch.set_default_dtype(torch.float64)
    torch.use_deterministic_algorithms(False)
    torch.set_num_threads(3)
    torch.backends.cudnn.benchmark = True
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    locale.setlocale(locale.LC_ALL, "C")
    os.environ["OMP_NUM_THREADS"] = "3"
    os.chdir("/")


def install(folder: Path) -> dict[str, str]:
    """Install this plugin into ``folder``; return the environment in which it is found."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(__file__, folder / "faulty_plugin.py")
    metadata = folder / "faulty_plugin-1.0.dist-info"
    metadata.mkdir(exist_ok=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: faulty-plugin\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[harness]\nfaulty = faulty_plugin\n")
    return os.environ | {"PYTHONPATH": str(folder), "GENHARNESS_CACHE": str(folder / "cache")}


def harness(*arguments: str, env: dict[str, str]) -> list[str]:
    """Return the command that runs the command line in ``env``."""
    return [sys.executable, "-m", "harness", *arguments]

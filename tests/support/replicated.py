"""Trials in several processes of one test, and in this one; spawned ones import it."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from support.toys import Alternating, Config, Regressor, split
from torch import Tensor, nn
from torch.multiprocessing.spawn import spawn

from harness.contract import Batch, DataSpec, GenerativeModel
from harness.machine.clock import CpuClock
from harness.machine.seeding import BUILD, reseed
from harness.planning.budget import Budget
from harness.training.averaging import WeightAverage
from harness.training.batches import BatchStream
from harness.training.ledger import Ledger
from harness.training.loop import Training
from harness.training.parallel.replicas import NotParallel, Replicas, SingleProcess
from harness.training.step_costs import measure_steps

CPU = torch.device("cpu")
SPEC = DataSpec.images((1, 8, 8), 17, 3)


class Penalised(Alternating):
    """A critic with batch normalisation and a gradient penalty, and with dropout."""

    def __init__(self, spec: DataSpec, config: Config) -> None:
        super().__init__(spec, config)
        self.critic = nn.Sequential(
            nn.Linear(spec.dimensions, 16), nn.BatchNorm1d(16), nn.Dropout(0.3), nn.Linear(16, 1)
        )
        self.optimizers["critic"] = torch.optim.Adam(self.critic.parameters(), lr=0.01)

    def training_step(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        x = batch.x.float().flatten(1)
        mix = torch.rand(len(x), 1)
        between = (mix * x + (1 - mix) * torch.zeros_like(x).normal_()).requires_grad_()
        score = self.critic(between)
        (gradient,) = torch.autograd.grad(score.sum(), between, create_graph=True)
        penalty = (gradient.norm(dim=1) - 1).square().mean()
        self.optimizers["critic"].zero_grad()
        score.mean().backward(retain_graph=True)
        # A second backward adds to gradients that are averages already.
        (penalty * torch.rand(())).backward()
        nn.utils.clip_grad_norm_(self.critic.parameters(), 0.1)
        self.optimizers["critic"].step()
        return {"penalty": penalty.detach()} | super(Alternating, self).training_step(batch, 0)


class Codebook(Regressor):
    """Follows the mean of its batches by another way than a gradient."""

    def __init__(self, spec: DataSpec, config: Config) -> None:
        super().__init__(spec, config)
        self.register_buffer("codebook", torch.zeros(spec.dimensions))

    def training_step(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        self.codebook.lerp_(batch.x.float().flatten(1).mean(0), 0.1)
        return super().training_step(batch, progress)


@dataclass(frozen=True)
class Case:
    """A model to train from its beginning, or from where an earlier case was left.

    Attributes:
        target: "module:class".
        after: name of the earlier case.
        stop: fraction of the budget to train to.
    """

    target: str
    settings: dict[str, Any] = field(default_factory=dict)
    budget: str = "96 images"
    after: str = ""
    stop: float = 1.0

    def build(self, replicas: SingleProcess) -> GenerativeModel:
        module, _, name = self.target.partition(":")
        model_class = getattr(importlib.import_module(module), name)
        reseed(CPU, 0, BUILD)
        model = model_class(SPEC, model_class.Config(**{"batch_size": 8} | self.settings)).train()
        replicas.prepare(model)
        return model

    def training(self, replicas: SingleProcess) -> Training:
        stream = BatchStream(split(64, spec=SPEC), 8, 0, CPU)
        model, ledger = self.build(replicas), Ledger(CPU)
        ledger.devices = replicas.count
        return Training(
            model,
            stream,
            Budget.parse(self.budget),
            ledger,
            CpuClock(),
            WeightAverage(model, 1000),
            measure_steps(lambda: self.build(replicas), stream, "fp32", replicas),
            precision="fp32",
            seed=0,
            replicas=replicas,
        )

    def run(self, replicas: SingleProcess, earlier: dict[str, Any]) -> dict[str, Any]:
        """Train in windows of one step; return their losses, the state, and what was used."""
        run, losses = self.training(replicas), []
        if self.after:
            run.load_state_dict(earlier[self.after]["state"])
        try:
            while run.progress < self.stop:
                run.run_window(run.progress + 1e-9, 1e9)
                losses.append(dict(run.losses))
        except NotParallel as error:
            return {"error": str(error)}
        usage = run.ledger.usage().model_dump()
        return {"losses": losses, "state": run.state_dict(), "usage": usage}


def alone(cases: dict[str, Case]) -> dict[str, Any]:
    """Run the cases in this process."""
    found: dict[str, Any] = {}
    for name, case in cases.items():
        found[name] = case.run(SingleProcess(), found)
    return found


def together(count: int, folder: Path, cases: dict[str, Case]) -> list[dict[str, Any]]:
    """Run the cases in ``count`` processes; return what each of them found."""
    spawn(_one, (count, folder, cases), nprocs=count)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(count)]


def _one(rank: int, count: int, folder: Path, cases: dict[str, Case]) -> None:
    torch.set_num_threads(1)
    store = torch.distributed.FileStore(str(folder / "store"), count)
    replicas = Replicas(rank, count, store, CPU, patience=60.0)
    found: dict[str, Any] = {}
    for name, case in cases.items():
        found[name] = case.run(replicas, found)
    torch.save(found, folder / f"{rank}.pt")

"""Training in several processes of one test, and in this one; spawned ones import it."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import torch
from support.toys import split
from torch.multiprocessing.spawn import spawn

from harness.averaging import WeightAverage
from harness.budget import Budget
from harness.clock import CpuClock
from harness.contract import DataSpec, GenerativeModel
from harness.ledger import Ledger
from harness.parallel.replicas import Alone, Replicas
from harness.seeding import BUILD, reseed
from harness.stream import BatchStream
from harness.training import Training, measure_steps

CPU = torch.device("cpu")


def build(target: str, spec: DataSpec, settings: dict[str, Any]) -> GenerativeModel:
    """Build the model class at ``module:name``, always with the same weights."""
    module, _, name = target.partition(":")
    model_class = getattr(importlib.import_module(module), name)
    reseed(CPU, 0, BUILD)
    return model_class(spec, model_class.Config(**settings)).train()


def training(
    target: str, spec: DataSpec, settings: dict[str, Any], budget: str, replicas: Alone
) -> Training:
    """Return a model in training, with its steps measured."""
    torch.set_num_threads(1)
    stream = BatchStream(split(64, spec=spec), settings["batch_size"], 0, CPU)
    costly, model = (build(target, spec, settings) for _ in range(2))
    for each in (costly, model):
        replicas.prepare(each)
    ledger = Ledger(CPU)
    ledger.devices = replicas.count
    return Training(
        model,
        stream,
        Budget.parse(budget),
        ledger,
        CpuClock(),
        WeightAverage(model, 1000),
        measure_steps(costly, stream, "fp32", replicas),
        precision="fp32",
        seed=0,
        replicas=replicas,
    )


def curve(run: Training, start: dict[str, Any] | None = None, stop: float = 1.0) -> dict[str, Any]:
    """Train one window a step, and return the losses, the state and what was used."""
    if start is not None:
        run.load_state_dict(start)
    losses = []
    while run.progress < stop:
        run.run_window(run.progress + 1e-9, 1e9)
        losses.append(dict(run.losses))
    return {"losses": losses, "state": run.state_dict(), "usage": run.ledger.usage().model_dump()}


def in_processes(count: int, meeting: Path, *arguments: Any) -> list[dict[str, Any]]:
    """Return what ``curve`` returns in each of ``count`` processes."""
    store = meeting / "store"
    spawn(_one, (count, meeting, store, arguments), nprocs=count)
    return [torch.load(meeting / f"{rank}.pt", weights_only=True) for rank in range(count)]


def _one(rank: int, count: int, meeting: Path, store: Path, arguments: tuple[Any, ...]) -> None:
    *what, start, stop = arguments
    replicas = Replicas(rank, count, torch.distributed.FileStore(str(store), count), CPU, 60.0)
    torch.save(curve(training(*what, replicas), start, stop), meeting / f"{rank}.pt")
    replicas.close()

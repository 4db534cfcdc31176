"""One trial from its description to its row: set up, warm up, train, evaluate, write."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from harness.files.disk import write_json
from harness.files.text import storable
from harness.machine.clock import clock_for
from harness.machine.digests import tensors_digest
from harness.machine.hardware import calibrate, fingerprint
from harness.machine.heartbeat import Heartbeat, Interrupted, Progress
from harness.machine.precision import set_numerics
from harness.measurement import outlook
from harness.measurement.baselines import chosen_examples
from harness.measurement.figures import Metrics
from harness.measurement.interpolation import ROWS
from harness.measurement.pictures import draw_conditional
from harness.measurement.trial_pictures import (
    draw_interpolation,
    draw_suspects,
    write_pictures,
)
from harness.planning.budget import Budget
from harness.planning.plugin_identity import PlannedPlugins
from harness.planning.trial import REAL, Trial
from harness.plugins.capabilities import capabilities
from harness.plugins.guard import PluginGuard
from harness.plugins.loading import (
    load_dataset,
)
from harness.plugins.provenance import record_environment
from harness.plugins.registry import Registry
from harness.row import Row
from harness.training.averaging import WeightAverage
from harness.training.ledger import Ledger
from harness.training.loop import Training
from harness.training.parallel.leader import replicas_for
from harness.training.parallel.replicas import SingleProcess
from harness.worker import resumption
from harness.worker.building import Builder
from harness.worker.metric_labels import labelled
from harness.worker.trial_evaluation import TrialEvaluation
from harness.worker.warm_up import warm_up

log = logging.getLogger(__name__)

WINDOW_SECONDS = 1.0
"""Seconds of a timing window: synchronising CUDA costs far less than 1% of it."""


class TrialRun:
    """Runs one trial on one device, in a folder that may hold its checkpoint.

    Args:
        trial: to be run.
        folder: of its files.
        registry: of its plugins.
        device: cpu or a CUDA device.
        ledger: opened when the process started.
        heartbeat: reports progress to the driver, and receives requests to stop.
        guard: of what plugins change, if it already covers their import.
    """

    def __init__(
        self,
        trial: Trial,
        folder: Path,
        registry: Registry,
        device: torch.device,
        ledger: Ledger,
        heartbeat: Heartbeat,
        guard: PluginGuard | None = None,
    ) -> None:
        self.trial = trial
        self.folder = folder
        self.registry = registry
        self.device = device
        self.ledger = ledger
        self.heartbeat = heartbeat
        self.curve: list[dict[str, Any]] = []
        self.found: dict[str, Any] = {}
        self.machines = [fingerprint(device)]
        self.plugins = PlannedPlugins(trial, registry, guard)

    def run(self) -> Row:
        """Return the row of the trial.

        Raises:
            Diverged: losses or weights are no longer finite.
            Interrupted: asked to stop; a checkpoint holds the state.
        """
        with self.ledger.phase("setup"):
            self._begin()
            with self._plugin_code():
                self._set_up()
        if self.trial.is_reference:
            metrics, samples = self._measure_reference()
        else:
            metrics, samples = self._measure_model(self._train())
        with self.ledger.phase("io"):
            self._write_files(samples)
            self.plugins.check_all()
        return self.row("ok", metrics=metrics)

    def row(self, status: str, reason: str | None = None, metrics: Metrics | None = None) -> Row:
        """Return the trial's row with what is known so far."""
        found = self.found | {
            "usage": self.ledger.usage(),
            "metrics": labelled(metrics or {}, self.registry.metrics),
        }
        found["provenance"] = found.get("provenance", {}) | self.plugins.facts()
        return self.trial.row(status, reason, **found)

    def _begin(self) -> None:
        set_numerics(self.trial.precision)
        self.plugins.begin()
        self._plugin_code = self.plugins.guard.trial_code

    def _set_up(self) -> None:
        self.heartbeat.report(Progress("setup"))
        env = storable(record_environment())
        write_json(self.folder / "environment.json", env)
        self.found["provenance"] = self.trial.plugin | {
            key: env[key] for key in ("commit", "dirty", "command", "time", "python")
        }
        self.found["hardware"] = self.machines[-1]
        self.found["calibration"] = {"before": calibrate(self.device)}
        self._load_dataset()
        self.evaluation = TrialEvaluation(
            self.trial,
            self.dataset,
            self.registry,
            self.device,
            ledger=self.ledger,
            heartbeat=self.heartbeat,
            plugin_code=self._plugin_code,
            curve=self.curve,
        )

    def _load_dataset(self) -> None:
        with self._plugin_code():
            self.dataset = load_dataset(self.registry, self.trial.dataset)
        if self.dataset.fingerprint != self.trial.fingerprint:
            raise ValueError(f"data set {self.trial.dataset} differs from the planned one")

    def follow(self, replicas: SingleProcess) -> None:
        """Train in lockstep with the first process of the trial until that ends training."""
        self._begin()
        self._load_dataset()
        training = self._prepare(replicas)
        while replicas.agree(0.0):
            training.run_window(1.0, WINDOW_SECONDS)

    def _train(self) -> Training:
        trial, devices = self.trial, self.trial.needs.devices
        self.ledger.devices = devices
        with ExitStack() as others:
            with self.ledger.phase("setup"):
                replicas = others.enter_context(
                    replicas_for(
                        self.folder,
                        self.device,
                        devices,
                        trial.patience_seconds,
                        self.heartbeat.beat,
                    )
                )
            training = self._prepare(replicas)
            self._spend(training)
        return training

    def _prepare(self, replicas: SingleProcess) -> Training:
        """Return the model in training, resumed from its checkpoint."""
        trial = self.trial
        builder = Builder(trial, self.dataset, self.registry, self.device, self._plugin_code)
        with self.ledger.phase("setup"):
            model = builder.model(replicas)
            stream = builder.stream(model)
            self.found["capabilities"] = capabilities(type(model))
            self.found["parameters"] = sum(p.numel() for p in model.parameters())
        with self.ledger.phase("warm_up"):
            self.heartbeat.report(Progress("warm-up"))
            with self._plugin_code():
                self.warm_up = warm_up(builder, stream, replicas, self.heartbeat.beat)
        with self.ledger.phase("setup"):
            self.sampler = builder.sampler(model)
            training = Training(
                model,
                stream,
                Budget.parse(trial.budget),
                self.ledger,
                clock_for(self.device),
                WeightAverage(model, trial.averaging),
                self.warm_up.step_costs,
                precision=trial.precision,
                seed=trial.seed,
                replicas=replicas,
            )
            self._resume(training)
        return training

    def _spend(self, training: Training) -> None:
        """Train until the budget is used, pausing to evaluate, save and report."""
        milestones = sorted(self.trial.evaluation.curve)
        saved = self.ledger.seconds
        while training.replicas.agree(training.progress < 1):
            passed = len({point["fraction"] for point in self.curve})
            target = milestones[passed] if passed < len(milestones) else 1.0
            before = training.progress
            with self.ledger.phase("train"), self._plugin_code():
                training.run_window(target, WINDOW_SECONDS, self.heartbeat.stopped)
            # Steps that use none of the budget never end training: they count as silence.
            if training.progress > before:
                with self.ledger.phase("io"):
                    self._report(training)
            if training.progress >= target and passed < len(milestones):
                with self.ledger.phase("eval"):
                    self.evaluation.on_the_way(training, self.sampler, target)
            with self.ledger.phase("io"):
                stopped = self.heartbeat.stopped()
                due = self.ledger.seconds - saved >= self.trial.checkpoint_seconds
                if stopped or due or training.progress >= 1:
                    self._save(training)
                    saved = self.ledger.seconds
                if stopped:
                    raise Interrupted
        self.ledger.overrun = training.budget.overrun(self.ledger)

    def _report(self, training: Training) -> None:
        ledger, progress = self.ledger, training.progress
        rate = ledger.images / max(ledger.seconds, 1e-9)
        warning = outlook.warning(
            self.trial, self.warm_up.evaluation_costs, ledger.seconds / progress
        )
        self.heartbeat.report(Progress("train", progress, training.losses, rate, warning=warning))
        self.registry.hooks.harness_step(
            trial=self.trial.model_dump(mode="json"), usage=self.ledger.usage().model_dump()
        )

    def _measure_model(self, training: Training) -> tuple[Metrics, Tensor]:
        model = training.model
        with self.ledger.phase("eval"):
            self.heartbeat.report(Progress("eval", 1.0))
            with training.average.applied(), self._plugin_code():
                metrics, sets = self.evaluation.of_averaged_weights(self.sampler)
                self.found["digests"] = {
                    "samples": tensors_digest(sets),
                    "weights": tensors_digest(model.state_dict().values()),
                }
                seed, precision = self.trial.seed, self.trial.precision
                y = self.sampler.conditions(ROWS)
                write_pictures(
                    self.folder,
                    "interpolation",
                    lambda: draw_interpolation(model, seed, precision, y),
                )
            if self.trial.evaluation.raw_weights:
                metrics |= self.evaluation.of_raw_weights(self.sampler)
        return metrics, sets[0]

    def _measure_reference(self) -> tuple[Metrics, Tensor]:
        with self.ledger.phase("eval"):
            self.heartbeat.report(Progress("eval", 1.0))
            metrics, samples = self.evaluation.of_reference()
            self.found["digests"] = {"samples": tensors_digest([samples])}
        return metrics, samples

    def _write_files(self, samples: Tensor) -> None:
        spec, drawn = self.dataset.spec, {"x": samples.numpy()}
        if (y := self._conditions(len(samples))) is not None:
            drawn["y"] = y.numpy()
        self.folder.mkdir(parents=True, exist_ok=True)  # a plugin may have removed it
        np.savez_compressed(self.folder / "samples.npz", allow_pickle=False, **drawn)
        write_pictures(
            self.folder, "samples", lambda: draw_conditional(spec, drawn["x"], drawn.get("y"))
        )
        if len(samples) and not self.trial.is_reference:
            scorer = self.evaluation.scorer
            write_pictures(
                self.folder, "neighbours", lambda: draw_suspects(scorer, self.dataset, samples)
            )
        if self.curve:
            with open(self.folder / "curve.parquet", "wb") as file:
                pd.DataFrame(self.curve).to_parquet(file, index=False)
        self.found["calibration"]["after"] = calibrate(self.device)

    def _conditions(self, n: int) -> Tensor | None:
        """Return y of the samples, on the CPU, where they were drawn from any."""
        if not self.trial.is_reference:
            y = self.sampler.conditions(n)
            return None if y is None else y.cpu()
        if self.trial.model != REAL or self.dataset.test.y is None or not self.dataset.spec.paired:
            return None
        return torch.from_numpy(self.dataset.test.y)[chosen_examples(self.dataset, n)]

    def _save(self, training: Training) -> None:
        self.plugins.check()
        state = training.state_dict()
        with self._plugin_code():
            self.warm_up.loaded_back.verify(state)
        own = {
            "trial": self.trial.id,
            "curve": self.curve,
            "machines": self.machines,
        }
        resumption.save(self.folder, state | own)

    def _resume(self, training: Training) -> None:
        found = resumption.find(self.folder, self.trial, self.device, self.machines[-1])
        # If devices read different bytes, all restart the trial.
        if training.replicas.any(bool(found.refusal)):
            found = found.refused(
                f"{self.folder} holds a checkpoint that another device found damaged"
            )
        if found.state is not None:
            training.load_state_dict(found.state)
            self.curve[:], self.machines = found.state["curve"], found.machines
        self.found.setdefault("provenance", {}).update(found.provenance())

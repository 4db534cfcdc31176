"""The row: the record of a trial, whatever happened to it. Schema version 1."""

from __future__ import annotations

import operator
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA = 1

Status = Literal["ok", "skipped", "diverged", "out_of_memory", "timeout", "error", "killed"]


def _is_none(value: object) -> bool:
    return value is None


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=True, ser_json_inf_nan="constants")


class Measurement(_Record):
    """One figure with its full protocol.

    Attributes:
        value: the figure; None with a ``reason`` where there is none.
        error: its standard error or spread, as described in ``protocol``.
        protocol: how it was measured, as text; values with different protocols share no column.
        kind: of a likelihood: "exact", "lower_bound" or "estimate"; "at_least" of FLOPs that lack
            operators without a formula.
        reason: why there is no value.
        sets: the figure of each set of samples, where it is a mean over several.
        details: numbers that belong to it, by name. Of a likelihood: "images" scored, "dimensions",
            "levels", and if applicable "evaluations" (calls of the network per batch), "k"
            (draws that a bound averages) and "probes"; of a latency: "p95" in seconds; of images/s:
            those at other batch sizes, "batch_1" and so on.
        label: heading of its column, from the plugin of the metric.
        lower_is_better: the direction of its ranking, from the plugin; None if unknown.
    """

    value: float | None
    error: float | None = None
    protocol: str = ""
    kind: str | None = None
    reason: str | None = None
    sets: tuple[float, ...] = ()
    # Omitted if empty, so that older rows are rewritten unchanged.
    details: dict[str, int | float] = Field(default_factory=dict, exclude_if=operator.not_)
    label: str | None = Field(default=None, exclude_if=_is_none)
    lower_is_better: bool | None = Field(default=None, exclude_if=_is_none)


class Usage(_Record):
    """Usage of a trial: the four currencies, and its wall time by phase, in seconds.

    Attributes:
        seconds: device-seconds on the clock.
        flops: of training, counted by dispatch.
        images: passed to ``training_step``.
        steps: optimizer steps, by torch's global hook.
        batches: calls of ``training_step``.
        phases: setup, warm_up, train, eval, io.
        wall: of all the processes that worked on the trial.
        overrun: what the last step used beyond the budget, in the budget's unit.
        peak_memory: bytes; of the device on CUDA, of the process on a CPU.
        uncounted: operators that the FLOP counter does not know, with their calls per step.
        starts: number of consecutive processes that worked on the trial; above 1 it was resumed.
        devices: number that trained it together; their seconds are summed.
        paused: seconds of training in which the machine or the processes of the trial were
            suspended; they count as wall time, but not as device-seconds.
        idle: seconds on the clock of a CPU, in windows whose wall time is more than twice their CPU
            time, in which the trial did not compute: it waited, possibly for a core.
        evaluation: seconds of phase eval by part: sampling, scoring, likelihood, speed; the rest of
            the phase are pictures and digests.
    """

    seconds: float = 0.0
    flops: float = 0.0
    images: int = 0
    steps: int = 0
    batches: int = 0
    phases: dict[str, float] = Field(default_factory=dict)
    wall: float = 0.0
    overrun: float = 0.0
    peak_memory: int = 0
    uncounted: dict[str, int] = Field(default_factory=dict)
    starts: int = 1
    devices: int = 1
    # Omitted if there were none, so that older rows are rewritten unchanged.
    paused: float = Field(default=0.0, exclude_if=operator.not_)
    idle: float = Field(default=0.0, exclude_if=operator.not_)
    evaluation: dict[str, float] = Field(default_factory=dict, exclude_if=operator.not_)


class Row(_Record):
    """The record of one ended trial.

    Attributes:
        trial: identity, the hash of everything resolved.
        data_kind: what is generated: image, video, audio or text; "" in rows of old, of images.
        label: name of the entry in tables; the model's name unless the benchmark sets another.
        model: the plugin's name; "real" and "null" are references, not models.
        type: of the system, as tables print it.
        capabilities: names of the contract's capabilities that the model has; empty where no model
            was built.
        config: every hyper-parameter, defaults included.
        reason: why the status is not "ok", for display.
        metrics: by name: fid, fid_test, is, bits_per_dim, images_per_second, latency, nfe,
            flops_per_image, and what plugins add.
        protocol: of budget and measurement: versions, features and their digest, sample counts.
        planned: what else was resolved before the trial started and belongs to its identity:
            evaluation, plugin, features and needs; see ``harness.planning.trial.Trial.of``.
        digests: SHA-256 of samples and weights; reproducible under a FLOP, image or step budget.
        hardware: fingerprint of the machine.
        calibration: its speed at both ends of the trial.
        provenance: distribution, version, source digest, commit, command, time.
    """

    schema_version: int = SCHEMA
    trial: str
    benchmark: str
    dataset: str
    # Left out where unknown: rows from before there was a choice are written again as they are.
    data_kind: str = Field(default="", exclude_if=operator.not_)
    fingerprint: str
    model: str
    label: str
    type: str = ""
    capabilities: tuple[str, ...] = ()
    seed: int
    budget: str
    config: dict[str, Any] = Field(default_factory=dict)
    status: Status
    reason: str | None = None
    parameters: int | None = None
    usage: Usage = Field(default_factory=Usage)
    metrics: dict[str, Measurement] = Field(default_factory=dict)
    protocol: dict[str, Any] = Field(default_factory=dict)
    planned: dict[str, Any] = Field(default_factory=dict)
    digests: dict[str, str] = Field(default_factory=dict)
    hardware: dict[str, Any] = Field(default_factory=dict)
    calibration: dict[str, Any] = Field(default_factory=dict)
    provenance: dict[str, Any] = Field(default_factory=dict)

    @property
    def title(self) -> str:
        """Title of its trial: label, data set and seed."""
        return f"{self.label} on {self.dataset}, seed {self.seed}"

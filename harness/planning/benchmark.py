"""A benchmark file: models, data, budget and measurement."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from harness.errors import UserError, did_you_mean, quoted
from harness.files.untrusted import MEBIBYTE, read_regular
from harness.files.validation import Location, validation_messages
from harness.planning.budget import Budget, Currency
from harness.planning.fields import (
    Count,
    Distinct,
    FolderName,
    Fraction,
    Label,
    Seconds,
    Seed,
    Switch,
)


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _counts_images(budget: Budget) -> Budget:
    if budget.currency is not Currency.IMAGES:
        raise ValueError(f"'{budget}' is not a number of images; write for example '500k images'")
    return budget


Images = Annotated[Budget, AfterValidator(_counts_images)]


@dataclass(frozen=True, order=True)
class Needs:
    """Resources that a worker needs for a trial.

    Attributes:
        devices: number of devices at once.
        memory: bytes of the machine's memory; 0 if unspecified.
    """

    devices: int = 1
    memory: int = 0


def _with_unit(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError(f"{quoted(value)} has no unit; write for example '8 GiB'")
    return value


Memory = Annotated[ByteSize, Field(gt=0), BeforeValidator(_with_unit)]


class Entry(_Section):
    """A model in a benchmark, with settings that differ from its recipe.

    Attributes:
        model: name of the plugin.
        label: its name in tables; required where one model is entered twice.
        settings: hyper-parameters that differ from the recipe.
        devices: number that train a trial together; by default ``devices_per_trial``.
        memory: most that a trial needs of the machine's memory, such as "8 GiB".
    """

    model: str
    label: Label = ""
    settings: dict[str, Any] = Field(default_factory=dict)
    devices: Count | None = None
    memory: Memory | None = None

    @property
    def title(self) -> str:
        """Name of the entry in tables."""
        return self.label or self.model


def _entry(value: Any) -> Any:
    if not isinstance(value, str | dict | Entry):
        raise ValueError(f'{quoted(value)} is not a model; write "ddpm" or {{model = "ddpm"}}')
    return {"model": value} if isinstance(value, str) else value


class Evaluation(_Section):
    """How a model is measured.

    Attributes:
        samples: images drawn for the metrics; by default as many as the test split holds, so that
            the real test images stand beside them at equal N.
        sample_sets: independent sets of samples; their spread is the figure's uncertainty.
        batch_size: images drawn at a time.
        features: name of the extractor; "auto" takes the data set's own.
        robustness: whether distances of the final samples are also measured in the features of
            classifiers that differ from the data set's own only in their training seed.
        metrics: names of the sample metrics; all that have a value in the features by default.
        curve: fractions of the budget at which training pauses to be measured.
        raw_weights: whether the weights without averaging are measured too.
        likelihood_images: test images whose likelihood is computed; all by default.
        speed_batch_sizes: batches whose drawing is timed; the largest gives the table's images/s,
            and one image, which is always timed too, the latency.
        speed_seconds: time spent on each of them.
    """

    samples: Annotated[Count, Field(ge=2)] | None = None
    sample_sets: Count = 1
    batch_size: Count = 250
    features: str = "auto"
    robustness: Switch = False
    metrics: Annotated[tuple[str, ...], Field(min_length=1), Distinct] | None = None
    curve: Annotated[tuple[Fraction, ...], Distinct] = (0.0625, 0.125, 0.25, 0.5)
    raw_weights: Switch = False
    likelihood_images: Count | None = None
    speed_batch_sizes: Annotated[tuple[Count, ...], Field(min_length=1), Distinct] = (1, 64)
    speed_seconds: Seconds = 2.0


class Benchmark(_Section):
    """The content of a benchmark file.

    Attributes:
        name: of the benchmark, its results folder and its experiment.
        summary: one line.
        datasets: names, with arguments where they take one.
        models: entries; a plain name is an entry with the default recipe.
        budget: of every trial.
        seeds: one trial for each.
        references: whether the table includes the real test set and the null model.
        precision: fp32, tf32 or bf16 (autocast).
        compile: whether ``network`` is compiled with torch.compile.
        devices_per_trial: number that train a trial together, each with its share of every batch.
        averaging: maximum half-life of the averaged weights.
        checkpoint_seconds: time on the clock between checkpoints.
        patience_seconds: silence after which a trial counts as hung.
        evaluation: how the models are measured.
    """

    name: FolderName
    summary: str = ""
    datasets: Annotated[tuple[str, ...], Field(min_length=1), Distinct]
    models: tuple[Annotated[Entry, BeforeValidator(_entry)], ...] = Field(min_length=1)
    budget: Budget
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1), Distinct] = (0,)
    references: Switch = True
    precision: Literal["fp32", "tf32", "bf16"] = "fp32"
    compile: Switch = False
    devices_per_trial: Count = 1
    averaging: Images = Budget(500_000, Currency.IMAGES)
    checkpoint_seconds: Seconds = 60.0
    patience_seconds: Seconds = 900.0
    evaluation: Evaluation = Evaluation()

    @model_validator(mode="after")
    def _titles_are_distinct(self) -> Benchmark:
        titles = [entry.title for entry in self.models]
        twice = next((title for title in titles if titles.count(title) > 1), None)
        if twice is not None:
            raise ValueError(
                f"models: label {quoted(twice)} appears twice; give one of them another label"
            )
        return self


def read_benchmark(name: str) -> tuple[Benchmark, str]:
    """Return the benchmark of a file, or of one that ships with the package, and its text.

    Raises:
        UserError: there is no such benchmark, or its file is invalid; one line per mistake, with
            the key's path.
    """
    is_path = name.endswith(".toml") or os.sep in name
    if os.path.isfile(name) or (is_path and os.path.lexists(name)):
        text = _read(name)
    elif name in shipped_benchmarks():
        text = _shipped().joinpath(f"{name}.toml").read_text(encoding="utf-8")
    else:
        raise UserError(
            f"there is no benchmark {'file ' if is_path else ''}{quoted(name)}"
            f"{did_you_mean(name, shipped_benchmarks())}; those that ship with the harness: "
            f"{', '.join(shipped_benchmarks())}; a file's name ends in .toml"
        )
    return parse_benchmark(text, source=name), text


def _read(name: str) -> str:
    """Return the text of a file, with or without a byte order mark."""
    try:
        return read_regular(Path(os.path.realpath(name)), MEBIBYTE).decode("utf-8-sig")
    except UserError as error:
        raise UserError(f"{error}; name a text file of at most 1 MiB") from None
    except UnicodeDecodeError as error:
        raise UserError(
            f"{name} is not UTF-8 (byte {error.start}: {error.reason}); save it as UTF-8"
        ) from None


def shipped_benchmarks() -> list[str]:
    """Return the names of the benchmarks that ship with the package."""
    return sorted(file.name[:-5] for file in _shipped().iterdir() if file.name.endswith(".toml"))


def _shipped() -> Traversable:
    return files("harness").joinpath("benchmarks")


def parse_benchmark(text: str, source: str) -> Benchmark:
    """Parse the text of a benchmark file; ``source`` names it in errors."""
    try:
        content = tomllib.loads(text)
    # Numbers of thousands of digits and thousands of brackets raise other errors than TOML's own.
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"{source} is not TOML: {error}; TOML has one 'key = value' per line, text in quotes, "
            "and each key and table once"
        ) from None
    try:
        return Benchmark.model_validate(content)
    except ValidationError as error:
        lines = validation_messages(error, _unknown_key)
        raise UserError("\n".join(f"{source}: {line}" for line in lines)) from None


Settings = Mapping[str, Mapping[str, Any]]
"""Hyper-parameters by model and name: {"ddpm": {"channels": 32}}."""


def parse_settings(texts: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Read ``MODEL.KEY=VALUE``, with the value as TOML, or as text where it is not TOML.

    Raises:
        UserError: a text has another form.
    """
    settings: dict[str, dict[str, Any]] = {}
    for text in texts:
        target, equals, value = text.partition("=")
        model, _, key = target.strip().rpartition(".")
        if not (model and key and equals):
            raise UserError(
                f"{quoted(text)} is not a setting; write MODEL.KEY=VALUE: ddpm.channels=32"
            )
        settings.setdefault(model, {})[key] = _toml_value(value.strip())
    return settings


def _toml_value(text: str) -> Any:
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return parsed["value"] if len(parsed) == 1 else text


def with_settings(benchmark: Benchmark, settings: Settings) -> Benchmark:
    """Return the benchmark with hyper-parameters of its entries replaced.

    A name refers to the entry of that label or, if there is none, to all entries of that model.

    Raises:
        UserError: there is no such entry.
    """
    changed = list(benchmark.models)
    for name, values in settings.items():
        titled = [i for i, entry in enumerate(changed) if entry.title == name]
        chosen = titled or [i for i, entry in enumerate(changed) if entry.model == name]
        if not chosen:
            names = [entry.title for entry in changed]
            hint = did_you_mean(name, names + [entry.model for entry in changed])
            raise UserError(
                f"{name}.{next(iter(values), '')}: benchmark {benchmark.name!r} has no model "
                f"{name!r}{hint or '; it has: ' + ', '.join(names)}"
            )
        for i in chosen:
            entry = changed[i]
            changed[i] = entry.model_copy(update={"settings": {**entry.settings, **values}})
    return benchmark.model_copy(update={"models": tuple(changed)})


def with_models(benchmark: Benchmark, names: Iterable[str]) -> Benchmark:
    """Return the benchmark with more models and their recipes; none is entered twice."""
    present = [entry.title for entry in benchmark.models]
    added = tuple(Entry(model=name) for name in dict.fromkeys(names) if name not in present)
    return benchmark.model_copy(update={"models": benchmark.models + added})


def _unknown_key(location: Location) -> str:
    section, key = location[:-1], str(location[-1])
    known = _section_at(section).model_fields
    for header, others in (("[evaluation]", Evaluation), ("the first [section]", Benchmark)):
        if key in others.model_fields and section in ((), ("evaluation",)):
            place = "below" if others is Evaluation else "above"
            return f"unknown key here; write it {place} {header}"
    return f"unknown key{did_you_mean(key, known)}; known keys: {', '.join(known)}"


def _section_at(location: Location) -> type[BaseModel]:
    match location:
        case ("evaluation", *_):
            return Evaluation
        case ("models", *_):
            return Entry
    return Benchmark

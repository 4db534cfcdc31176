"""A benchmark file: which models, on which data, under which budget, measured how."""

from __future__ import annotations

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

from harness.budget import Budget, Currency
from harness.errors import UserError, did_you_mean


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _counts_images(budget: Budget) -> Budget:
    if budget.currency is not Currency.IMAGES:
        raise ValueError(f"'{budget}' is not a number of images; write for example '500k images'")
    return budget


Images = Annotated[Budget, AfterValidator(_counts_images)]


@dataclass(frozen=True, order=True)
class Needs:
    """What a worker must be given for a trial.

    Attributes:
        devices: at once.
        memory: bytes of the machine's; 0 if nobody said.
    """

    devices: int = 1
    memory: int = 0


def _with_unit(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} has no unit; write for example '8 GiB'")
    return value


Memory = Annotated[ByteSize, Field(gt=0), BeforeValidator(_with_unit)]


class Entry(_Section):
    """A model in a benchmark, with settings that differ from its recipe.

    Attributes:
        model: name of the plugin.
        label: what tables call it; needed where one model is entered twice.
        settings: hyper-parameters that differ from the defaults.
        devices: that a trial needs at once.
        memory: of the machine, that a trial needs at most, such as "8 GiB".
    """

    model: str
    label: str = ""
    settings: dict[str, Any] = Field(default_factory=dict)
    devices: int = Field(default=1, ge=1)
    memory: Memory | None = None

    @property
    def title(self) -> str:
        """What tables call the entry."""
        return self.label or self.model

    @property
    def needs(self) -> Needs:
        """What a worker must be given for a trial of it."""
        return Needs(self.devices, int(self.memory or 0))


def _entry(value: Any) -> Any:
    return {"model": value} if isinstance(value, str) else value


class Evaluation(_Section):
    """How a model is measured.

    Attributes:
        samples: images drawn for the metrics; by default as many as the test split holds, so that
            the real test images stand beside them at equal N.
        sample_sets: independent sets of samples; their spread is the figure's uncertainty.
        batch_size: images drawn at a time.
        features: name of the extractor; "auto" takes the data set's own.
        robustness: whether distances of the final samples are measured again in the features of
            classifiers that differ from the data set's own in their training seed alone.
        metrics: names of the sample metrics; all that have a value in the features by default.
        curve: fractions of the budget at which training pauses to be measured.
        raw_weights: whether the weights without averaging are measured too.
        likelihood_images: images of the test split that are scored; all by default.
        speed_batch_sizes: batches whose drawing is timed; the last gives the table's images/s.
        speed_seconds: time spent on each of them.
    """

    samples: int | None = Field(default=None, ge=2)
    sample_sets: int = Field(default=1, ge=1)
    batch_size: int = Field(default=250, ge=1)
    features: str = "auto"
    robustness: bool = False
    metrics: tuple[str, ...] | None = None
    curve: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = (0.0625, 0.125, 0.25, 0.5)
    raw_weights: bool = False
    likelihood_images: int | None = Field(default=None, ge=1)
    speed_batch_sizes: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        default=(1, 64), min_length=1
    )
    speed_seconds: float = Field(default=2.0, gt=0)


class Benchmark(_Section):
    """What one benchmark file says.

    Attributes:
        name: of the benchmark; its results' folder and its experiment are called so.
        summary: one line.
        datasets: names, with arguments where they take one.
        models: entries; a plain name is an entry with the default recipe.
        budget: what every trial may use.
        seeds: one trial for each.
        references: whether the real test set and the null model stand in the table.
        precision: fp32, tf32 or bf16 (autocast).
        compile: whether ``network`` goes through torch.compile.
        averaging: longest half-life of the average of weights.
        checkpoint_seconds: time on the clock between checkpoints.
        patience_seconds: silence after which a trial counts as hung.
        evaluation: how the models are measured.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    summary: str = ""
    datasets: tuple[str, ...] = Field(min_length=1)
    models: tuple[Annotated[Entry, BeforeValidator(_entry)], ...] = Field(min_length=1)
    budget: Budget
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(default=(0,), min_length=1)
    references: bool = True
    precision: Literal["fp32", "tf32", "bf16"] = "fp32"
    compile: bool = False
    averaging: Images = Budget(500_000, Currency.IMAGES)
    checkpoint_seconds: float = Field(default=60.0, gt=0)
    patience_seconds: float = Field(default=900.0, gt=0)
    evaluation: Evaluation = Evaluation()

    @model_validator(mode="after")
    def _entries_are_distinct(self) -> Benchmark:
        for what, values in (
            ("models: label", [entry.title for entry in self.models]),
            ("datasets:", self.datasets),
            ("seeds:", self.seeds),
        ):
            twice = next((value for value in values if list(values).count(value) > 1), None)
            if twice is not None:
                raise ValueError(f"{what} {twice!r} appears twice")
        return self


def read_benchmark(name: str) -> tuple[Benchmark, str]:
    """Return the benchmark of a file, or of one that ships with the package, and its text.

    Raises:
        UserError: there is no such benchmark, or its file says something impossible; one line for
            each mistake, with the key's path.
    """
    path = Path(name)
    if path.suffix == ".toml" or path.exists():
        if not path.is_file():
            raise UserError(f"there is no benchmark file {name}")
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{name} cannot be read as text: {error}") from None
    elif name in shipped_benchmarks():
        text = _shipped().joinpath(f"{name}.toml").read_text(encoding="utf-8")
    else:
        raise UserError(
            f"there is no benchmark {name!r}{did_you_mean(name, shipped_benchmarks())}; those that "
            f"ship with the harness: {', '.join(shipped_benchmarks())}; a file's name ends in .toml"
        )
    return parse_benchmark(text, source=name), text


def shipped_benchmarks() -> list[str]:
    """Return the names of the benchmarks that ship with the package."""
    return sorted(file.name[:-5] for file in _shipped().iterdir() if file.name.endswith(".toml"))


def _shipped() -> Traversable:
    return files("harness").joinpath("benchmarks")


def parse_benchmark(text: str, source: str) -> Benchmark:
    """Return what the text of a benchmark file says; ``source`` names it in errors."""
    try:
        return Benchmark.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{source} is not TOML: {error}") from None
    except ValidationError as error:
        lines = [_explain(mistake) for mistake in error.errors()]
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
            raise UserError(f"{text!r} is not a setting; write MODEL.KEY=VALUE: ddpm.channels=32")
        settings.setdefault(model, {})[key] = _toml_value(value.strip())
    return settings


def _toml_value(text: str) -> Any:
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return parsed["value"] if len(parsed) == 1 else text


def with_settings(benchmark: Benchmark, settings: Settings) -> Benchmark:
    """Return the benchmark with hyper-parameters of its entries replaced.

    A name means the entry of that label; where there is none, all entries of that model.

    Raises:
        UserError: no entry is called so.
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
    """Return the benchmark with more models, each with its recipe; those it has are not doubled."""
    present = [entry.title for entry in benchmark.models]
    added = tuple(Entry(model=name) for name in dict.fromkeys(names) if name not in present)
    return benchmark.model_copy(update={"models": benchmark.models + added})


def _explain(mistake: Any) -> str:
    path = ".".join(str(part) for part in mistake["loc"])
    if mistake["type"] == "extra_forbidden":
        section, key = mistake["loc"][:-1], str(mistake["loc"][-1])
        known = list(_section_at(section).model_fields)
        return f"{path}: unknown key{did_you_mean(key, known)}; known keys: {', '.join(known)}"
    message = mistake["msg"].removeprefix("Value error, ")
    if mistake["type"] == "missing":
        message = "this key is required"
    return f"{path}: {message}" if path else message


def _section_at(location: tuple[Any, ...]) -> type[BaseModel]:
    match location:
        case ("evaluation", *_):
            return Evaluation
        case ("models", *_):
            return Entry
    return Benchmark

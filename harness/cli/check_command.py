"""``harness check``: check a model, a data set, a metric or a report against its contract."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.terminal import console, echo, text
from harness.plugins.kinds import Kind

if TYPE_CHECKING:
    from harness.checks.outcome import Outcome
    from harness.contract import DataSpec, GenerativeModel
    from harness.plugins.registry import Registry


def check(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="A name, or an import string: package.module:Class."),
    ],
    kind: Annotated[
        Kind | None, typer.Option(help="Kind of NAME; detected if only one kind has it.")
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            help="Whose kind and size of data to use; small data of the model's kinds if none."
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Replace a hyper-parameter; repeatable."),
    ] = None,
    seconds: Annotated[
        float,
        typer.Option(
            min=1,
            help="Time limit for all checks, in seconds; checks that exceed it are left "
            "unfinished.",
        ),
    ] = 120.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check a model, a data set, a metric or a report against its contract."""
    import os
    import sys

    from harness.checks.named import checks_of, kind_of
    from harness.checks.outcome import outcomes_of
    from harness.errors import UserError
    from harness.plugins.registry import registry

    # Last, so that a file here shadows nothing else that is imported.
    sys.path.append(os.getcwd())
    kind = kind or kind_of(name, registry())
    if kind is Kind.model:
        _check_model(registry(), name, dataset, settings or [], seconds, as_json)
        return
    if dataset or settings:
        raise UserError(f"--dataset and --set are for models, and {name!r} is a {kind}")
    checks = checks_of(name, kind, registry())
    found = _printed(f"{kind} {name}", outcomes_of(checks, seconds), as_json)
    _end({str(kind): name}, found, "", as_json)


def _check_model(
    found: Registry,
    name: str,
    dataset: str | None,
    settings: list[str],
    seconds: float,
    as_json: bool,
) -> None:
    from dataclasses import asdict

    from harness.checks.named import load, require_subclass
    from harness.checks.outcome import outcomes
    from harness.checks.own_data import default_data, describe_spec
    from harness.plugins.loading import load_dataset

    model_class = require_subclass(name, load(name, Kind.model, found), Kind.model)
    spec = load_dataset(found, dataset).spec if dataset else default_data(model_class)
    overrides = _overrides(model_class, name, settings)
    size = describe_spec(spec)
    results = outcomes(model_class, spec, overrides, seconds)
    printed = _printed(f"{name} on {size}", results, as_json)
    refusal = _refusal(model_class, spec)
    hint = _hint(printed, size, refusal, dataset)
    _end({"model": name, "spec": asdict(spec)}, printed, hint, as_json, was_refused=bool(refusal))


def _overrides(
    model_class: type[GenerativeModel], name: str, settings: list[str]
) -> dict[str, Any]:
    from dataclasses import asdict

    from harness.errors import UserError, quoted
    from harness.planning.benchmark import parse_settings
    from harness.plugins.hyper_parameters import resolve_config

    if wrong := [text for text in settings if not text.partition("=")[1]]:
        raise UserError(f"{quoted(wrong[0])} is not a setting; write KEY=VALUE: batch_size=32")
    given = parse_settings(f"{name}.{text}" for text in settings).get(name, {})
    config = resolve_config(model_class.Config, given, name) if given else None
    return {name: asdict(config)[name] for name in given} if config else {}


def _refusal(model_class: type[GenerativeModel], spec: DataSpec) -> str:
    try:
        return model_class.refuses(spec) or ""
    except Exception:  # which every check has reported
        return ""


def _hint(found: list[Outcome], size: str, refusal: str, dataset: str | None) -> str:
    """Return what to try where the data, and not the model, decided what was checked."""
    another = "another --dataset" if dataset else "--dataset, for example --dataset mnist"
    if refusal:
        return (
            f"the model does not run on {size}, so little was checked ({refusal}): name "
            f"suitable data with {another}"
        )
    if not dataset and any(outcome.verdict == "error" for outcome in found):
        return (
            f"the checks chose {size}; if the model is for others, name them with {another}, "
            "and let supports() return why it refuses these"
        )
    return ""


_SIGNS = {
    "passed": ("ok", "green"),
    "not applicable": ("-", "dim"),
    "unfinished": ("?", "yellow"),
}


def _printed(title: str, outcomes: Iterable[Outcome], as_json: bool) -> list[Outcome]:
    """Return the outcomes, each printed as it comes."""
    found = []
    if not as_json:
        echo(f"{title}\n")
    for outcome in outcomes:
        found.append(outcome)
        if not as_json:
            _print_line(outcome)
    return found


def _print_line(outcome: Outcome) -> None:
    sign, style = _SIGNS.get(outcome.verdict, (str(outcome.verdict).upper(), "bold red"))
    line = text(f"{sign:7}", style)
    line.append_text(text(f"{outcome.name:19} {outcome.seconds:5.1f} s  {outcome.reason}"))
    if outcome.message:
        details = text(outcome.message, style if not outcome.is_sound else "dim")
        line.append(f"\n{'':7}").append_text(details)
    if outcome.where:
        line.append(f"\n{'':7}look at ").append_text(text(outcome.where))
    console().print(line, soft_wrap=True)


def _end(
    subject: dict[str, Any],
    found: list[Outcome],
    hint: str,
    as_json: bool,
    was_refused: bool = False,
) -> None:
    """Print a summary, and exit with 1 if something is wrong, with 2 if little was checked."""
    is_sound = all(outcome.is_sound for outcome in found)
    if as_json:
        from dataclasses import asdict

        from harness.machine.printing import print_json

        checks = [asdict(outcome) for outcome in found]
        passed = is_sound and not was_refused
        print_json({**subject, "passed": passed, "hint": hint, "checks": checks})
    else:
        _print_summary(found, hint)
    if not is_sound:
        raise typer.Exit(1)
    if was_refused:
        raise typer.Exit(2)


def _print_summary(found: list[Outcome], hint: str) -> None:
    counts = {
        verdict: sum(outcome.verdict == verdict for outcome in found)
        for verdict in ("passed", "failed", "error", "unfinished", "not applicable")
    }
    details = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
    echo(f"\n{details}, in {sum(outcome.seconds for outcome in found):.0f} s")
    if counts["unfinished"]:
        echo("unfinished checks prove nothing: give them more time with --seconds")
    if hint:
        echo(hint)

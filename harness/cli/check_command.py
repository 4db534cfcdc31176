"""``harness check``: hold a model to the contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.terminal import console, say, text

if TYPE_CHECKING:
    from harness.checks.outcome import Outcome
    from harness.contract import DataSpec, GenerativeModel


def check_model(
    model: Annotated[
        str,
        typer.Argument(metavar="MODEL", help="A name, or an import string: package.module:Class."),
    ],
    dataset: Annotated[
        str | None, typer.Option(help="Whose size of images to use; 1x8x8 with 17 levels if none.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Replace a hyper-parameter; repeatable."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Hold a model to the contract: probabilities, samples, steps, seeds, resumption and more."""
    import dataclasses

    from harness.benchmark import parse_settings
    from harness.checks.outcome import outcomes
    from harness.checks.parameters import DIGITS
    from harness.errors import UserError, shown
    from harness.registry import registry
    from harness.trial import load_dataset, resolve_config

    model_class = _load(model)
    spec = load_dataset(registry(), dataset).spec if dataset else DIGITS
    if wrong := [text for text in settings or () if not text.partition("=")[1]]:
        raise UserError(f"{shown(wrong[0])} is not a setting; write KEY=VALUE: batch_size=32")
    given = parse_settings(f"{model}.{text}" for text in settings or ()).get(model, {})
    config = resolve_config(model_class.Config, given, model) if given else None
    overrides = {name: dataclasses.asdict(config)[name] for name in given} if config else {}
    found = []
    if not as_json:
        say(f"{model} on images {'x'.join(map(str, spec.shape))} with {spec.levels} levels\n")
    for outcome in outcomes(model_class, spec, overrides):
        found.append(outcome)
        if not as_json:
            _print_line(outcome)
    if as_json:
        _print_json(model, spec, found)
    else:
        _print_end(found)
    if not all(outcome.is_sound for outcome in found):
        raise typer.Exit(1)


def _load(model: str) -> type[GenerativeModel]:
    import os
    import sys

    from harness.contract import GenerativeModel
    from harness.errors import UserError
    from harness.hooks import ModelInfo
    from harness.registry import registry

    if ":" in model:
        # Last, so that a file here stands for nothing else that is imported.
        sys.path.append(os.getcwd())
        info = ModelInfo(name=model, summary="", target=model)
    else:
        info = registry().model(model).info
    found = registry().load(info)
    if not (isinstance(found, type) and issubclass(found, GenerativeModel)):
        raise UserError(f"{model!r} is no subclass of harness.contract.GenerativeModel: {found!r}")
    return found


_SIGNS = {"passed": ("ok", "green"), "not applicable": ("-", "dim")}


def _print_line(outcome: Outcome) -> None:
    sign, style = _SIGNS.get(outcome.verdict, (str(outcome.verdict).upper(), "bold red"))
    line = text(f"{sign:7}", style)
    line += text(f"{outcome.name:19} {outcome.seconds:5.1f} s  {outcome.reason}")
    if outcome.message:
        line += text(f"\n{'':7}{outcome.message}", style if not outcome.is_sound else "dim")
    if outcome.where:
        line += text(f"\n{'':7}look at {outcome.where}")
    console().print(line, soft_wrap=True)


def _print_json(model: str, spec: DataSpec, found: list[Outcome]) -> None:
    from dataclasses import asdict

    from harness.printing import print_answer

    answer: dict[str, Any] = {
        "model": model,
        "spec": asdict(spec),
        "passed": all(outcome.is_sound for outcome in found),
        "checks": [asdict(outcome) for outcome in found],
    }
    print_answer(answer)


def _print_end(found: list[Outcome]) -> None:
    counts = {
        verdict: sum(outcome.verdict == verdict for outcome in found)
        for verdict in ("passed", "failed", "error", "not applicable")
    }
    told = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
    say(f"\n{told}, in {sum(outcome.seconds for outcome in found):.0f} s")

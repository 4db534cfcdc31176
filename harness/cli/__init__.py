"""The command line: each command is a function in a module that imports torch only when it runs.

To add one, import its module and register its function below.
"""

from __future__ import annotations

import atexit
import logging
import os
import signal
import sys
from contextlib import ExitStack
from typing import Annotated, NoReturn

import typer

from harness.cli import (
    check_command,
    compare_command,
    doctor_command,
    evaluate_command,
    export_command,
    list_command,
    new_command,
    plan_command,
    report_command,
    reproduce_command,
    run_command,
    speed_command,
    sync_command,
    verify_command,
)
from harness.cli.terminal import console, echo, for_terminal, text
from harness.errors import UserError
from harness.machine.exit import exit_now
from harness.machine.printing import flush_output, print_in_any_encoding, reserved_stdout
from harness.machine.standard_streams import ensure_open

app = typer.Typer(
    name="harness",
    help="Benchmark generative image models under equal compute budgets.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("run")(run_command.run_benchmark)
app.command("plan")(plan_command.plan_benchmark)
app.command("status")(plan_command.show_status)
app.command("report")(report_command.write_report)
app.command("export")(export_command.export_rows)
app.command("compare")(compare_command.compare_entries)
app.command("verify")(verify_command.verify_report)
app.command("reproduce")(reproduce_command.reproduce_rows)
app.command("sync")(sync_command.sync_results)
app.command("evaluate")(evaluate_command.evaluate_samples)
app.command("speed")(speed_command.measure_speed)
app.command("list")(list_command.list_plugins)
app.command("doctor")(doctor_command.examine_machine)
app.command("new")(new_command.new_plugin)
app.command("check")(check_command.check)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        echo(f"genharness {version('genharness')}")
        raise typer.Exit


@app.callback()
def _options(
    strict: Annotated[
        bool, typer.Option("--strict", help="Fail if a plugin is broken or a name is taken twice.")
    ] = False,
    plugins: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,...",
            envvar="GENHARNESS_PLUGINS",
            help="Load only these distributions or entry points.",
        ),
    ] = None,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and stop."
        ),
    ] = False,
) -> None:
    # Through the environment, so that it reaches the workers too.
    if strict:
        os.environ["GENHARNESS_STRICT"] = "1"
    if plugins is not None:
        os.environ["GENHARNESS_PLUGINS"] = plugins or ","
    if strict or plugins is not None:
        from harness.plugins.registry import registry

        before = dict(os.environ)
        registry()
        # Workers inherit nothing that plugins put there.
        os.environ.clear()
        os.environ.update(before)


def main() -> NoReturn:
    """Entry point of ``harness``: end this process with the exit code of ``run``."""
    ensure_open()
    with ExitStack() as until_the_end:
        if "--json" in sys.argv[1:]:  # before any plugin is imported, whichever option asks for it
            until_the_end.enter_context(reserved_stdout())
        code = run()
        atexit._run_exitfuncs()
        # The chart renderer has threads that sometimes abort a process during interpreter shutdown.
        exit_now(code)


class _ForTerminal(logging.Formatter):
    """Escapes control characters in warnings, which may name untrusted files."""

    def format(self, record: logging.LogRecord) -> str:
        return for_terminal(super().format(record))


def run() -> int:
    """Run the command line; return 2 for a ``UserError`` and 130 for Ctrl-C."""
    print_in_any_encoding()
    # The handler of last resort prints all of our warnings.
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(_ForTerminal())
    # SIGTERM lets workers save their checkpoints, as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return _run_command()
    except UserError as error:
        message = text("error: ", "bold red") + text(for_terminal(str(error)))
        console(error=True).print(message, soft_wrap=True)
        return 2
    except KeyboardInterrupt:
        return 130


def _run_command() -> int:
    """Run the command, and return its exit code once its output is flushed.

    Raises:
        UserError: the request is invalid, or standard output cannot be written to.
    """
    code = 0
    try:
        app()
    except SystemExit as ending:
        code = ending.code if isinstance(ending.code, int) else int(ending.code is not None)
    except OSError:
        echo()  # if it was standard output that failed, it fails again
        flush_output()
        raise
    return code if flush_output() else code or 1

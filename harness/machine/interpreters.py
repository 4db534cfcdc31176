"""Python processes of the harness, none of which imports from the folder it was started in.

A working folder may hold a ``random.py``, another copy of a plugin, or untrusted results. Modules
are found only where packages are installed and through ``PYTHONPATH``. Imported before everything
else, so it may import only what Python itself has imported.
"""

from __future__ import annotations

import os
import sys

SAFE_PATH, SEARCH_PATH = "PYTHONSAFEPATH", "PYTHONPATH"


def command(module: str, *arguments: str) -> list[str]:
    """Return the command line that runs a module in an interpreter with a safe path.

    Bytecode that is marked as unchecked is compared with its source all the same.
    """
    options = ["-P", "--check-hash-based-pycs", "always"]
    return [sys.executable, *options, "-m", module, *arguments]


def inherited_environment() -> dict[str, str]:
    """Return this process's environment for a child that may change its folder and start others.

    ``PYTHONPATH`` has absolute folders, and child processes have a safe path too.
    """
    found = dict(os.environ) | {SAFE_PATH: "1"}
    if SEARCH_PATH in found:
        found[SEARCH_PATH] = absolute(found[SEARCH_PATH])
    return found


def absolute(search_path: str) -> str:
    """Return a ``PYTHONPATH`` with absolute folders.

    An empty entry means the current folder to Python, and is left out: it results from
    ``PYTHONPATH=$PYTHONPATH:folder`` where the variable was not set. Write ``.`` to include it.
    """
    entries = filter(None, search_path.split(os.pathsep))
    return os.pathsep.join(map(os.path.abspath, entries))


def is_command(name: str) -> bool:
    """Return whether this process is the command of this name, or ``python -m`` of it."""
    program = os.path.basename(sys.argv[0]) if sys.argv else ""
    if program == "-m":  # while Python looks for the module
        given = (option.removeprefix("-m") for option in sys.orig_argv[1:])
        return any(option.partition(".")[0] == name for option in given)
    return program in (name, f"{name}.exe", f"{name}-script.py")


def drop_start_folder() -> None:
    """Remove the start folder from the import path of this process and of all that it starts.

    Python puts the current folder or that of the script first, unless its path is safe.
    """
    if not sys.flags.safe_path and os.path.isdir(sys.path[0] or "."):
        del sys.path[0]
    given = os.environ.get(SEARCH_PATH, "").split(os.pathsep)
    if "" in given and not any(entry and _is_here(entry) for entry in given):
        sys.path[:] = [entry for entry in sys.path if not _is_here(entry)]
    os.environ.update(inherited_environment())


def _is_here(entry: str) -> bool:
    try:
        return os.path.abspath(entry) == os.getcwd()
    except FileNotFoundError:  # the current folder was removed
        return False

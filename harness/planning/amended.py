"""The text of a benchmark file as it ran, with models and settings of the command line."""

from __future__ import annotations

from harness.errors import UserError
from harness.planning.benchmark import Benchmark


def amended(source: str, benchmark: Benchmark) -> str:
    """Return ``source`` with the models and settings of ``benchmark``; all else stays as written.

    Raises:
        UserError: a setting cannot be written in TOML.
    """
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    document = tomlkit.parse(source)
    document.remove("models")
    entries = tomlkit.aot()
    for entry in benchmark.models:
        written = entry.model_dump(mode="json", exclude_defaults=True)
        if entry.memory:
            written["memory"] = f"{entry.memory} B"
        try:
            entries.append(tomlkit.item(written))
        except (TOMLKitError, ValueError) as error:
            raise UserError(f"{entry.title}: its settings cannot be written: {error}") from None
    # Last, where an array of tables can always stand.
    document.append("models", entries)
    return tomlkit.dumps(document)

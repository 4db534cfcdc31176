"""Lets environments that name one ``env_dir`` share it.

tox keeps the name of the environment with its folder, and builds the folder anew for any other.
"""

import json

from tox.plugin import impl
from tox.tox_env.api import ToxEnv


@impl
def tox_env_teardown(tox_env: ToxEnv) -> None:
    """Forget whose folder it was, so that the next to use it takes it as it is."""
    path = tox_env.env_dir / ".tox-info.json"
    if path.is_file():
        facts = json.loads(path.read_text())
        facts.pop(ToxEnv.__name__, None)
        path.write_text(json.dumps(facts, indent=2))

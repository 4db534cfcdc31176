"""Nothing is unpickled that somebody else may have written."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SOURCES = [
    path
    for folder in ("harness", "plugins", "datasets", "reports/harness_reports")
    for path in (ROOT / folder).rglob("*.py")
]
SAFE = {"torch.load": ("weights_only", True), "np.load": ("allow_pickle", False)}
NEVER = {"eval", "exec", "pickle.load", "pickle.loads", "os.system", "yaml.load", "pd.read_pickle"}
NEVER |= {"pickle.Unpickler", "joblib.load", "marshal.loads", "shelve.open", "numpy.load"}


def unsafe_calls(source: str) -> list[str]:
    """Return the calls in ``source`` that may run what they read."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        given = {word.arg: getattr(word.value, "value", None) for word in node.keywords}
        key, value = SAFE.get(name, ("", None))
        if name in NEVER or (key and given.get(key) is not value) or given.get("shell"):
            found.append(ast.unparse(node))
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_source_loads_code(path):
    assert unsafe_calls(path.read_text("utf-8")) == []


@pytest.mark.parametrize(
    "call",
    [
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "pickle.load(file)",
        "eval(text)",
        "subprocess.run(line, shell=True)",
    ],
)
def test_the_search_finds_what_it_should(call):
    assert unsafe_calls(call) == [call]

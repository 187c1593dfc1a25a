"""Who may import whom, and which rooms know nothing of which libraries. Imports inside functions count too."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Along the data flow. A module imports from its own room and from those above it, never from below.
ORDER = [
    *("errors", "operations", "config", "storage", "sql"),
    *("contract", "sources", "lake", "runs", "simulator"),
    *("features", "asof", "training_set", "rehearsal"),
    *("model", "training", "ranking", "publishing", "reporting", "tracking"),
    *("recommender", "explore", "flow", "erasure", "backtest", "tuning", "jobs"),
]

TORCH = {"torch", "torchrec", "fbgemm_gpu", "tensordict"}
FILES = {"pathlib", "os", "shutil", "tempfile", "duckdb", "pyarrow", "safetensors", "bidrec.storage"}
KNOWS_NOTHING_OF = {
    "sources": TORCH | {"feast"},
    "contract": TORCH | {"feast"},
    "sql": TORCH | {"feast"},
    "lake": TORCH | {"feast"},
    "simulator": TORCH | {"feast"},
    "features": TORCH,
    "feature_repo": TORCH,
    "asof": TORCH,
    "training_set": TORCH | {"feast"},
    "model": FILES | {"feast"},
    "training": {"feast", "duckdb"},
    "ranking": {"feast"},
    "publishing": {"torchrec", "fbgemm_gpu"},
    "reporting": TORCH | {"feast"},
    "explore": TORCH | {"feast"},
    "recommender": TORCH | {"feast", "duckdb"},
    "jobs": TORCH | {"feast", "duckdb", "pyarrow", "pandas"},
}
# Its work is to see whether they are there.
EXEMPT = {"jobs/doctor.py"}
# Feast's own commands, which are Click's, end with our errors.
CLICK = {"bidrec/errors.py", "bidrec/features/asked_views.py"}

MODULES = sorted(
    file.relative_to(ROOT).as_posix()
    for folder in ("bidrec", "jobs", "feature_repo")
    for file in (ROOT / folder).rglob("*.py")
)


def imports(module: str) -> set[str]:
    """Dotted names that the module imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / module).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{module} has a relative import: name it in full"
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def room(dotted: str) -> str | None:
    """The room of a dotted name or of a path; None for `bidrec` itself and for everything that is not ours."""
    parts = dotted.removesuffix(".py").replace("/", ".").split(".")
    if parts[0] != "bidrec":
        return parts[0] if parts[0] in ("jobs", "feature_repo") else None
    return parts[1] if len(parts) > 1 and not parts[1].startswith("__") else None


def within(dotted: str, name: str) -> bool:
    return dotted == name or dotted.startswith(f"{name}.")


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_down_the_flow_only(module):
    own = room(module)
    if own is None or own == "feature_repo":
        return
    assert own in ORDER, f"give {own} its place in ORDER"
    reached = {name: room(name) for name in imports(module)}
    above = {name for name, other in reached.items() if other in ORDER and ORDER.index(other) > ORDER.index(own)}
    assert not above


@pytest.mark.parametrize("module", [module for module in MODULES if module not in EXEMPT])
def test_a_room_knows_nothing_of_what_is_not_its_business(module):
    forbidden = KNOWS_NOTHING_OF.get(room(module) or "", set())
    assert not {name for name in imports(module) if any(within(name, other) for other in forbidden)}


@pytest.mark.parametrize(
    "module", [module for module in MODULES if not module.startswith("jobs/") and module not in CLICK]
)
def test_only_the_commands_know_click(module):
    assert not {name for name in imports(module) if within(name, "click")}


@pytest.mark.parametrize("module", [module for module in MODULES if module.startswith("feature_repo/")])
def test_the_feature_repository_stands_alone(module):
    """Plain `feast -c feature_repo apply` loads it from any folder, without the bidrec package."""
    assert not {name for name in imports(module) if within(name, "bidrec") or within(name, "jobs")}

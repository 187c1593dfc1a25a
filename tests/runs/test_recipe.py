"""What made a run is told from the code alone: from all of it, and from what it does."""

import ast
from pathlib import Path

import pytest

from bidrec.runs import recipe

ROOT = Path(__file__).parents[2]
MODEL = ("training_set", "model", "training", "ranking")
"""The packages between the features and the figures."""
WITHOUT_EFFECT = {
    "training/saved.py",  # how weights are stored, which a run's manifest holds to their sums
    "model/loss/__init__.py",
}


@pytest.fixture
def changed(monkeypatch: pytest.MonkeyPatch):
    """Call it with a file's name and what is added to its text from then on."""

    def add(name: str, text: str) -> None:
        read = Path.read_text
        monkeypatch.setattr(
            Path, "read_text", lambda file, **how: read(file, **how) + text * file.as_posix().endswith(name)
        )

    return add


def reached(module: str, found: set[str] | None = None) -> set[str]:
    """Files below bidrec/ that a module imports, and so on; its own included."""
    found = set() if found is None else found
    file = ROOT / f"{module.replace('.', '/')}.py"
    if not module.startswith("bidrec.") or not file.is_file() or str(file) in found:
        return found
    found.add(str(file))
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            for name in (node.module, *(f"{node.module}.{alias.name}" for alias in node.names)):
                reached(name, found)
    return found


def named(patterns) -> set[str]:
    return {str(file) for pattern in patterns for file in (ROOT / "bidrec").glob(pattern)}


def test_all_code_that_ranks_today_with_a_run_is_served_by():
    files = {file for file in reached("bidrec.publishing.today") if Path(file).relative_to(ROOT).parts[1] in MODEL}
    assert len(files) > 30
    lacking = files - named(recipe.SERVING)
    assert {Path(file).relative_to(ROOT / "bidrec").as_posix() for file in lacking} <= WITHOUT_EFFECT


def test_all_code_between_the_features_and_the_figures_is_learned_by():
    packages = [file for package in MODEL for file in (ROOT / "bidrec" / package).rglob("*.py")]
    assert {str(file) for file in packages if file.name != "__init__.py"} <= named(
        (*recipe.SERVING, *recipe.MEASURING, *recipe.TRAINING)
    )


@pytest.mark.parametrize("pattern", [*recipe.SERVING, *recipe.MEASURING, *recipe.TRAINING])
def test_every_pattern_names_a_file(pattern):
    assert named([pattern])


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("features/notice.sql", "serving"),
        ("training_set/encoders.py", "serving"),
        ("model/loss/softmax.py", "serving"),
        ("ranking/metrics.py", "measuring"),
        ("training/optimiser.py", "learning"),
    ],
)
def test_other_code_is_another_recipe(changed, name, part):
    before = recipe.now.__wrapped__()
    changed(name, "\nMORE = 1\n")
    after = recipe.now.__wrapped__()
    assert before[part] != after[part]
    assert before["learning"] != after["learning"]
    others = {"serving", "measuring"} - {part}
    assert all(before[other] == after[other] for other in others)


def test_what_is_only_said_of_the_code_makes_no_other_recipe(changed):
    before = recipe.now.__wrapped__()
    changed("training_set/encoders.py", '\n\n# why\n"""And what."""\n')
    assert recipe.now.__wrapped__() == before

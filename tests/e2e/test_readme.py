"""The READMEs, held to the code: their commands run, their tables are whole, and both say the same.

The commands run in the order of README.md, in a folder that looks like a fresh clone, with these differences:
`bidrec demo` makes a smaller market (not the smallest: there kNN wins and the gate refuses), and the ids after --notice
and --company are of that market; examples/koneps.toml, which trains on it once more, has a small model, published
whatever it learned; `make X` is only asked for its plan; docker's lines run in test_container.py and test_compose.py,
kubectl's overlays in test_kube_play.py and tests/k8s; the real bids are trained on only with README_TRAINS=1, otherwise
their lines are parsed and their configuration is loaded.
"""

import dataclasses
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import typing
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import click
import duckdb
import pytest

from bidrec import config
from bidrec.config import files
from jobs.cli import COMMANDS, main
from tests.e2e import containers
from tests.sources.test_own_tables import DUMPS

ROOT = Path(__file__).parents[2]
READMES = [ROOT / "README.md", ROOT / "README.ko.md"]
CLONED = ("Makefile", "pyproject.toml", "requirements", "feature_repo")
SMALL = " --notices 5000 --companies 2500 --bids 45000"
TRAIN_ON_REAL_BIDS = "README_TRAINS" in os.environ

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
KEY = re.compile(r"^\| `([a-z_.]+)` \| (?:`(.*?)`)? *\|", re.MULTILINE)
COMMAND = re.compile(r"^\| `bidrec ([a-z-]+)` \|", re.MULTILINE)


def blocks(readme: Path) -> list[tuple[str, str]]:
    """(language, text) of each fenced block."""
    return BLOCK.findall(readme.read_text(encoding="utf-8"))


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder with what a clone has, and dumps that suit examples/own_tables."""
    folder = tmp_path / "bidrec"
    (folder / "dumps").mkdir(parents=True)
    for name in CLONED:
        (folder / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "examples", folder / "examples")
    with (folder / "examples" / "koneps.toml").open("a", encoding="utf-8") as koneps:
        koneps.write(containers.SMALL)
    for name, text in DUMPS.items():
        (folder / "dumps" / name).write_text(text, encoding="utf-8")
    return folder


def test_every_command_of_the_readme_runs_and_its_configuration_and_python_do_too(clone: Path) -> None:
    for language, text in blocks(READMES[0]):
        if "examples/gepnic.toml" in text and not TRAIN_ON_REAL_BIDS:
            continue
        if language == "sh":
            run(clone, ["bash", "-euc", "\n".join(adapted(line, clone) for line in text.splitlines())], text)
        elif language == "toml":
            (clone / name_in_first_line(text)).write_text(text, encoding="utf-8")
        elif language == "python":
            run(clone, ["python", "-c", with_ids_of_the_demo(text, clone)], text, clone / ".bidrec" / "demo")
    the_demo_finds_most_of_what_the_markets_own_probabilities_find(clone)


def the_demo_finds_most_of_what_the_markets_own_probabilities_find(clone: Path) -> None:
    """More than any rival does, and also for companies without a known bid: .91 and .56 where it was tried."""
    file = min((clone / ".bidrec" / "demo" / "runs").glob("*/metrics.json"))
    metrics = json.loads(file.read_text(encoding="utf-8"))
    frozen, newcomers = metrics["metrics"]["frozen"], metrics["newcomers"]
    assert frozen["final"]["recall@100"] > max(frozen[name]["recall@100"] for name in metrics["baselines"])
    assert newcomers["warm"]["of_the_oracle"] > 0.87
    assert newcomers["cold"]["of_the_oracle"] > 0.4


def run(clone: Path, command: list[str], text: str, home: Path | None = None) -> None:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    if home:
        environment["BIDREC_HOME"] = str(home)
    done = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{text}\nended with {done.returncode}:\n{done.stderr[-3000:]}"


def adapted(line: str, clone: Path) -> str:
    """The line as it is run here."""
    if line.startswith(("docker ", "kubectl ")):
        return ""
    if line.startswith("make "):
        return line.replace("make ", "make --dry-run ", 1)
    return with_ids_of_the_demo(line + SMALL if line == "bidrec demo" else line, clone)


def with_ids_of_the_demo(text: str, clone: Path) -> str:
    """The README's notice and company replaced by ones that the smaller demo knows."""
    published = clone / ".bidrec" / "demo" / "published" / "current"
    if not published.exists():
        return text
    found = duckdb.execute(
        f"SELECT notice_id, company_ids[1] FROM '{published}/notice_recommendations.parquet' ORDER BY ALL LIMIT 1"
    ).fetchone()
    assert found
    return re.sub(r"\b\d{10}\b", found[1], re.sub(r"\b\d{11}-\d{3}\b", found[0], text))


def name_in_first_line(text: str) -> str:
    return text.splitlines()[0].removeprefix("# ")


def real_bids() -> list[list[str]]:
    lines = [line for _, text in blocks(READMES[0]) for line in text.splitlines() if "examples/gepnic.toml" in line]
    return [shlex.split(line) for line in lines]


@pytest.mark.parametrize("words", real_bids(), ids=" ".join)
def test_a_training_on_the_real_bids_is_given_options_and_a_configuration_that_exist(
    words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert words[0] == "bidrec"
    monkeypatch.chdir(ROOT)
    command = main.get_command(click.Context(main), words[1])
    assert command
    given = command.make_context(words[1], words[2:]).params
    loaded = files.load(given["config_path"], **{key: value for key, value in given.items() if "__" in key})
    assert loaded.source.name == "gepnic"
    assert loaded.split.train_before
    assert loaded.split.test_before


@pytest.mark.parametrize("readme", READMES, ids=lambda path: path.name)
def test_the_table_of_commands_names_every_command_and_no_other(readme: Path) -> None:
    assert sorted(COMMAND.findall(readme.read_text(encoding="utf-8"))) == sorted(COMMANDS)


def test_the_tables_of_the_configuration_have_the_same_keys_each_with_its_default() -> None:
    english, korean = (KEY.findall(readme.read_text(encoding="utf-8")) for readme in READMES)
    assert english
    assert english == korean
    assert set(english) <= set(defaults(config.Config))


def test_the_korean_page_of_the_configuration_has_every_key_with_its_default() -> None:
    page = ROOT / "docs" / "configuration.ko.md"
    assert KEY.findall(page.read_text(encoding="utf-8")) == list(defaults(config.Config))


def defaults(kind: type, prefix: str = "") -> Iterator[tuple[str, str]]:
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        if dataclasses.is_dataclass(hints[field.name]):
            yield from defaults(typing.cast(type, hints[field.name]), f"{prefix}{field.name}.")
        else:
            value = getattr(kind(), field.name)
            yield prefix + field.name, as_toml(value)


def as_toml(value: object) -> str:
    """The value as one writes it in the TOML file; "" for a key without default."""
    if value is None:
        return ""
    if isinstance(value, date):
        return value.isoformat()
    return json.dumps(value)


def test_both_readmes_have_the_same_code_blocks_and_figures() -> None:
    english, korean = (blocks(readme) for readme in READMES)
    assert english == korean
    english_table, korean_table = (figures(readme) for readme in READMES)
    assert english_table == korean_table


@pytest.mark.parametrize("readme", READMES, ids=lambda path: path.name)
def test_the_first_table_has_the_figures_of_the_table_of_real_bids(readme: Path) -> None:
    """bidrec's, the strongest rival's and those of popularity: frozen Recall@100."""
    found, shown = figures(readme), readme.read_text(encoding="utf-8")
    for state in ("Himachal Pradesh", "Odisha"):
        recalls = {name: recall for (where, name), (_, recall, *_) in found.items() if where == state}
        rival = max(recall for name, recall in recalls.items() if name not in ("final", "towers", "ceiling"))
        assert f"| {state} | {recalls['final']} | {rival} | {recalls['popularity']} |" in shown


def figures(readme: Path) -> dict[tuple[str, str], list[str]]:
    """The table of real bids: its figures by state and ranker."""
    found: dict[tuple[str, str], list[str]] = {}
    state = ""
    for name, *values in re.findall(
        r"^\| ([*\w ]+) " + r"\| ([\d.]*) ?" * 6 + r"\|$", readme.read_text("utf-8"), re.MULTILINE
    ):
        if name.startswith("**"):
            state = name.strip("*")
        elif state:
            found[state, name] = values
    return found


@pytest.mark.parametrize("readme", READMES, ids=lambda path: path.name)
def test_every_file_a_readme_names_is_there(readme: Path) -> None:
    named = re.findall(r"`((?:bidrec|jobs|tests|examples|feature_repo)/[\w./*-]*)`", readme.read_text(encoding="utf-8"))
    assert named
    assert [name for name in named if not list(ROOT.glob(name))] == []

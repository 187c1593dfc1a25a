"""docs/using.md and docs/json.md, held to the code: snippets run, columns and keys are those that are written."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner

from bidrec.config import Config
from bidrec.publishing.export import COLUMNS
from bidrec.publishing.recommend import Published
from bidrec.runs.found import find
from jobs.cli import COMMANDS, main
from jobs.output import SCHEMA_VERSION

DOCS = Path(__file__).parents[2] / "docs"
USING, JSON = ((DOCS / name).read_text(encoding="utf-8") for name in ("using.md", "json.md"))
COMMAND_KEYS, METRICS_KEYS = JSON.split("## metrics.json")
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def documented() -> dict[str, set[str]]:
    """Command -> its keys in the table of docs/json.md; none where the whole object is described elsewhere."""
    keys: dict[str, set[str]] = {}
    commands: list[str] = []
    for cells in (line.split("|") for line in COMMAND_KEYS.splitlines() if line.startswith(("| `", "| |"))):
        commands = re.findall(r"`([^`]+)`", cells[1]) or commands
        for command in commands:
            keys.setdefault(command, set()).update(re.findall(r"`(\w+)`", cells[2]))
    return keys


def row_of(words: str) -> str:
    """The row of the table that says what is printed by these words."""
    return max((name for name in documented() if words.startswith(name)), key=len)


@pytest.fixture(scope="module")
def ids(config: Config) -> tuple[str, str]:
    published = Published(config.home_path)
    notice = published.an_open_notice()
    return notice, published.companies_for(notice, 1)[1][0]["company_id"]


@pytest.mark.parametrize(
    ("language", "text"),
    [block for block in BLOCK.findall(USING) if "explore" not in block[1]],  # see test_explore.py
)
def test_every_snippet_runs(language: str, text: str, config: Config, ids: tuple[str, str], tmp_path: Path) -> None:
    text = re.sub(r"\b\d{10}\b", ids[1], re.sub(r"\b\d{11}-\d{3}\b", ids[0], text))
    command = ["bash", "-euc", text] if language == "sh" else [sys.executable, "-c", text]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "BIDREC_HOME": config.home}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert language == "sh" or (done.stdout.startswith("1 "), done.stderr) == (True, "")


def test_the_table_of_columns_is_that_of_the_export() -> None:
    assert dict(re.findall(r"^\| `([a-z_]+)` \| ([^|]+) \|$", USING, re.MULTILINE)) == COLUMNS


def test_every_command_is_in_the_table_of_keys() -> None:
    assert {command.split()[0] for command in documented()} == set(COMMANDS)


def test_the_table_of_metrics_json_has_the_keys_that_a_run_has(config: Config) -> None:
    cells = re.findall(r"^\| (`[^|]+) \|", METRICS_KEYS, re.MULTILINE)
    assert set(re.findall(r"`(\w+)", " ".join(cells))) == set(find(config.home_path).metrics())


ELSEWHERE = {
    "erase": "tests/jobs/test_erase.py",
    "erase --take-in-again": "tests/jobs/test_erase.py",
    "train": "test_commands.py measures a run again, which prints the same",
    "evaluate": "test_commands.py",
    "demo": "test_commands.py",
    "write-back": "test_flow.py",
    "backtest": "test_backtest.py",
    "tune": "test_tune.py",
    "simulate": "tests/jobs/test_simulate.py",
    "explore": "test_explore.py",
    "feast": "tests/jobs/test_feast.py",
}
"""What of the table is not printed below, and where it is."""
PRINTED = [
    "ingest",
    "features",
    "runs",
    "runs compare RUN RUN",
    "runs prune --keep 9 --dry-run",
    "runs pin RUN",
    "runs unpin RUN",
    "recommend --notice NOTICE",
    "recommend --company COMPANY",
    "recommend --companies-near VECTOR",
    "recommend --notices-near VECTOR",
    "recommend --all --direction notice --format csv --to TMP/lists.csv",
    "check",
    "init --source koneps --to TMP/bidrec.toml",
    "doctor",
    "report RUN",
    "export-towers --to TMP/towers",
    "tune --space",
]


def test_every_row_of_the_table_of_keys_is_printed_here_or_elsewhere() -> None:
    assert {*map(row_of, PRINTED), *ELSEWHERE} == documented().keys()


@pytest.mark.parametrize("words", PRINTED)
def test_what_a_command_prints_has_the_documented_keys(
    words: str, config: Config, ids: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.toml").write_text(
        f'[source]\nname = "koneps"\npath = "{config.source.path}"\n[split]\ntest_days = 40\n'
    )
    (vector,) = duckdb.sql(
        f"SELECT embedding FROM '{config.home}/published/current/notice_embedding.parquet' LIMIT 1"
    ).fetchall()[0]
    (tmp_path / "vector.json").write_text(json.dumps(vector))
    filled = {
        "RUN": find(config.home_path).id,
        "NOTICE": ids[0],
        "COMPANY": ids[1],
        "VECTOR": str(tmp_path / "vector.json"),
        "TMP": str(tmp_path),
    }
    given = re.sub("|".join(filled), lambda match: filled[match[0]], words).split()
    monkeypatch.setenv("BIDREC_CONFIG", str(tmp_path / "mine.toml"))
    done = CliRunner().invoke(main, [*given, "--json"], env={"BIDREC_HOME": config.home})
    assert done.exit_code == 0, done.stderr[-2000:]
    printed = json.loads(done.stdout)
    name = row_of(words)
    assert printed.pop("schema_version") == SCHEMA_VERSION
    assert printed.pop("command") == name.partition(" --")[0]
    assert documented()[name] in (set(), set(printed))

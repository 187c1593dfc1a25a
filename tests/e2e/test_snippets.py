"""The fenced blocks of docs/ and CONTRIBUTING.md, run page by page in a copy of one small home.

A page's blocks run in their order; what its shell exports and its Python defines holds until its end. ELSEWHERE names
every line that does not run here, with the reason; the tutorial's run in test_docs.py, using.md's in test_using.py.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import duckdb
import pytest

from bidrec.config import Config
from bidrec.config.files import load
from bidrec.publishing.recommend import Published
from tests import redis
from tests.e2e.test_docs import BLOCK, PAGES, ROOT
from tests.forked import Session, sessions

ELSEWHERE = {
    "pip install": "what requirements/ lists is installed before the tests, or the tests that need it skip",
    "make ": "test_readme.py asks make for its plan: setup, demo and the tests take minutes",
    "feast ui": "serves until it is stopped: tests/feature_repo/test_commands.py asks it for a page",
    "torchrun --nproc-per-node 2": "tests/training/test_distributed.py trains in two processes",
    "torchrun --nnodes": "needs several machines: tests/k8s/test_overlays.py compares the manifests",
    "docker ": "builds for minutes and pushes to a registry: tests/e2e/test_container.py builds the image",
    "kubectl ": "needs a cluster: tests/k8s/test_first_day.py holds the lines to the overlays",
    "bidrec tune --trials": "a training a trial: tests/jobs/test_tune.py",
    "retrieve_online_documents_v2": "needs PostgreSQL with pgvector: tests/publishing/test_vector_search.py",
}
"""What a line of the shell, or a block of Python, has in it that does not run here, and why."""
OWN = ("tutorial.md", "using.md")
RUNS = ("sh", "python", "toml")


def blocks(page: Path) -> list[tuple[str, str]]:
    """(language, text) of each fenced block."""
    return BLOCK.findall(page.read_text(encoding="utf-8"))


RUN = [page for page in PAGES if page.name not in OWN and any(language in RUNS for language, _ in blocks(page))]
NOTED = f"""feast() {{ {sys.executable} -c '
import json, os, sys
print(json.dumps(dict(words=sys.argv[1:], environment=dict(os.environ))), file=open("feast.jsonl", "a"))
' "$@"; }}
"""


class Reader:
    """Somebody who types a page's blocks, one after the other, beside a clone and in the demo's home."""

    def __init__(self, folder: Path, config: Config, words: dict[str, str], feasts: Session) -> None:
        self.folder, self.config, self.words, self.feasts = folder, config, words, feasts
        self.exports: list[str] = []
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.environment = {**os.environ, "PATH": path, "BIDREC_HOME": config.home, "PYTHONPATH": str(ROOT)}

    def reads(self, language: str, text: str) -> None:
        for written, meant in self.words.items():
            text = text.replace(written, meant)
        if language in RUNS:
            {"sh": self.shell, "python": self.python, "toml": self.toml}[language](text)

    def shell(self, text: str) -> None:
        lines = [line for line in text.replace("\\\n", " ").splitlines() if not elsewhere(line)]
        self.run(["bash", "-euc", "\n".join([NOTED, *self.exports, *lines])])
        self.exports += [line for line in lines if line.startswith("export ")]
        asked = sum(line.startswith("feast ") for line in lines)
        if asked:
            noted = (self.folder / "feast.jsonl").read_text()
            assert len(noted.splitlines()) == asked
            for environment, lines in groupby(map(json.loads, noted.splitlines()), itemgetter("environment")):
                commands = [line["words"] for line in lines]
                for words, (code, *said) in zip(commands, self.feasts(self.folder, environment, commands), strict=True):
                    assert code == 0, (words, said)
            (self.folder / "feast.jsonl").unlink()

    def python(self, text: str) -> None:
        name = text.splitlines()[0].removeprefix("# ")
        if name.endswith(".py"):
            (self.folder / name).write_text(text, encoding="utf-8")
        elif not elsewhere(text):
            self.run([sys.executable, "-c", f"home = __import__('pathlib').Path({self.config.home!r})\n{text}"])

    def toml(self, text: str) -> None:
        name = text.splitlines()[0].removeprefix("# ")
        if name.endswith(".toml"):
            (self.folder / name).write_text(text, encoding="utf-8")
            load(self.folder / name)
        else:
            assert is_part_of(tomllib.loads(text), tomllib.loads(KONEPS.read_text(encoding="utf-8")))

    def run(self, command: list[str]) -> None:
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, f"{command[-1]}\n{done.stdout[-1000:]}\n{done.stderr[-3000:]}"


KONEPS = ROOT / "bidrec" / "sources" / "koneps" / "source.toml"


def is_part_of(shown: dict, whole: dict) -> bool:
    """Whether each key is there, with the same value; of a list, with some of its items."""

    def alike(key: str, value: object) -> bool:
        if isinstance(value, dict):
            return is_part_of(value, whole[key])
        return set(value) <= set(whole[key]) if isinstance(value, list) else value == whole[key]

    return all(key in whole and alike(key, value) for key, value in shown.items())


def elsewhere(text: str) -> str | None:
    return next((reason for words, reason in ELSEWHERE.items() if words in text), None)


@pytest.fixture(scope="module")
def redis_address() -> Iterator[str | None]:
    if redis.missing():
        yield None
        return
    with redis.server() as server:
        yield server.address


@pytest.fixture(scope="module")
def feasts() -> Iterator[Session]:
    with sessions("feast.cli.cli:cli") as session:
        yield session


@pytest.fixture
def reader(copy: Config, tmp_path: Path, redis_address: str | None, feasts: Session) -> Reader:
    folder = tmp_path / "bidrec"
    folder.mkdir()
    for name in ("examples", "feature_repo"):
        # Copies: what a page does with `cp -r` would leave a link to the repository itself, and write into it.
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    published = Published(copy.home_path)
    company = published.companies_for(published.an_open_notice(), 1)[1][0]["company_id"]
    vectors = f"SELECT embedding FROM '{copy.home_path}/published/current/company_embedding.parquet' LIMIT 1"
    vector = list(duckdb.execute(vectors).fetchall()[0][0])
    (folder / "vector.json").write_text(json.dumps(vector))
    words = {
        "$PWD/.bidrec/demo": copy.home,
        "/srv/odisha": copy.home,
        "--company ID": f"--company {company}",
        "0089868738": company,
        "[0.1, ...]": repr(vector),
        "localhost:6379,password=...": redis_address or "",
    }
    return Reader(folder, copy, words, feasts)


@pytest.mark.parametrize("page", RUN, ids=lambda page: page.name)
def test_every_block_of_a_page_runs(page: Path, reader: Reader, redis_address: str | None) -> None:
    for language, text in blocks(page):
        if "BIDREC_REDIS" in text and redis_address is None:
            continue
        reader.reads(language, text)


def test_each_reason_for_not_running_is_about_something_that_is_there() -> None:
    every = "".join(text for page in RUN for _, text in blocks(page))
    assert [words for words in ELSEWHERE if words not in every] == []


def test_no_command_hides_in_a_block_that_is_not_run() -> None:
    """A block of another language is a drawing, or lines of a file; the diffs are done by the tests named here."""
    others = {
        (page.name, language)
        for page in PAGES
        for language, text in re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.M | re.S)
        if language not in RUNS and re.search(r"^\+?(bidrec|feast|pip|make|docker) ", text, re.M)
    }
    assert others == {("features.md", "diff")}  # test_own_vectors.py

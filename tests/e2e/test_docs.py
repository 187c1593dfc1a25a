"""docs/, held to the code: the tutorial runs, commands exist, the reference is the code's, links lead somewhere."""

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from docs.generate_reference import reference
from jobs.cli import main

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.glob("*.md"), ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"])
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`(bidrec [a-z][^`]*)`")
SIZE, SMALLER = "--notices 5000 --companies 2500 --bids 45000", "--notices 2000 --companies 1000 --bids 18000"
"""The tutorial's market, and the one that is invented here: its towers still beat every rival by far."""
FOLDERS = "bidrec|jobs|tests|examples|feature_repo|benchmarks|docs|requirements"
FILE = re.compile(rf"`((?:{FOLDERS})/[\w./-]*)`(?: \(((?:`\w+`(?:, )?)+)\))?")
"""A file or folder of the repository, and in brackets names that are in it."""
LINK = re.compile(r"\]\(([^)#:]+)(?:#[\w-]*)?\)")


def test_the_tutorial_runs_from_its_first_line_to_its_last(tmp_path: Path) -> None:
    for name in ("examples", "feature_repo"):
        (tmp_path / name).symlink_to(ROOT / name)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {name: value for name, value in os.environ.items() if name != "BIDREC_HOME"} | {"PATH": path}
    tutorial = (DOCS / "tutorial.md").read_text(encoding="utf-8")
    assert SIZE in tutorial
    for language, text in BLOCK.findall(tutorial.replace(SIZE, SMALLER)):
        if language == "toml":
            (tmp_path / text.splitlines()[0].removeprefix("# ")).write_text(text, encoding="utf-8")
            continue
        command = ["bash", "-euc", text] if language == "sh" else [sys.executable, "-c", text]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{text}\n{done.stderr[-3000:]}"
    rows = (tmp_path / "recommendations.csv").read_text(encoding="utf-8").splitlines()
    assert len(rows) > 10
    assert list((tmp_path / "tutorial_home" / "runs").glob("*/report.html"))


def commands() -> list[list[str]]:
    """The words of each `bidrec ...` line of the shell blocks, a continued line as one, and of those in sentences."""
    found = []
    for page in (*PAGES, ROOT / "README.md", ROOT / "README.ko.md"):
        prose = BLOCK.sub("", page.read_text(encoding="utf-8"))
        spoken = {" ".join(words.replace(" ...", "").split()) for words in INLINE.findall(prose)}
        found += [shlex.split(words) for words in sorted(spoken) if words != "bidrec"]
    for page in PAGES:
        for language, text in BLOCK.findall(page.read_text(encoding="utf-8")):
            if language == "sh":
                lines = text.replace("\\\n", " ").splitlines()
                found += [shlex.split(line, comments=True) for line in lines if line.startswith("bidrec ")]
    return [list(words) for words in dict.fromkeys(map(tuple, found))]


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_a_command_in_the_docs_is_one_that_bidrec_understands(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command = main.get_command(click.Context(main), words[1])
    assert command, words
    rest = words[2:]
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        command = command.get_command(click.Context(command), rest.pop(0))
        assert command, words
    if not rest or "--help" in rest:
        return
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    unknown = [word for word in rest if word.startswith("--") and word.split("=")[0] not in known]
    assert not unknown or command.ignore_unknown_options, words


def test_the_reference_is_what_the_code_says() -> None:
    assert (DOCS / "reference.md").read_text(encoding="utf-8") == reference(), "python -m docs.generate_reference"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file(page: Path) -> None:
    links = LINK.findall(page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_of_the_code_that_a_page_names_is_there_and_has_the_names_beside_it(page: Path) -> None:
    for file, names in FILE.findall(page.read_text(encoding="utf-8")):
        assert (ROOT / file).exists(), file
        text = (ROOT / file).read_text(encoding="utf-8") if names else ""
        assert [name for name in re.findall(r"`(\w+)`", names) if not re.search(rf"\b{name}\b", text)] == [], file


@pytest.mark.skipif(
    importlib.util.find_spec("mkdocs") is None, reason="mkdocs is not installed (requirements/docs.txt)"
)
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    site = tmp_path / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(ROOT / "mkdocs.yml"), "-d", str(site)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    pages = {page.stem for page in DOCS.glob("*.md")} - {"index"}
    assert {folder.parent.name for folder in site.glob("*/index.html")} >= pages
    loaded = re.findall(
        r'<(?:script|link)[^>]+(?:src|href)="([^"]+)', (site / "index.html").read_text(encoding="utf-8")
    )
    assert [address for address in loaded if address.startswith(("http", "//"))] == []

"""Vectors made elsewhere, by the lines that docs/features.md shows: read from it, done, trained on; and broken ones."""

import re
import shutil
from pathlib import Path

import duckdb
import numpy as np
import pytest
from click.testing import CliRunner

from bidrec.config.files import load
from bidrec.runs.found import find
from bidrec.training_set.arrays import TrainingSet
from jobs.cli import main
from tests.e2e.test_added_feature import clone as clone  # the fixture
from tests.e2e.test_readme import ROOT, blocks

WITH = 290
"""Of 300 notices, those that have a vector."""
VECTORS = f"SELECT 'T' || i AS number, [i, i % 7, 1.0]::FLOAT[] AS embedding FROM range({WITH}) t(i)"


def follow(clone: Path) -> None:
    """Make the copies name the vectors, as the diff in docs/features.md says."""
    block = next(text for language, text in blocks(ROOT / "docs" / "features.md") if "title_vector" in text)
    for place, added in re.findall(r"^ # (.+)\n((?:\+.*\n)+)", block, re.MULTILINE):
        if place == "on the command line":
            assert added == "+bidrec train --config mine.toml\n"
            continue
        name, where = place.split(", ")
        lines = re.sub(r"^\+", "", added, flags=re.MULTILINE)
        file = clone / name
        text = file.read_text(encoding="utf-8")
        if where == "at its end":
            text = text.rstrip() + "\n" + lines
        elif where == "at its top":
            text = text.replace("\nfrom ", "\n" + lines + "from ", 1)
        else:
            anchor = "SELECT\n" if "SELECT" in where else "schema=[\n"
            assert anchor in text
            text = text.replace(anchor, anchor + lines, 1)
        file.write_text(text, encoding="utf-8")


def write(clone: Path, rows: str) -> None:
    duckdb.execute(f"COPY ({rows}) TO '{clone}/dumps/title_vectors.parquet'")


def test_the_lines_of_the_docs_make_a_vector_a_block_of_dense_columns(clone: Path) -> None:
    follow(clone)
    write(clone, VECTORS)
    done = CliRunner().invoke(main, ["train", "--config", "mine.toml"])
    assert done.exit_code == 0, done.stderr
    ts = TrainingSet.open(find(load(Path("mine.toml")).home_path).training_set)
    columns = ts.notice.schema["dense_columns"]
    at = columns.index("title_vector[0]")
    assert columns[at : at + 3] == ["title_vector[0]", "title_vector[1]", "title_vector[2]"]
    given = dict(zip(ts.notice_ids(), np.asarray(ts.notice.dense[:, at : at + 3]), strict=True))
    rising = [given[f"T{i}"][0] for i in range(WITH)]
    assert rising == sorted(rising)
    assert rising[0] < 0 < rising[-1]
    assert [given[f"T{i}"].tolist() for i in range(WITH, 300)] == [[0, 0, 0]] * (300 - WITH)


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("[1.0, 2.0]::FLOAT[]", r"title_vector: 1 of \d+ vectors have not 3 numbers but, for instance, 2"),
        ("[1.0, 2.0, 'nan'::FLOAT]", r"title_vector: 1 of \d+ vectors hold NaN"),
    ],
)
def test_a_broken_vector_ends_with_65_and_one_line_that_says_what_and_how_many(
    clone: Path, broken: str, said: str
) -> None:
    follow(clone)
    write(clone, f"SELECT number, CASE number WHEN 'T3' THEN {broken} ELSE embedding END AS embedding FROM ({VECTORS})")
    shutil.rmtree(clone / ".bidrec", ignore_errors=True)
    refused = CliRunner().invoke(main, ["train", "--config", "mine.toml"])
    assert refused.exit_code == 65, refused.stderr
    assert re.search(f"^error: {said}", refused.stderr, re.MULTILINE)
    assert "Traceback" not in refused.stderr

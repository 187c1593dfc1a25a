"""One more feature, by the four lines that the README shows: they are read from it, done, and trained on."""

import json
import re
import shlex
import shutil
from pathlib import Path

import duckdb
import pandas as pd
import pytest
from click.testing import CliRunner

from bidrec.config.read import load
from bidrec.features.registry import open_store
from bidrec.runs import find
from bidrec.training_set.load import TrainingSet
from jobs.cli import main
from tests.e2e.test_readme import READMES, ROOT, blocks, name_in_first_line

PLACES = {
    "my_tables/source.toml, in [raw.tender.columns]": "[raw.tender.columns]\n",
    "my_tables/notice.sql, in the SELECT": "SELECT\n",
    "my_features/notice_views.py, in the schema of notice_features": "schema=[\n",
}
"""Where the README says a line goes, and what stands before it."""
SMALL = """
[model]
embedding_dim = 8
table_dim = 16
hidden = [16]
company_hidden = 16
[training]
epochs = 1
[evaluation]
refresh_days = 0
bootstrap = 10
"""
TABLES = {
    "tenders": """
        SELECT 'T' || i AS number, TIMESTAMP '2024-01-01 10:00' + to_days(i::INTEGER) AS published,
            published + to_days(10) AS deadline, 'Road works ' || i % 5 AS subject, 'Roads' AS department,
            'Town ' || i % 3 AS town, 1000 + i AS estimate, ['city', 'state', 'fund'][1 + i % 3] AS funding
        FROM range(300) t(i)""",
    "suppliers": "SELECT 500 + i AS tax_number, DATE '2010-01-01' AS registered, 'Town' AS town, i AS staff"
    " FROM range(30) t(i)",
    "offers": "SELECT 'T' || i AS tender, 500 + i % 5 * 6 + j AS tax_number, 900 + j AS price, j = 0 AS accepted"
    " FROM range(300) t(i), range(3) s(j)",
}


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which the README has been followed up to the four lines, with dumps that know who pays."""
    shutil.copytree(ROOT / "examples" / "own_tables", tmp_path / "my_tables")
    shutil.copytree(ROOT / "feature_repo", tmp_path / "my_features", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "dumps").mkdir()
    for name, rows in TABLES.items():
        duckdb.execute(f"COPY ({rows}) TO '{tmp_path}/dumps/{name}.csv' (HEADER)")
    toml = next(text for language, text in blocks(READMES[0]) if language == "toml")
    (tmp_path / name_in_first_line(toml)).write_text(toml + SMALL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BIDREC_HOME", str(tmp_path / ".bidrec" / "mine"))
    return tmp_path


def four_lines() -> tuple[dict[str, str], str]:
    """Where -> what of the three lines to add, and the command."""
    block = next(text for language, text in blocks(READMES[0]) if language == "diff")
    *added, (_, command) = re.findall(r"^ # (.+)\n\+(.+)$", block, re.MULTILINE)
    assert len(re.findall(r"^\+", block, re.MULTILINE)) == 4
    return dict(added), command


def test_the_four_lines_of_the_readme_make_a_feature_for_the_model_and_for_feast(clone: Path) -> None:
    added, command = four_lines()
    for place, line in added.items():
        file = clone / place.split(",")[0]
        before, anchor, after = file.read_text().partition(PLACES[place])
        assert anchor
        file.write_text(before + anchor + line + "\n" + after)
    program, *words = shlex.split(command)
    assert program == "bidrec"
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.stderr

    config = load(Path("mine.toml"))
    run = find(config.home_path)
    attributes = {
        field["name"]: field["size"] for field in TrainingSet.open(run.training_set).notice.schema["attributes"]
    }
    assert attributes["funding"] == 1 + 3
    asked = pd.DataFrame({"notice_id": ["T4"], "event_timestamp": [pd.Timestamp("2024-02-01", tz="UTC")]})
    answer = open_store(config).get_historical_features(asked, ["notice_features:funding"]).to_df()
    assert answer["funding"].tolist() == ["state"]
    listed = CliRunner().invoke(main, ["features", "--json", "--config", "mine.toml"])
    funding = next(field for field in json.loads(listed.stdout)["fields"] if field["name"] == "funding")
    assert (funding["meaning"], funding["source"], funding["read"]) == ("who pays", "notice.funding", "categorical")
    assert funding["windows"]["training"]["cardinality"] == 3

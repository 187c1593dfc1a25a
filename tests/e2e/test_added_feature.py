"""One more feature, by the four lines that the README shows: they are read from it, done, and trained on.

And a fact of a company over time, by the lines of docs/features.md.
"""

import json
import re
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import duckdb
import pandas as pd
import pytest
from click.testing import CliRunner

from bidrec.config.files import load
from bidrec.features.build import build_features
from bidrec.features.registry import apply, open_store
from bidrec.features.schema import read_schema
from bidrec.lake.ingest import ingest
from bidrec.runs.found import find
from bidrec.training_set.arrays import TrainingSet
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
    "suppliers": "SELECT 500 + i AS tax_number, DATE '2010-01-01' AS registered, 'Town ' || i % 3 AS town, i AS staff"
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


FEATURES = ROOT / "docs" / "features.md"
FACTS, CUT = [text for language, text in blocks(FEATURES) if language == "sql"]


def winners() -> list[tuple[str, str, pd.Timestamp, bool]]:
    """(tender, company, deadline in UTC, whether it is in the winner's own town) of TABLES."""
    published = pd.Timestamp("2024-01-01 10:00", tz="Europe/Lisbon")
    found = []
    for i in range(300):
        supplier = i % 5 * 6
        deadline = (published + pd.DateOffset(days=i + 10)).tz_convert("UTC")
        found.append((f"T{i}", str(500 + supplier), deadline, i % 3 == supplier % 3))
    return found


def test_the_lines_of_the_docs_make_a_fact_of_a_company_over_time_that_knows_no_later_win(clone: Path) -> None:
    (clone / "my_tables" / "company.sql").write_text(FACTS)
    added = next(text for language, text in blocks(FEATURES) if language == "diff" and "home_win_share" in text)
    views = clone / "my_features" / "company_views.py"
    lines = "".join(line.removeprefix("+") for line in added.splitlines(keepends=True) if line.startswith("+"))
    before, anchor, after = views.read_text().partition("schema=[\n")
    views.write_text(before + anchor + lines + after)
    config = load(Path("mine.toml"))
    ingest(config)
    build_features(config)
    apply(config)
    fields = {field.name: field.read for view in read_schema(config).views for field in view.fields}
    assert (fields["last_won_at"], fields["home_win_share"]) == ("age", "dense")

    asked = pd.DataFrame({"company_id": ["500", "500", "506", "509"]})
    asked["event_timestamp"] = pd.to_datetime(["2024-01-11 09:59:59", *["2024-03-01 00:00:00"] * 3], utc=True)
    names = ["last_won_at", "home_win_share"]
    answer = open_store(config).get_historical_features(asked, [f"company_profile:{name}" for name in names]).to_df()
    for row in answer.itertuples():
        won = [win for win in winners() if win[1] == row.company_id and win[2] <= row.event_timestamp]
        assert (pd.isna(row.last_won_at) and not won) or row.last_won_at == max(win[2] for win in won)
        assert (pd.isna(row.home_win_share) and not won) or row.home_win_share == pytest.approx(
            sum(win[3] for win in won) / len(won)
        )


@pytest.mark.parametrize(("ordered", "leaks"), [("ORDER BY known_at", False), ("", True)])
def test_a_fact_that_knows_later_wins_is_found_by_the_dumps_without_them(
    clone: Path, ordered: str, leaks: bool
) -> None:
    assert FACTS.count("ORDER BY known_at") == 1
    (clone / "my_tables" / "company.sql").write_text(FACTS.replace("ORDER BY known_at", ordered))
    config = load(Path("mine.toml"))
    ingest(replace(config, home="whole"))
    shutil.copytree("dumps", "cut_dumps")
    (later,) = re.findall(r"TIMESTAMPTZ '(.*)\+00'", CUT)
    duckdb.execute(f"COPY (FROM 'dumps/tenders.csv' WHERE published < '{later}') TO 'cut_dumps/tenders.csv' (HEADER)")
    duckdb.execute(
        "COPY (FROM 'dumps/offers.csv' WHERE tender IN "
        f"(SELECT number FROM 'dumps/tenders.csv' WHERE deadline < '{later}')) TO 'cut_dumps/offers.csv' (HEADER)"
    )
    ingest(replace(config, home="cut", source=replace(config.source, path="cut_dumps")))
    assert bool(duckdb.sql(CUT).fetchall()) == leaks

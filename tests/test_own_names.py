"""A source's own columns may be called whatever ours are in between: they are carried through, or refused at once."""

from pathlib import Path
from typing import Any

import pytest

from bidrec.config import Config, Contract, Source
from bidrec.contract import TABLES
from bidrec.errors import ContractError
from bidrec.features.build import build_features
from bidrec.lake.ingest import ingest
from tests.features.lakes import read
from tests.tables import DAY, NOW, bid, company, lake, notice, write_source

CHECKS = ["bad", "each", "given", "id", "n", "parent", "published", "typed"]
LAKE = ["filename", "first", "held", "last", "later", "read_at", "replaced", "until"]
INCREMENT = ["before", "coming", "early", "facts", "held_at", "is_held", "is_new", "moved", "newest", "news"]
INCREMENT += ["repeated", "to_come", "told", "version"]
FEATURES = ["fact", "is_bid", "known", "measured", "moment", "needed", "next_known_at", "next_part", "row", "stood"]
FEATURES += ["story", "touched", "won_before"]
NAMES = [*CHECKS, *LAKE, *INCREMENT, *FEATURES]
"""Of columns, tables and views on the way from a source to the features."""
OWN_PLACE = {"company": ["place"], "bid": ["place", "title"], "notice": []}
"""Canonical columns of another table."""


def rows(value: str, upto: int, named: dict[str, dict[str, str]]) -> dict[str, list[dict[str, Any]]]:
    """Three tables whose rows have each of the names as a column. named: table -> name -> what it is called."""
    made = {"notice": notice, "company": company, "bid": bid}
    changed = {"notice": "title", "company": "region", "bid": "amount"}
    found = {}
    for table, make in made.items():
        given = [make(number) for number in range(upto)]
        given[0][changed[table]] = {"x": "North", "y": "South"}[value] if table != "bid" else float(ord(value))
        found[table] = [row | {called: f"{value} {name}" for name, called in named[table].items()} for row in given]
    return found


def outcome(home: Path, named: dict[str, dict[str, str]]) -> dict[str, Any]:
    """What two ingests and the features make of it, under the names that are meant."""
    meant = {called: name for each in named.values() for name, called in each.items()}
    source = write_source(home / "source", **rows("x", 2, named))
    config = Config(home=str(home), source=Source(name=source.name, path=source.path, url=""), contract=Contract())
    for number, value in enumerate(("x", "y")):
        write_source(home / "source", **rows(value, 2 + number, named))
        ingest(config, now=NOW + number * DAY)
        build_features(config)
    found: dict[str, Any] = {
        table: [
            {meant.get(name, name): value for name, value in row.items()} for row in read(home, table, "ORDER BY ALL")
        ]
        for table in ("notice", "notice_status", "company_profile", "bid_log", "company_activity")
    }
    for table, each in named.items():
        columns = ", ".join(f'"{called}"' for called in each.values())
        found[f"lake_{table}"] = lake(home, f"lake_{table}", f"part, {columns}", "ORDER BY ALL")
    return found


def test_a_source_that_uses_all_the_names_is_carried_through_as_under_any_other_names(tmp_path):
    names = {table: [*NAMES, *OWN_PLACE[table]] for table in TABLES}
    names = {table: [name for name in own if TABLES[table].column(name) is None] for table, own in names.items()}
    same = outcome(tmp_path / "same", {table: {name: name for name in own} for table, own in names.items()})
    others = {table: {name: f"{table}_{number}" for number, name in enumerate(own)} for table, own in names.items()}
    assert same == outcome(tmp_path / "others", others)
    assert len(same["lake_company"]) == 5
    assert {row["repeated"] for row in same["company_profile"]} == {"x repeated", "y repeated"}


@pytest.mark.parametrize("table", list(TABLES))
@pytest.mark.parametrize("name", ["is_publication", "part_file", "file_row_number", "File_Index", "came", "late"])
def test_a_name_that_cannot_be_carried_through_is_refused_before_anything_is_written(tmp_path, table, name):
    named = {each: {name: name} if each == table else {} for each in TABLES}
    source = write_source(tmp_path / "source", **rows("x", 2, named))
    with pytest.raises(ContractError, match=f"{table}: a column may not be called {name.lower()}"):
        ingest(Config(home=str(tmp_path), source=source), now=NOW)
    assert not (tmp_path / "lake").exists()

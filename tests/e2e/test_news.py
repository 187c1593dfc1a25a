"""What a source says after the training is what people are told: of a prolonged, a withdrawn and a late notice, of a
company's record that says less than the one before, and of an outcome that is corrected."""

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from math import ceil
from pathlib import Path
from shutil import copytree
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
import pyarrow.compute as pc
import pytest
from click.testing import CliRunner

from bidrec import flow
from bidrec.config import Config
from bidrec.explore.lists import Filters, notices_of
from bidrec.publishing.export import export_file
from bidrec.publishing.recommend import Published
from bidrec.storage.sealed import read_manifest
from jobs.recommend import recommend

SEOUL = ZoneInfo("Asia/Seoul")
SOON = datetime.now(SEOUL).replace(microsecond=0) + timedelta(days=30)
WITHDRAWN_AT = datetime(2025, 7, 1, 10, tzinfo=SEOUL)


@dataclass(frozen=True)
class Told:
    """A home that was published, told the news, and published anew, without a word of the moment."""

    config: Config
    prolonged: str
    withdrawn: str
    late: str
    company: str
    bidder: str
    before: Path
    """The version that was published before the news came."""
    as_of_before: Path
    """One that was published when they were there, as of the same moment."""
    manifest: dict[str, Any]

    def published(self, table: str, columns: str) -> dict[str, Any]:
        """First column -> second column of one of the published tables."""
        folder = self.config.home_path / "published" / "current"
        return dict(duckdb.execute(f"SELECT {columns} FROM '{folder}/{table}.parquet'").fetchall())


@pytest.fixture(scope="module")
def told(config: Config, tmp_path_factory: pytest.TempPathFactory) -> Told:
    home = tmp_path_factory.mktemp("told") / "home"
    copytree(config.home_path, home, symlinks=True)
    config = replace(config, home=str(home), source=replace(config.source, path=str(home / "source")))
    notices = home / "source" / "notice"
    prolonged, withdrawn = (
        number
        for (number,) in duckdb.execute(
            f"SELECT bidntceno FROM '{notices}/*.parquet' WHERE bidclsedt > '2025-07-02' ORDER BY 1 LIMIT 2"
        ).fetchall()
    )
    _tell_of_notices(notices, prolonged, withdrawn, late="20250699999")
    company, bidder = _tell_of_companies(home / "source")
    before = (home / "published" / "current").resolve()
    moment = datetime.fromisoformat((read_manifest(before) or {})["as_of"])
    as_of_before = home / "published" / flow.publish(config, as_of=int(moment.timestamp()))["version"]
    manifest = flow.publish(config)
    ids = (f"{prolonged}-000", f"{withdrawn}-000", "20250699999-000", company, bidder)
    return Told(config, *ids, before, as_of_before, manifest)


def _tell_of_notices(notices: Path, prolonged: str, withdrawn: str, late: str) -> None:
    """Two notices are prolonged, one of them is called off all the same, and a late one comes that is still open."""
    soon, withdrawn_at = (f"TIMESTAMP '{moment:%Y-%m-%d %H:%M:%S}'" for moment in (SOON, WITHDRAWN_AT))
    _rewrite(
        notices,
        f"""SELECT * REPLACE (
            CASE WHEN bidntceno IN ('{prolonged}', '{withdrawn}') THEN {soon} ELSE bidclsedt END AS bidclsedt) FROM held
        UNION ALL
        SELECT * REPLACE ('001' AS bidntceord, '취소공고' AS ntcekindnm, {withdrawn_at} AS bidntcedt,
            {withdrawn_at} AS rgstdt) FROM held WHERE bidntceno = '{withdrawn}'
        UNION ALL
        SELECT * REPLACE ('{late}' AS bidntceno, {soon} AS bidclsedt) FROM held WHERE bidntceno = '{prolonged}'""",
    )


def _tell_of_companies(source: Path) -> tuple[str, str]:
    """The record of one company loses name and region; of another's bids, one is found to have won after all."""
    ((company, bidder),) = duckdb.execute(f"SELECT min(bizno), max(bizno) FROM '{source}/company/*.parquet'").fetchall()
    emptied = (f"CASE WHEN bizno <> '{company}' THEN {column} END AS {column}" for column in ("corpnm", "rgnnm"))
    _rewrite(source / "company", f"SELECT * REPLACE ({', '.join(emptied)}) FROM held")
    lost = f"bidprccorpbizrno = '{bidder}' AND sucsfyn = 'N'"
    corrected = f"{lost} AND bidntceno = (SELECT min(bidntceno) FROM held WHERE {lost})"
    _rewrite(source / "bid", f"SELECT * REPLACE (CASE WHEN {corrected} THEN 'Y' ELSE sucsfyn END AS sucsfyn) FROM held")
    return company, bidder


def _rewrite(folder: Path, sql: str) -> None:
    """Make the table in the folder what the query says of `held`, which is what it was."""
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE held AS SELECT * FROM '{folder}/*.parquet'")
        for file in folder.glob("*.parquet"):
            file.unlink()
        connection.execute(f"COPY ({sql}) TO '{folder}/0000.parquet' (FORMAT parquet)")


def test_the_write_back_is_as_of_the_ingest_that_brought_nothing_but_news_of_older_notices(told: Told) -> None:
    read_at = datetime.fromisoformat((read_manifest(told.config.home_path / "lake") or {})["read_at"])
    assert datetime.fromisoformat(told.manifest["as_of"]) == datetime.fromtimestamp(ceil(read_at.timestamp()), UTC)


def test_what_was_prolonged_and_what_came_late_is_open_and_what_was_withdrawn_is_not(told: Told) -> None:
    assert told.published("notice_recommendations", "notice_id, closes_at") == {told.prolonged: SOON, told.late: SOON}


def test_as_of_a_moment_before_the_news_what_was_published_then_is_published_and_nothing_of_what_came_since(
    told: Told,
) -> None:
    """Every id, time and word, and vectors and scores but for the last digits, which depend on how many rows are
    multiplied together. The publication without a moment has the news, a late notice's vector among them."""
    assert told.late in told.published("notice_embedding", "notice_id, written_at")
    tables = sorted(file.name for file in told.before.glob("*.parquet"))
    assert tables
    for table in tables:
        then, now = (
            duckdb.execute(f"SELECT * FROM '{folder / table}' ORDER BY 1").to_arrow_table()
            for folder in (told.before, told.as_of_before)
        )
        numbers = [name for name in ("embedding", "scores") if name in then.column_names]
        apart = [*numbers, *(name for name in ("written_at",) if name in then.column_names)]
        assert now.drop_columns(apart).equals(then.drop_columns(apart)), table
        for name in numbers:
            given, found = (pc.list_flatten(one[name]).to_numpy() for one in (then, now))
            np.testing.assert_allclose(found, given, rtol=1e-4, atol=1e-5, err_msg=table)


def test_people_are_told_the_deadline_last_stated_and_of_what_was_withdrawn_when_that_was(told: Told) -> None:
    closes_at = told.published("notices", "notice_id, closes_at")
    assert (closes_at[told.prolonged], closes_at[told.withdrawn]) == (SOON, WITHDRAWN_AT)
    as_published = duckdb.execute(
        f"SELECT notice_id, closes_at FROM '{told.config.home_path}/features/notice/*.parquet'"
    ).fetchall()
    changed = {notice_id for notice_id, closed in as_published if closes_at[notice_id] != closed}
    calling_off = told.withdrawn.replace("-000", "-001")  # itself a notice, on which nobody could ever bid
    assert changed == {told.prolonged, told.withdrawn, calling_off}


def test_the_export_says_until_when_a_prolonged_notice_takes_bids(told: Told, tmp_path: Path) -> None:
    export_file(told.config, "notice", 1, "parquet", tmp_path / "lists.parquet")
    rows = duckdb.execute(f"SELECT notice_id, closes_at FROM '{tmp_path}/lists.parquet'").fetchall()
    assert dict(rows) == {told.prolonged: SOON, told.late: SOON}


def test_open_now_keeps_a_prolonged_notice(told: Told) -> None:
    _, companies = Published(told.config.home_path).companies_for(told.prolonged, 1)
    shown = notices_of(told.config.home_path, companies[0]["company_id"], Filters(open_now=True)).rows
    assert {row["notice_id"]: row["closes_at"] for row in shown} == {told.prolonged: SOON, told.late: SOON}


@pytest.mark.parametrize("moment", [WITHDRAWN_AT - timedelta(hours=1), WITHDRAWN_AT, SOON - timedelta(hours=1)])
def test_what_is_open_at_another_time_goes_by_what_was_last_said_of_each_notice(told: Told, moment: datetime) -> None:
    company, *_ = told.published("companies", "company_id, name")
    asked = ["--company", company, "--as-of", f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}", "--top", "10000", "--json"]
    done = CliRunner().invoke(recommend, asked, env={"BIDREC_HOME": told.config.home})
    assert done.exit_code == 0, done.stderr
    listed = {row["notice_id"] for row in json.loads(done.stdout)["notices"]}
    assert told.prolonged in listed
    assert (told.withdrawn in listed) == (moment < WITHDRAWN_AT)


def test_a_record_that_says_less_is_shown_as_it_is_and_not_filled_from_an_older_one(told: Told, config: Config) -> None:
    before = replace(told, config=config)
    for column in ("name", "region"):
        was, now = (one.published("companies", f"company_id, {column}") for one in (before, told))
        assert {company: now[company] for company in now if now[company] != was[company]} == {told.company: None}


def test_a_corrected_outcome_is_no_bid(told: Told, config: Config) -> None:
    """The last bid is the one opened last, by the lake as it was before the correction."""
    opened = dict(
        duckdb.execute(
            f"SELECT company_id, max(known_at) FROM '{config.home_path}/lake/bid/*.parquet' GROUP BY ALL"
        ).fetchall()
    )
    counted = duckdb.execute(
        f"""SELECT count(*) FROM '{told.config.home_path}/features/company_activity/*.parquet'
            WHERE company_id = '{told.bidder}' AND known_at > '{max(opened.values())}'"""
    ).fetchall()
    assert counted == [(1,)]
    last_bid_at = told.published("companies", "company_id, last_bid_at")
    assert {company: last_bid_at[company] for company in opened} == opened

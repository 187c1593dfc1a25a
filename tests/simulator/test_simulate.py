"""The dumps of a simulated market: what a procurement officer and the contract expect of them."""

from datetime import datetime
from pathlib import Path

import pytest

from bidrec.contract import PERSONAL
from bidrec.errors import ConfigurationError
from bidrec.simulator import simulate
from bidrec.storage import sealed
from tests.simulator.market import BIDS, COMPANIES, NOTICES, dumps, folder, one

SMALL = {"notices": 300, "companies": 80, "bids": 1_500, "days": 100}


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    first = simulate(tmp_path / "a", **SMALL, seed=5)
    second = simulate(tmp_path / "b", **SMALL, seed=5)
    assert first == second  # the manifest holds the SHA-256 of every file
    assert len(first["files"]) > 10


def test_another_seed_gives_another_market(tmp_path: Path) -> None:
    first, second = (simulate(tmp_path / str(seed), **SMALL, seed=seed) for seed in (1, 2))
    assert sealed.content_of(first) != sealed.content_of(second)


def test_as_many_notices_and_companies_as_asked_for_and_about_as_many_bids() -> None:
    assert one("SELECT count(*) FROM notice") == (NOTICES,)
    assert one("SELECT count(*) FROM company") == (COMPANIES,)
    assert one("SELECT count(*) FROM bid")[0] == pytest.approx(BIDS, rel=0.1)
    manifest = sealed.read_manifest(folder())
    assert manifest is not None
    assert manifest["rows"]["bid"] == one("SELECT count(*) FROM bid")[0]


def test_every_row_has_its_own_key() -> None:
    assert one("SELECT count(*) - count(DISTINCT (bidntceno, bidntceord)) FROM notice") == (0,)
    assert one("SELECT count(*) - count(DISTINCT bizno) FROM company") == (0,)
    assert one("SELECT count(*) - count(DISTINCT (bidntceno, bidntceord, bidprccorpbizrno)) FROM bid") == (0,)
    assert one("SELECT count(*) FROM bid ANTI JOIN notice USING (bidntceno, bidntceord)") == (0,)
    assert one("SELECT count(*) FROM bid ANTI JOIN company ON bizno = bidprccorpbizrno") == (0,)


def test_no_company_bids_from_outside_the_region_limit() -> None:
    inside, outside = one(
        """SELECT count(*) FILTER (list_contains(string_split(prtcptpsblrgnnm, ','), split_part(rgnnm, ' ', 1))),
                  count(*) FILTER (NOT list_contains(string_split(prtcptpsblrgnnm, ','), split_part(rgnnm, ' ', 1)))
           FROM bid JOIN notice USING (bidntceno, bidntceord) JOIN company ON bizno = bidprccorpbizrno"""
    )
    assert inside > 1_000
    assert outside == 0


def test_no_company_bids_without_one_of_the_licences_asked_for() -> None:
    licensed, not_licensed = one(
        """WITH pair AS (SELECT string_split(indstrytycd, ',') AS held, list_transform(
                string_split(lcnslmtnm, ','), lambda entry: split_part(entry, '/', -1)) AS asked
             FROM bid JOIN notice USING (bidntceno, bidntceord) JOIN company ON bizno = bidprccorpbizrno
             WHERE lcnslmtnm IS NOT NULL)
           SELECT count_if(list_has_any(held, asked)), count_if(NOT list_has_any(held, asked)) FROM pair"""
    )
    assert licensed > 10_000
    assert not_licensed == 0


def test_no_company_bids_on_a_notice_published_before_its_birth_or_after_its_end() -> None:
    early, late, births, ends = one(
        """SELECT count(*) FILTER (epoch(bidntcedt) < born), count(*) FILTER (epoch(bidntcedt) >= dies),
                  count(DISTINCT bizno) FILTER (born > (SELECT min(epoch(bidntcedt)) FROM notice)),
                  count(DISTINCT bizno) FILTER (dies < (SELECT max(epoch(bidntcedt)) FROM notice))
           FROM bid JOIN notice USING (bidntceno, bidntceord) JOIN oracle_company ON bizno = bidprccorpbizrno"""
    )
    assert (early, late) == (0, 0)
    assert births > 50
    assert ends > 30


def test_a_drifted_company_does_other_work_afterwards() -> None:
    drifted = one(
        """SELECT count(DISTINCT before.company) FROM oracle_segment AS before JOIN oracle_segment AS after
           ON before.company = after.company AND before."end" = after.begin
           WHERE before.topic <> after.topic OR before.district <> after.district"""
    )[0]
    assert drifted > 0.2 * COMPANIES


def test_companies_are_registered_before_they_bid() -> None:
    assert one(
        """SELECT count(*) FROM bid JOIN notice USING (bidntceno, bidntceord) JOIN company ON bizno = bidprccorpbizrno
           WHERE company.rgstdt > bidntcedt OR opbizdt > company.rgstdt"""
    ) == (0,)


def test_titles_are_korean_and_name_a_work() -> None:
    odd = one(r"SELECT count(*) FROM notice WHERE NOT regexp_matches(bidntcenm, '[가-힣]{2,} .*[가-힣]')")[0]
    assert odd == 0
    different = one("SELECT count(DISTINCT bidntcenm) FROM notice")[0]
    assert different > 0.7 * NOTICES
    assert one("SELECT count(*) FROM notice WHERE bidntcenm LIKE '%상수관로%'")[0] > 0


def test_a_notice_that_failed_is_published_again_under_the_same_number() -> None:
    dumps().execute(
        """CREATE OR REPLACE TEMP TABLE pair AS SELECT old, new FROM notice AS old JOIN notice AS new
           ON old.bidntceno = new.bidntceno AND old.bidntceord::INTEGER + 1 = new.bidntceord::INTEGER"""
    )
    pairs = one("SELECT count(*) FROM pair")[0]
    assert pairs == one("SELECT count(*) FROM notice WHERE bidntceord > '000'")[0] > 0.03 * NOTICES
    assert one(
        """SELECT bool_and(old.bidntcenm = new.bidntcenm), bool_and(old.dminsttcd = new.dminsttcd),
                  bool_and(new.bidntcedt > old.opengdt), bool_and(new.rentceyn = 'Y') FROM pair"""
    ) == (True, True, True, True)


def test_open_notices_have_no_bids_yet() -> None:
    end = "TIMESTAMP '2025-06-30 18:00'"
    assert one(f"SELECT count(*) FROM notice WHERE bidclsedt > {end}")[0] > 10
    assert one(f"SELECT count(*) FROM notice WHERE bidntcedt > {end}") == (0,)
    assert one(f"SELECT count(*) FROM bid JOIN notice USING (bidntceno, bidntceord) WHERE opengdt > {end}") == (0,)


def test_bids_come_between_publication_and_opening_and_a_few_too_late() -> None:
    odd, late, wrongly_valid = one(
        """WITH submitted AS (SELECT bid.*, bidntcedt, bidclsedt, opengdt, bidprcdate + bidprctm AS sent
                               FROM bid JOIN notice USING (bidntceno, bidntceord))
           SELECT count(*) FILTER (sent NOT BETWEEN bidntcedt AND opengdt), count(*) FILTER (sent > bidclsedt),
                  count(*) FILTER (sent > bidclsedt AND dqlfctnrsn IS NULL) FROM submitted"""
    )
    assert odd == 0
    assert late > 0
    assert wrongly_valid == 0


def test_ranks_count_the_valid_bids_from_the_lowest_amount_and_the_first_wins() -> None:
    assert one(
        """WITH ranked AS (SELECT opengrank, bidprcamt < lag(bidprcamt IGNORE NULLS) OVER notice AS is_lower,
                  row_number() OVER notice AS place FROM bid WHERE dqlfctnrsn IS NULL
                  WINDOW notice AS (PARTITION BY bidntceno, bidntceord ORDER BY opengrank))
           SELECT count(*) FILTER (opengrank <> place), count(*) FILTER (opengrank IS NULL), count(*) FILTER (is_lower),
                  count(*) FILTER (NOT is_lower) > 10_000 FROM ranked"""
    ) == (0, 0, 0, True)
    assert one("SELECT count(*) FROM bid WHERE sucsfyn = 'Y' AND (opengrank IS NULL OR opengrank <> 1)") == (0,)
    assert one("SELECT count(*) FROM bid WHERE dqlfctnrsn IS NOT NULL AND opengrank IS NOT NULL") == (0,)


def test_some_values_are_missing_but_no_key_is() -> None:
    for column in ("presmptprce", "cnstrtsitergnnm", "lcnslmtnm", "prtcptpsblrgnnm", "maincnsttynm", "bidclsedt"):
        assert 0 < one(f"SELECT count(*) - count({column}) FROM notice")[0] < NOTICES
    for column in ("emplyenum", "corpbsnsdivcd"):
        assert 0 < one(f"SELECT count(*) - count({column}) FROM company")[0] < 0.1 * COMPANIES
    for column in ("bidntceno", "bidntceord", "bidntcedt", "bidntcenm", "opengdt"):
        assert one(f"SELECT count(*) - count({column}) FROM notice") == (0,)


def test_weekends_are_quiet() -> None:
    weekend, week = one(
        "SELECT count(*) FILTER (isodow(bidntcedt) > 5), count(*) FILTER (isodow(bidntcedt) <= 5) FROM notice"
    )
    assert 0 < weekend < 0.05 * week


def test_a_few_notices_and_companies_have_most_of_the_bids() -> None:
    top_companies = one(
        "SELECT sum(n) FROM (SELECT count(*) AS n FROM bid GROUP BY bidprccorpbizrno ORDER BY n DESC LIMIT 50)"
    )[0]
    top_notices = one(
        "SELECT sum(n) FROM (SELECT count(*) AS n FROM bid GROUP BY bidntceno, bidntceord ORDER BY n DESC LIMIT 300)"
    )[0]
    total = one("SELECT count(*) FROM bid")[0]
    assert top_companies > 0.25 * total  # 10 % of the companies
    assert top_notices > 0.25 * total  # 10 % of the notices


def test_no_column_is_about_a_person() -> None:
    columns = [
        name for table in ("notice", "company", "bid") for name, *_ in dumps().execute(f"DESCRIBE {table}").fetchall()
    ]
    assert len(columns) > 60
    assert [name for name in columns if PERSONAL.search(name) or name.endswith("adrs")] == []
    assert one("SELECT count(*) FROM company WHERE bizno NOT LIKE '0_________'") == (0,)


def test_what_is_interrupted_leaves_nothing(tmp_path: Path) -> None:
    def stop(*_: int) -> None:
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        simulate(tmp_path / "market", **SMALL, progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_something_else_in_it_is_left_alone_and_an_earlier_market_replaced(tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").write_text("friend")
    with pytest.raises(ConfigurationError, match="something else"):
        simulate(tmp_path / "letters", **SMALL)
    assert (tmp_path / "letters" / "dear.txt").read_text() == "friend"
    simulate(tmp_path / "market", **SMALL, seed=1)
    second = simulate(tmp_path / "market", **SMALL, seed=2)
    assert sealed.read_manifest(tmp_path / "market") == second


def test_every_impossible_number_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"notices 0 .*; days 0 .*"):
        simulate(tmp_path / "market", notices=0, companies=5, bids=5, days=0)
    with pytest.raises(ConfigurationError, match="tenth of all pairs"):
        simulate(tmp_path / "market", notices=10, companies=10, bids=50)


def test_a_market_of_one_company_and_one_day_can_be_simulated(tmp_path: Path) -> None:
    manifest = simulate(
        tmp_path / "market", notices=20, companies=1, bids=2, days=1, end=datetime(2024, 2, 29, 18), seed=1
    )
    assert manifest["rows"]["notice"] == 20
    assert manifest["open_notices"] == 20

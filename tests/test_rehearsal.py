"""What `bidrec check` finds is what an ingest and a training find."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from bidrec.config import Config, Contract, Split
from bidrec.errors import ConfigurationError, ContractError
from bidrec.features.build import build_features
from bidrec.features.registry import apply
from bidrec.features.schema import read_schema
from bidrec.lake.ingest import ingest
from bidrec.rehearsal import rehearse
from bidrec.training_set.build import read_keys
from bidrec.training_set.splits import bounds_of, check_windows, day_of
from bidrec.training_set.tables import open_tables
from tests.tables import DAY, NOW, bid, company, notice, write_source

NOTICES = [notice(number) for number in range(100)]
BIDS = [bid(of, by) for of in range(100) for by in range(2)]


def config_of(home: Path, **tables: list[dict[str, Any]]) -> Config:
    """A home whose source has these tables, by default a notice a day with two bids; each window has ten days."""
    given = {"notice": NOTICES, "company": [company(0), company(1)], "bid": BIDS} | tables
    source = write_source(home / "source", **given)
    return Config(home=str(home), source=source, split=Split(test_days=20, validation_days=20))


def test_too_many_bad_rows_are_refused_in_the_words_of_the_ingest(tmp_path):
    config = config_of(tmp_path, bid=[*BIDS, *(bid(of, 2, amount=-1.0) for of in range(50))])
    with pytest.raises(ContractError) as checked:
        rehearse(config, now=NOW)
    with pytest.raises(ContractError) as ingested:
        ingest(config, now=NOW)
    assert checked.value.message == ingested.value.message
    assert "amount is negative: 50; for example notice_id n0, company_id c2: amount is negative" in str(checked.value)
    assert "quarantine/" in str(checked.value.hint)
    assert not rehearse(config_of(tmp_path), now=NOW)["tables"]["bid"]["quarantined"]
    with pytest.raises(ContractError, match="100 of 100 rows are bad"):
        rehearse(config_of(tmp_path, notice=[row | {"title": "t", "published_at": None} for row in NOTICES]), now=NOW)


def test_what_was_found_is_told_also_where_the_split_is_refused(tmp_path):
    """Which days there are, and why rows are bad, is what the split is mended by."""
    bids = [*BIDS, bid(0, 2, amount=-1.0)]
    config = replace(config_of(tmp_path, bid=bids), split=Split(test_days=2000))
    with pytest.raises(ConfigurationError), capture_logs() as logged:
        rehearse(config, now=NOW)
    told = {entry["event"]: entry for entry in logged}
    assert told["notice"]["rows"] == 100
    assert told["notice"]["since"].startswith("2024-01-01")
    assert told["bid"]["bad"] == {"amount is negative": 1}
    assert any(entry["log_level"] == "warning" for entry in logged)


def test_no_bad_row_is_refused_where_all_are_allowed(tmp_path):
    config = config_of(tmp_path, bid=[*BIDS, bid(0, 2, amount=-1.0)])
    allowed = Config(home=config.home, source=config.source, split=config.split, contract=Contract(max_bad_share=1.0))
    assert rehearse(allowed, now=NOW)["tables"]["bid"]["reasons"] == {"amount is negative": 1}


def trained_on(config: Config, now: datetime) -> tuple[dict[str, str], dict[str, Any]]:
    """The split and the windows of a training that ingests now."""
    ingest(config, now=now)
    build_features(config)
    apply(config)
    with open_tables(config, read_schema(config)) as tables:
        keys = read_keys(tables)
    bounds = bounds_of(config.split, int(keys.log.known_at.max(initial=0)))
    windows = check_windows(bounds, keys.published_at, keys.pairs.notice, keys.pairs.known_at)
    return {name: day_of(moment) for name, moment in bounds.as_dict().items()}, windows


def assert_same(config: Config, now: datetime) -> dict[str, Any]:
    """What is found before the ingest is what the training gets, and what is found once more afterwards."""
    found = rehearse(config, now=now)
    assert trained_on(config, now) == (found["split"], found["windows"])
    again = rehearse(config, now=now + DAY)
    assert (again["split"], again["windows"], again["late"]) == (found["split"], found["windows"], found["late"])
    return found


def test_the_windows_are_those_of_the_training_whatever_is_said_of_the_future(tmp_path):
    published = notice(3)["published_at"]
    at_publication = bid(3, 1, event_at=published, known_at=published)
    bids = [at_publication if (row["notice_id"], row["company_id"]) == ("n3", "c1") else row for row in BIDS]
    plain = assert_same(config_of(tmp_path / "plain", bid=bids), NOW)
    day = NOW + 2 * DAY
    ahead = notice(200, published_at=day, closes_at=day + DAY, opened_at=day + DAY)
    future = {"notice": [*NOTICES, ahead], "bid": [*bids, bid(99, 2, known_at=day)]}
    found = assert_same(config_of(tmp_path / "future", **future), NOW)
    assert (found["split"], found["windows"]) == (plain["split"], plain["windows"])


def test_what_comes_later_is_seen_as_the_training_sees_it(tmp_path):
    half = {"notice": NOTICES[:50], "bid": BIDS[:100]}
    config = config_of(tmp_path, **half)
    assert not assert_same(config, NOW)["late"]
    split = replace(config.split, train_before=(NOW - 70 * DAY).date(), test_days=60, validation_days=40)
    fixed = replace(config, split=split)
    corrected = [row | {"amount": 1.0, "known_at": row["known_at"] + DAY} for row in BIDS]
    moved = [row | {"published_at": row["published_at"] + DAY} for row in NOTICES[:5]]
    config_of(tmp_path, bid=corrected, notice=[*moved, *NOTICES[5:]])
    found = assert_same(fixed, NOW + 2 * DAY)
    assert found["late"] == {"notice": 50, "bid": 100}
    # Of the 40 notices of the validation window, 8 have bids that were public before the cutoff: the others came late.
    assert {name: window["bids"] for name, window in found["windows"].items()} == {
        "training": 84,
        "validation": 16,
        "test": 36,
    }


def test_a_split_counted_back_from_rows_that_came_late_is_refused_with_what_helps(tmp_path):
    config = config_of(tmp_path, notice=NOTICES[:50], bid=BIDS[:100])
    ingest(config, now=NOW)
    config_of(tmp_path)
    for refused in (rehearse, trained_on):
        with pytest.raises(ConfigurationError, match="no notice was published in the validation window") as caught:
            refused(config, now=NOW + 2 * DAY)
        assert "bidrec ingest --force" in str(caught.value.hint)
    ingest(config, force=True, now=NOW + 3 * DAY)
    found = assert_same(config, NOW + 3 * DAY)
    assert not found["late"]


@pytest.mark.parametrize("content", [None, b"no Parquet at all"])
def test_a_damaged_lake_is_named_and_not_gone_on_with(tmp_path, content):
    config = config_of(tmp_path)
    ingest(config, now=NOW)
    part = tmp_path / "lake" / "bid" / "000001.parquet"
    part.unlink()
    if content is not None:
        part.write_bytes(content)
    with pytest.raises(ContractError, match=r"000001\.parquet is damaged"):
        rehearse(config, now=NOW + DAY)

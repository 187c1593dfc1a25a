"""What `bidrec check` finds is what an ingest and a training find."""

from pathlib import Path
from typing import Any

import pytest

from bidrec.config import Config, Contract, Split
from bidrec.errors import ContractError
from bidrec.ingest import ingest
from bidrec.rehearsal import rehearse
from tests.tables import NOW, bid, company, notice, write_source

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


def test_no_bad_row_is_refused_where_all_are_allowed(tmp_path):
    config = config_of(tmp_path, bid=[*BIDS, bid(0, 2, amount=-1.0)])
    allowed = Config(home=config.home, source=config.source, split=config.split, contract=Contract(max_bad_share=1.0))
    assert rehearse(allowed, now=NOW)["tables"]["bid"]["reasons"] == {"amount is negative": 1}

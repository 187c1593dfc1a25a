from bidrec.config import Config
from bidrec.lake.ingest import ingest
from bidrec.reporting.market import market
from tests import tables


def refused(config):
    return market(config, {})["refused"]["bid"]


def test_what_was_refused_is_counted_over_the_ingests_of_the_lake_there_is(home):
    """A lake is made anew by force, twice, and then told of another bad bid; the older lakes' quarantines stay."""
    bids = [tables.bid(0, number) for number in range(200)] + [tables.bid(0, 200, amount=-1.0)]
    facts = {"notice": [tables.notice()], "company": [tables.company()]}
    config = Config(home=str(home), source=tables.write_source(home / "source", **facts, bid=bids))
    for _ in range(3):
        ingest(config, now=tables.NOW, force=True)
        assert refused(config) == {"given": 201, "quarantined": 1, "reasons": {"amount is negative": 1}}
    more = [tables.bid(0, number) for number in range(201, 350)] + [tables.bid(0, 350, amount=-2.0)]
    tables.write_source(home / "source", **facts, bid=bids + more)
    ingest(config, now=tables.NOW + tables.DAY)
    assert refused(config) == {"given": 351, "quarantined": 2, "reasons": {"amount is negative": 2}}


def test_a_home_without_a_lake_has_refused_nothing(home):
    assert market(Config(home=str(home)), {})["refused"] == {}

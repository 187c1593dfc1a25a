"""A home with features that were applied to Feast, small enough to check by hand.

Two notices on days 0 and 10, opened ten days later. apex is on record from day 5 on and bids on both; bharat, of whom
there is no record, bids on the first.
"""

from datetime import UTC, datetime, timedelta

from bidrec.config import Config
from bidrec.features.build import build_features
from tests import tables
from tests.features.lakes import write_lake

MICROSECOND = timedelta(microseconds=1)
VIEWS = ["notice_features", "notice_status", "company_profile", "company_activity", "company_history"]


def day(number: float) -> datetime:
    return datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=number)


def write_home(home) -> Config:
    write_lake(
        home,
        notice=[
            tables.notice(0, notice_id="road", published_at=day(0), opened_at=day(10), buyer_id="b1", value=None),
            tables.notice(1, notice_id="bridge", published_at=day(10), opened_at=day(20), buyer_id="b2"),
        ],
        company=[
            tables.company(company_id="apex", known_at=day(5), licences=["civil", "water"]),
            tables.company(company_id="apex", known_at=day(15), licences=None),
        ],
        bid=[
            tables.bid(notice_id="road", company_id="apex", known_at=day(10)),
            tables.bid(notice_id="bridge", company_id="apex", known_at=day(20)),
            tables.bid(notice_id="road", company_id="bharat", known_at=day(10)),
        ],
    )
    config = Config(home=str(home))
    build_features(config)
    return config

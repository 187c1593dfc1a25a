from datetime import UTC, datetime, timedelta

import pyarrow as pa

from bidrec.config import Config
from bidrec.features.build import build_features
from bidrec.publishing.closing import open_notices, with_closing
from tests import tables as canonical
from tests.features.lakes import add_part, write_lake

TOLD = canonical.notice(2)["published_at"]


def day(number):
    return datetime(2025, 1, 1, tzinfo=UTC) + timedelta(days=number)


def test_closing_times_follow_the_order_of_each_list():
    stamp = {"written_at": [day(0)], "run_id": ["run"]}
    tables = {
        "notice_recommendations": pa.table(
            {"notice_id": ["road"], **stamp, "company_ids": [["apex", "bharat"]], "scores": [[0.5, 0.25]]}
        ),
        "company_recommendations": pa.table(
            {
                "company_id": ["apex", "bharat"],
                **{name: values * 2 for name, values in stamp.items()},
                "notice_ids": [["road", "bridge"], ["bridge"]],
                "scores": [[0.5, 0.25], [0.5]],
            }
        ),
        "company_embedding": pa.table({"company_id": ["apex"]}),
    }
    closing = pa.table({"notice_id": ["bridge", "other", "road"], "closes_at": [day(5), day(6), day(7)]})
    closed = with_closing(tables, closing)
    assert closed["notice_recommendations"]["closes_at"].to_pylist() == [day(7)]
    assert closed["company_recommendations"]["closes_at"].to_pylist() == [[day(7), day(5)], [day(5)]]
    assert closed["company_embedding"] is tables["company_embedding"]


def test_a_notice_is_open_as_long_as_what_was_last_known_of_it_says_so(home):
    """Of five notices, the last four are restated on day 2: prolonged, withdrawn at once, withdrawn from day 5 on, and
    without a deadline any more."""
    notices = [
        canonical.notice(number, published_at=TOLD - canonical.DAY, closes_at=TOLD + 9 * canonical.DAY)
        for number in range(5)
    ]
    write_lake(home, notices, read_at=(TOLD - canonical.HOUR).isoformat())
    build_features(Config(home=str(home)))
    changes = [
        {"closes_at": TOLD + 20 * canonical.DAY},
        {"withdrawn_at": TOLD},
        {"withdrawn_at": TOLD + 3 * canonical.DAY},
        {"closes_at": None, "withdrawn_at": TOLD + 3 * canonical.DAY},
    ]
    restated = [row | change | {"known_at": TOLD} for row, change in zip(notices[1:], changes, strict=True)]
    read = {"ingest": 2, "read_at": TOLD.isoformat()}
    add_part(home, read | {"ingests": [read]}, notice=restated)
    build_features(Config(home=str(home)))
    as_published, prolonged, withdrawn = (TOLD + days * canonical.DAY for days in (9, 20, 3))
    assert open_at(home, TOLD - canonical.HOUR) == {f"n{number}": as_published for number in range(5)}
    assert open_at(home, TOLD) == {"n0": as_published, "n1": prolonged, "n3": withdrawn}
    assert open_at(home, withdrawn) == {"n0": as_published, "n1": prolonged}
    assert open_at(home, as_published) == {"n1": prolonged}


def open_at(home, moment):
    """Notice -> until when it takes bids."""
    found = open_notices(Config(home=str(home)), int(moment.timestamp())).to_pydict()
    return dict(zip(found["notice_id"], found["closes_at"], strict=True))

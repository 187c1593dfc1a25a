from datetime import UTC, datetime, timedelta

import pyarrow as pa

from bidrec.publishing.closing import with_closing


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

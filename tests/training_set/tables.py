"""Small feature tables, built row by row in plain Python: what features/ holds, for tests of what comes after it."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq

from bidrec.config import Config, Split
from bidrec.features.schema import Field, Schema, View
from bidrec.storage.sealed import write_manifest

START = datetime(2024, 1, 1, tzinfo=UTC)
TIME = pa.timestamp("us", "UTC")


def day(number):
    """The moment `number` days after the start, to the microsecond."""
    return START + timedelta(days=number)


def seconds(moment):
    return int(moment.timestamp())


def field(name, dtype, read, scale="linear", **tags):
    return Field(name=name, dtype=dtype, read=read, scale=scale, tags={"read": read, **tags})


NOTICE_FIELDS = (
    field("title", "String", "text"),
    field("buyer_id", "String", "categorical"),
    field("place", "String", "categorical"),
    field("attributes", "Array(String)", "bag"),
    field("log_value", "Float64", "dense"),
    field("buyer_name", "String", "ignore"),
)
PROFILE_FIELDS = (
    field("region", "String", "categorical"),
    field("licences", "Array(String)", "bag"),
    field("log_employees", "Float64", "dense"),
    field("founded_at", "UnixTimestamp", "age"),
)
ACTIVITY_FIELDS = (
    field("bids_all", "Int64", "dense", scale="log1p"),
    field("win_share", "Float64", "dense"),
    field("last_bid_at", "UnixTimestamp", "age"),
    field("history_length", "Int64", "position"),
)
_TYPES = {
    "String": pa.string(),
    "Float64": pa.float64(),
    "Int64": pa.int64(),
    "UnixTimestamp": TIME,
    "Array(String)": pa.list_(pa.string()),
    "Array(Float32)": pa.list_(pa.float32()),
}


def schema_of(home, notice=NOTICE_FIELDS, profile=PROFILE_FIELDS, activity=ACTIVITY_FIELDS):
    features = home / "features"
    tables = (
        ("notice_features", "notice", "notice", "published_at", notice),
        ("company_profile", "company", "company_profile", "known_at", profile),
        ("company_activity", "company", "company_activity", "known_at", activity),
    )
    return Schema(
        service="bidrec_v1",
        views=tuple(
            View(
                name=name,
                side=side,
                key=f"{side}_id",
                source=features / table / "*.parquet",
                event_time=event_time,
                fields=fields,
            )
            for name, side, table, event_time, fields in tables
        ),
    )


def config_of(home, train_before=60, test_before=90, validation_days=20, **split):
    """Training ends 20 days before day 60, the test window is days 60 to 90."""
    bounds = {
        "train_before": None if train_before is None else day(train_before).date(),
        "test_before": None if test_before is None else day(test_before).date(),
    }
    return Config(home=str(home), split=Split(**bounds, validation_days=validation_days, **split))


def write_features(home, notices, bids, profiles=(), schema=None):
    """Write the four tables and their manifest.

    notices: dicts with notice_id, published_at and features; bids: (notice_id, company_id, known_at, won);
    profiles: dicts with company_id, known_at and features. Whatever a dict leaves out is NULL.
    """
    schema = schema or schema_of(home)
    features = home / "features"
    features.mkdir(parents=True, exist_ok=True)
    notices = sorted(notices, key=lambda n: (n["published_at"], n["notice_id"]))
    published = {n["notice_id"]: n["published_at"] for n in notices}
    log = sorted(bids, key=lambda b: (b[1], b[2], published[b[0]], b[0]))
    _write(schema.views[0], notices)
    _write(schema.views[1], sorted(profiles, key=lambda p: (p["company_id"], p["known_at"])))
    _write(schema.views[2], _activity(log))
    table = {
        "company_id": pa.array([b[1] for b in log], pa.string()),
        "notice_id": pa.array([b[0] for b in log], pa.string()),
        "known_at": pa.array([b[2] for b in log], TIME),
        "won": pa.array([b[3] for b in log], pa.bool_()),
    }
    (features / "bid_log").mkdir(exist_ok=True)
    pq.write_table(pa.table(table), features / "bid_log" / "000001.parquet")
    write_manifest(features, kind="features")
    return schema


def _activity(log):
    rows = []
    for company, known_at in sorted({(b[1], b[2]) for b in log}):
        seen = [i for i, b in enumerate(log) if b[1] == company and b[2] <= known_at]
        rows.append(
            {
                "company_id": company,
                "known_at": known_at,
                "bids_all": len(seen),
                "win_share": sum(log[i][3] for i in seen) / len(seen),
                "last_bid_at": known_at,
                "history_length": len(seen),
            }
        )
    return rows


def _write(view, rows):
    types = {view.key: pa.string(), view.event_time: TIME} | {f.name: _TYPES[f.dtype] for f in view.fields}
    columns = {name: pa.array([row.get(name) for row in rows], kind) for name, kind in types.items()}
    view.source.parent.mkdir(exist_ok=True)
    pq.write_table(pa.table(columns), view.source.parent / "000001.parquet")


def small_world():
    """Ten notices over 90 days, three companies; the third appears in the test window, one profile comes late.

    Returns notices, bids, profiles.
    """
    notices = [
        {
            "notice_id": f"n{i:02d}",
            "published_at": day(i * 9),
            "title": ["Road works at Shimla", "서울시 도로포장공사", None, "Water pipe laying"][i % 4],
            "buyer_id": ["north", "south"][i % 2] if i < 8 else "new buyer",
            "place": "Shimla" if i != 3 else None,
            "attributes": [["cover=2", "mode=online"], [], None, ["cover=2", "once=1"]][i % 4],
            "log_value": [10.0, None, 12.0, 14.0][i % 4],
        }
        for i in range(10)
    ]
    bids = [(f"n{i:02d}", company, day(i * 9 + 5), i % 3 == 0) for i in range(10) for company in ("apex", "bharat")]
    bids += [("n07", "cosmos", day(70), True), ("n09", "cosmos", day(88), False)]
    profiles = [
        {"company_id": "apex", "known_at": day(0), "region": "HP", "licences": ["road"], "founded_at": day(-900)},
        {"company_id": "apex", "known_at": day(30), "region": "HP", "licences": ["road", "water"]},
        {"company_id": "bharat", "known_at": day(20), "region": "HP", "licences": None, "log_employees": 3.0},
        {"company_id": "dormant", "known_at": day(10), "region": "Delhi", "licences": []},
    ]
    return notices, bids, profiles

"""Training-serving skew: what the online stores answer after a materialize up to t is what training reads as of t.

Training reads the rows that bidrec.asof.resolve finds in the feature tables; here they are read straight from Parquet.
"""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pyarrow import parquet

from bidrec.asof.resolve import newest_known
from bidrec.config import Config
from bidrec.features.build import build_features
from bidrec.features.registry import apply, materialize, open_store
from tests import redis, tables
from tests.feature_repo.homes import VIEWS, day
from tests.features.lakes import write_lake

ROOT = Path(__file__).parents[2]
NOTICES, COMPANIES, BIDS = 800, 2700, 9000
MOMENTS = [day(100), day(200) + timedelta(hours=9), day(400)]
"""Notices are published from day 0 to day 365, at nine o'clock and at any second; opened up to 60 days later."""


def market(random: Random) -> dict[str, list[tables.Row]]:
    """Every kind of value: missing ones, empty lists, lists with gaps, records that lose what they had."""

    def maybe(*values):
        return random.choice([None, *values])

    def moment(first: float, last: float) -> datetime:
        return day(random.randint(int(first), int(last))) + random.choice(
            [timedelta(hours=9), timedelta(seconds=random.randrange(86400))]
        )

    notices = []
    for number in range(NOTICES):
        published = moment(0, 365)
        notices.append(
            tables.notice(
                number,
                published_at=published,
                opened_at=published + timedelta(seconds=random.randrange(60 * 86400)),
                closes_at=maybe(published + timedelta(days=5.5)),
                title=maybe("Road works", "도로 보수", ""),
                buyer_id=maybe("b1", "b2", "b3"),
                place=maybe("north", "south"),
                category=maybe("works", "goods"),
                value=maybe(0.0, 1e3, 123456789.25),
                attributes=maybe([], ["form=open"], ["form=open", "lots=2"]),
                region_limit=maybe([], ["North"]),
            )
        )
    records = {
        (number, moment(-900, 390)): None for number in range(COMPANIES) for _ in range(random.choice([0, 1, 1, 3]))
    }
    companies = [
        tables.company(
            number,
            known_at=known_at,
            region=maybe("North", "South"),
            employees=maybe(0.0, 7.0),
            licences=maybe([], ["civil"], ["civil", "water"]),
            founded_at=maybe(datetime(1969, 7, 1, tzinfo=UTC), datetime(2011, 3, 4, 5, 6, 7, tzinfo=UTC)),
        )
        for number, known_at in records
    ]
    pairs = {(random.randrange(NOTICES), int(random.triangular(0, COMPANIES, 0))) for _ in range(BIDS)}
    bids = [
        tables.bid(
            of, by, known_at=notices[of]["opened_at"], event_at=notices[of]["published_at"], won=maybe(True, False)
        )
        for of, by in sorted(pairs)
    ]
    return {"notice": notices, "company": companies, "bid": bids}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    write_lake(home, **market(Random(11)))
    build_features(Config(home=str(home)))
    return home


def seen_by_training(home: Path, view, moment: datetime) -> dict[str, tuple]:
    """Of every key that is ever known: the values of the view's features as of the moment."""
    [entity], time = view.entity_columns, view.batch_source.timestamp_field
    table = parquet.read_table(home / "features" / Path(view.batch_source.path).parent.name).sort_by(
        [(entity.name, "ascending"), (time, "ascending")]
    )
    keys, code = np.unique(table[entity.name].to_numpy(zero_copy_only=False), return_inverse=True)
    seconds = table[time].cast(pa.timestamp("s", "UTC"), safe=False).cast("int64").to_numpy()
    rows = newest_known((code, seconds), np.arange(len(keys)), np.full(len(keys), int(moment.timestamp())))
    values = [table[feature.name].to_pylist() for feature in view.features]
    nothing = (None,) * len(values)
    return {
        key: tuple(column[row] for column in values) if row >= 0 else nothing
        for key, row in zip(keys.tolist(), rows.tolist(), strict=True)
    }


def served(store, view, keys: list[str]) -> dict[str, tuple]:
    features = [f"{view.name}:{feature.name}" for feature in view.features]
    [entity] = view.entity_columns
    answer = store.get_online_features(features, [{entity.name: key} for key in keys]).to_dict()
    return dict(zip(keys, zip(*(answer[feature.name] for feature in view.features), strict=True), strict=True))


def compared(config: Config, moments: list[datetime]) -> tuple[int, list]:
    """How many (view, key, moment) were compared after a materialize up to each moment, and those that differ."""
    apply(config)
    count, different = 0, []
    for moment in moments:
        materialize(config, VIEWS, end=moment)
        store = open_store(config)
        for name in VIEWS:
            view = store.get_feature_view(name)
            expected = seen_by_training(config.home_path, view, moment)
            found = served(store, view, list(expected))
            count += len(expected)
            different += [(name, moment, key) for key in expected if found[key] != expected[key]]
    return count, different


def test_ten_thousand_answers_of_the_default_store_are_what_training_saw(home):
    count, different = compared(Config(home=str(home)), MOMENTS)
    assert count >= 10_000
    assert different == []


@pytest.mark.redis
@pytest.mark.skipif(redis.missing() is not None, reason=str(redis.missing()))
def test_redis_answers_what_training_saw_too(home, tmp_path, monkeypatch):
    shutil.copytree(home / "features", tmp_path / "features")
    with redis.server() as server:
        monkeypatch.setenv("BIDREC_REDIS", server.address)
        config = Config(home=str(tmp_path), feature_store=str(ROOT / "examples" / "stores" / "redis.yaml"))
        count, different = compared(config, MOMENTS[-2:])
        (activity,) = (tmp_path / "features" / "company_activity").iterdir()
        correct(activity)
        _, different_once_corrected = compared(config, MOMENTS[-1:])
    assert not (tmp_path / "feast" / "online.db").exists()
    assert count >= 5_000
    assert (different, different_once_corrected) == ([], [])


def correct(activity: Path) -> None:
    """Other values of the same versions, as after a change of the SQL that makes them."""
    table = parquet.read_table(activity)
    more = pc.add(table["bids_30d"], 1)
    parquet.write_table(table.set_column(table.column_names.index("bids_30d"), "bids_30d", more), activity)

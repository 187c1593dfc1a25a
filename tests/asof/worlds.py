"""Two stores over one registry, Feast's own and ours, and small worlds in which every row can be told from every other.

A world has companies with versions (the value of a row is its number in the file) and questions about them. Times are
minutes after the start of 2024, UTC.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.types import Int64

from bidrec.asof.job import Limits

OURS = "bidrec.asof.offline_store.AsofOfflineStore"
company = Entity(name="company", join_keys=["company_id"], value_type=ValueType.STRING)


def minute(number: float) -> datetime:
    return datetime(2024, 1, 1, tzinfo=UTC) + timedelta(minutes=number)


def store(folder: Path, offline: str | dict = OURS, **registry) -> FeatureStore:
    """offline: a type, or the settings of the offline store; registry: settings of Feast's registry."""
    settings = offline if isinstance(offline, dict) else {"type": offline}
    return FeatureStore(
        config=RepoConfig(
            project="worlds",
            provider="local",
            registry={"path": str(folder / "registry.db"), **registry},
            offline_store=settings,
            online_store={"type": "sqlite", "path": str(folder / "online.db")},
            entity_key_serialization_version=3,
        )
    )


def stores(folder: Path, *definitions) -> tuple[FeatureStore, FeatureStore]:
    """Ours and the stock one, with the definitions applied."""
    ours = store(folder)
    ours.apply([company, *definitions])
    return ours, store(folder, "duckdb")


def write(path: Path, rows, *, zone: str | None = "UTC", **columns) -> Path:
    """Versions (company, event minute, created minute) with their number as `value`, and further columns."""

    def times(numbers):
        moments = pa.array([None if n is None else minute(n) for n in numbers], pa.timestamp("us", "UTC"))
        return moments.cast(pa.timestamp("us", zone) if zone else pa.timestamp("us"))

    companies, events, written = zip(*rows, strict=True) if rows else ([], [], [])
    table = {
        "company_id": pa.array(companies, pa.string()),
        "known_at": times(events),
        "written_at": times(written),
        "value": pa.array(range(len(rows)), pa.int64()),
    }
    pq.write_table(pa.table(table | columns), path)
    return path


def view(
    path: Path, *, name="versions", created=True, ttl=None, fields=("value",), mapping=None, of=(company,)
) -> FeatureView:
    return FeatureView(
        name=name,
        entities=list(of),
        ttl=ttl,
        schema=[Field(name=field, dtype=Int64) for field in fields],
        source=FileSource(
            name=f"{name}_source",
            path=str(path),
            timestamp_field="known_at",
            created_timestamp_column="written_at" if created else None,
            field_mapping=mapping or {},
        ),
    )


def asked(*questions, columns=("company_id",)) -> pd.DataFrame:
    """(key.., minute) each."""
    table = pd.DataFrame(questions, columns=[*columns, "event_timestamp"])
    table["event_timestamp"] = pd.to_datetime([minute(n) for n in table["event_timestamp"]], utc=True).as_unit("us")
    table["question"] = range(len(table))
    return table


def answers(store: FeatureStore, questions: pd.DataFrame, features, **options) -> list[tuple]:
    """The features of each question, in the order of the questions."""
    return _listed(store.get_historical_features(questions, features, **options).to_arrow(), questions)


def answers_in_parts(part: int, store: FeatureStore, questions: pd.DataFrame, features, **options) -> list[tuple]:
    """Likewise, of our store, which is told to join about as many bytes at a time."""
    job = store.get_historical_features(questions, features, **options)
    divided = replace(job._question, limits=Limits(part=part))
    return _listed(pa.concat_tables(divided.answer()), questions)


def _listed(answer: pa.Table, questions: pd.DataFrame) -> list[tuple]:
    table = answer.sort_by("question")
    columns = [name for name in table.column_names if name not in questions.columns]
    return list(zip(*(table[name].to_pylist() for name in columns), strict=True))

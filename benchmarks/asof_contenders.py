"""What benchmarks/asof.py and asof_growth.py measure: one as-of question, answered by each contender.

Reads   the folder of asof_world.py
Writes  FOLDER/CONTENDER.parquet (stock, api: pairs with features) or job.*.npy (row numbers of notice and version)
"""

import atexit
import json
import resource
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np

from benchmarks import asof_floor, asof_world
from benchmarks.process import peak_mib
from bidrec.asof.resolve import newest_known

if TYPE_CHECKING:
    import pyarrow as pa
    from feast import Entity, FeatureView

TYPES = {"stock": "duckdb", "api": "bidrec.asof.offline_store.AsofOfflineStore"}
VIEWS = {"company": "known_at", "notice": "published_at"}


def main() -> None:
    contender, folder, how = sys.argv[1:]
    print(json.dumps(measure(contender, Path(folder), **json.loads(how))))


def measure(contender: str, folder: Path, **how: str) -> dict[str, float]:
    """CPU and wall seconds of the question itself, and the peak of this process in MiB."""
    prepare = {"job": _job, **asof_floor.CONTENDERS}.get(contender, _feast)
    question = prepare(contender, folder, **how)
    before, started = _cpu(), time.monotonic()
    question()
    return {
        "cpu_s": round(_cpu() - before, 2),
        "wall_s": round(time.monotonic() - started, 2),
        "peak_mib": peak_mib(),
    }


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _feast(
    contender: str, folder: Path, call: str = "persist", memory_limit: str = "", entity_rows: str = "pandas"
) -> Callable[[], None]:
    """entity_rows: pandas, which both stores take, or select, which only ours does: pairs then stay in their file."""
    import pandas as pd
    import pyarrow.parquet as pq
    from feast import FeatureStore, RepoConfig
    from feast.infra.offline_stores.file_source import SavedDatasetFileStorage

    limits = {"memory_limit": memory_limit, "temp_directory": str(folder / "spill")}
    store = FeatureStore(
        config=RepoConfig(
            project="asof",
            provider="local",
            registry=str(folder / f"{contender}.db"),
            offline_store={"type": TYPES[contender]} | (limits if memory_limit else {}),
            online_store={"type": "sqlite", "path": str(folder / "online.db")},
            entity_key_serialization_version=3,
        )
    )
    views = [_view(name, folder) for name in VIEWS]
    store.apply([*_entities().values(), *views])
    refs = [f"{view.name}:{field.name}" for view in views for field in view.features]
    parquet = folder / "pairs.parquet"
    pairs = pd.read_parquet(parquet) if entity_rows == "pandas" else f"SELECT * FROM '{parquet}'"
    target = folder / f"{contender}.parquet"

    def question() -> None:
        job = store.get_historical_features(pairs, refs)
        if call == "persist":
            job.persist(SavedDatasetFileStorage(str(target)), allow_overwrite=True)
        else:
            table = job.to_arrow()
            # Written at the end of the process, when everything is measured.
            atexit.register(lambda: pq.write_table(table, target))

    return question


def _entities() -> "dict[str, Entity]":
    from feast import Entity, ValueType

    return {name: Entity(name=name, join_keys=[f"{name}_id"], value_type=ValueType.STRING) for name in VIEWS}


def _view(name: str, folder: Path) -> "FeatureView":
    from feast import FeatureView, Field, FileSource
    from feast.types import Array, Float64, Int64, String

    numbers, kind, ids = asof_world.names(name)
    fields = [Field(name=number, dtype=Float64) for number in numbers]
    return FeatureView(
        name=name,
        entities=[_entities()[name]],
        ttl=timedelta(0),
        source=FileSource(name=f"{name}_source", path=str(folder / f"{name}.parquet"), timestamp_field=VIEWS[name]),
        schema=[*fields, Field(name=kind, dtype=String), Field(name=ids, dtype=Array(Int64))],
    )


def _job(contender: str, folder: Path, memory_limit: str, call: str = "") -> Callable[[], None]:
    """As the training set's build does: ids to numbers in DuckDB, then a binary search in the sorted versions."""

    def question() -> None:
        with duckdb.connect() as connection:
            asof_world.limit(connection, folder, memory_limit)
            connection.execute(
                f"""
                CREATE TEMP TABLE company AS
                SELECT company_id, (row_number() OVER (ORDER BY company_id) - 1)::INTEGER AS number
                FROM (SELECT DISTINCT company_id FROM '{folder}/company.parquet')
                """
            )
            version: dict[str, Any] = connection.sql(
                f"""
                SELECT number AS company, epoch(known_at)::BIGINT AS known_at
                FROM read_parquet('{folder}/company.parquet', file_row_number = true)
                JOIN company USING (company_id) ORDER BY file_row_number
                """
            ).fetchnumpy()
            pair: dict[str, Any] = connection.sql(
                f"""
                SELECT coalesce(number, -1) AS company, n.file_row_number::INTEGER AS notice,
                    epoch(event_timestamp)::BIGINT AS as_of, p.file_row_number::INTEGER AS pair
                FROM read_parquet('{folder}/pairs.parquet', file_row_number = true) p
                LEFT JOIN company USING (company_id)
                JOIN (SELECT notice_id, file_row_number
                      FROM read_parquet('{folder}/notice.parquet', file_row_number = true)) n USING (notice_id)
                """
            ).fetchnumpy()
        known = newest_known((version["company"], version["known_at"]), pair["company"], pair["as_of"])
        for name, values in (("company", known), ("notice", pair["notice"]), ("pair", pair["pair"])):
            np.save(folder / f"job.{name}.npy", np.ascontiguousarray(values, dtype=np.int32))

    return question


def answers_are_equal(folder: Path, sample: int) -> bool:
    """Whether the three answers agree on every feature of about `sample` pairs, and on the number of pairs."""
    files = {"stock": folder / "part*" / "stock.parquet", "api": folder / "api.parquet"}
    features = [name for view in VIEWS for name in _flat(asof_world.names(view))]
    columns = ", ".join(["company_id", "notice_id", "event_timestamp", *features])
    job = {name: np.load(folder / f"job.{name}.npy") for name in ("company", "notice", "pair")}
    with duckdb.connect() as connection:
        asof_world.limit(connection, folder)
        rows = [connection.sql(f"SELECT count(*) FROM '{file}'").fetchall() for file in files.values()]
        every = max(1, rows[0][0][0] // sample)
        kept = f"hash(company_id, notice_id, event_timestamp) % {every} = 0"
        connection.register("job_rows", _arrow(job))
        answers = [f"SELECT {columns} FROM '{file}' WHERE {kept}" for file in files.values()]
        numbered = "read_parquet('{}', file_row_number = true)"
        answers.append(
            f"""
            SELECT {columns} FROM (SELECT * FROM {numbered.format(folder / "pairs.parquet")} WHERE {kept}) p
            JOIN job_rows j ON j.pair = p.file_row_number
            LEFT JOIN (SELECT * EXCLUDE (company_id) FROM {numbered.format(folder / "company.parquet")}) c
            ON c.file_row_number = j.company
            LEFT JOIN (SELECT * EXCLUDE (notice_id) FROM {numbered.format(folder / "notice.parquet")}) n
            ON n.file_row_number = j.notice
            """
        )
        differ = [
            connection.sql(f"SELECT count(*) FROM (({one}) EXCEPT ALL ({other}))").fetchall()[0][0]
            for one, other in (
                (answers[0], answers[1]),
                (answers[1], answers[0]),
                (answers[0], answers[2]),
                (answers[2], answers[0]),
            )
        ]
    return rows[0] == rows[1] and rows[0][0][0] == len(job["pair"]) and not any(differ)


def _flat(names: tuple[list[str], str, str]) -> list[str]:
    return [*names[0], *names[1:]]


def _arrow(columns: dict[str, np.ndarray]) -> "pa.Table":
    import pyarrow as pa

    return pa.table(columns)


if __name__ == "__main__":
    main()

"""Write today's embeddings and recommendations to a new version of published/, then flip one pointer.

Reads   features/, runs/ID
Writes  published/<UTC time>-<run's 6 hex>/ and the link published/current, which Feast's embedding views read

    notice_embedding.parquet          notice_id, written_at, run_id, embedding FLOAT[]
    company_embedding.parquet         company_id, written_at, run_id, embedding FLOAT[]
    notice_recommendations.parquet    notice_id, written_at, run_id, company_ids, scores    one row an open notice
    company_recommendations.parquet   company_id, written_at, run_id, notice_ids, scores    one row a known company
    notices.parquet, companies.parquet  what they are, in words
"""

import os
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pyarrow as pa
from pyarrow import parquet

from bidrec import log
from bidrec.config import Config
from bidrec.publishing import gate
from bidrec.publishing.today import Vectors, embed_today
from bidrec.ranking.topk import top_k
from bidrec.runs import Run
from bidrec.storage import read_manifest, whole_folder, write_manifest, writing

if TYPE_CHECKING:
    from bidrec.features.schema import Schema

CURRENT = "current"
KEPT = 3
VIEWS = ("notice_embedding", "company_embedding", "notice_recommendations", "company_recommendations")
"""The published tables that are Feast views too."""


def published_folder(home: Path) -> Path:
    """The version that readers see."""
    return home / "published" / CURRENT


def write_back(config: Config, schema: "Schema", run: Run, as_of: int | None = None) -> dict[str, Any]:
    """Embed today's notices and companies with `run` and publish them; returns the version's manifest.

    `as_of` (epoch seconds UTC) None means the newest moment in the data. Raises GateRefused (78) where the model does
    not beat its baselines, ContractError (65) where today's features have shifted beyond the bounds of [drift]; what
    was published before stays in every case of failure.
    """
    home, metrics = config.home_path, run.metrics()
    before = read_manifest(published_folder(home))
    gate.check(metrics, before["evaluation"] if before else None, config.publish.margin)
    vectors = embed_today(config, schema, run, as_of)
    written_at = datetime.now(UTC)
    version = home / "published" / f"{written_at:%Y%m%dT%H%M%S%fZ}-{run.id[-6:]}"
    open_rows = _open_notices(home, vectors)
    with whole_folder(version) as staging:
        tables = _tables(vectors, open_rows, config.publish.top_k, {"written_at": written_at, "run_id": run.id})
        for name, table in tables.items():
            with writing(version):
                parquet.write_table(table, staging / f"{name}.parquet", compression="zstd")
        _describe(home, vectors, staging)
        manifest = write_manifest(
            staging,
            kind="published",
            run=run.id,
            as_of=datetime.fromtimestamp(vectors.as_of, UTC).isoformat(),
            written_at=written_at.isoformat(),
            rows={name: table.num_rows for name, table in tables.items()},
            open_notices=len(open_rows),
            statistics=vectors.statistics,
            evaluation=metrics,
        )
    _flip(home / "published", version.name)
    log.get("write-back").info("published", version=version.name, **manifest["rows"])
    return manifest | {"version": version.name}


def _tables(vectors: Vectors, open_rows: np.ndarray, k: int, stamp: Mapping[str, Any]) -> dict[str, pa.Table]:
    """The four tables, in memory: 64 floats a row and K ids a row."""
    to_companies = top_k(vectors.notice_ND[open_rows], vectors.company_CD, k)
    to_notices = top_k(vectors.company_CD, vectors.notice_ND[open_rows], k)
    open_ids = [vectors.notice_ids[row] for row in open_rows]
    return {
        "notice_embedding": _embedding("notice_id", vectors.notice_ids, vectors.notice_ND, stamp),
        "company_embedding": _embedding("company_id", vectors.company_ids, vectors.company_CD, stamp),
        "notice_recommendations": _lists(
            "notice_id", open_ids, "company_ids", vectors.company_ids, *to_companies, stamp
        ),
        "company_recommendations": _lists(
            "company_id", vectors.company_ids, "notice_ids", open_ids, *to_notices, stamp
        ),
    }


def _embedding(key: str, ids: list[str], matrix_ND: np.ndarray, stamp: Mapping[str, Any]) -> pa.Table:
    return pa.table({key: pa.array(ids, pa.string()), **_stamped(len(ids), stamp), "embedding": _list_of(matrix_ND)})


def _lists(
    key: str,
    ids: list[str],
    other: str,
    other_ids: list[str],
    rows_QK: np.ndarray,
    scores_QK: np.ndarray,
    stamp: Mapping[str, Any],
) -> pa.Table:
    names = pa.array(other_ids, pa.string()).take(pa.array(rows_QK.reshape(-1), pa.int64()))
    ranked = pa.ListArray.from_arrays(_offsets(rows_QK), names)
    return pa.table(
        {
            key: pa.array(ids, pa.string()),
            **_stamped(len(ids), stamp),
            other: ranked,
            "scores": _list_of(scores_QK),
        }
    )


def _stamped(rows: int, stamp: Mapping[str, Any]) -> dict[str, pa.Array]:
    return {
        "written_at": pa.array([stamp["written_at"]] * rows, pa.timestamp("us", "UTC")),
        "run_id": pa.array([stamp["run_id"]] * rows, pa.string()),
    }


def _list_of(matrix: np.ndarray) -> pa.Array:
    values = pa.array(np.ascontiguousarray(matrix, dtype=np.float32).reshape(-1))
    return pa.ListArray.from_arrays(_offsets(matrix), values)


def _offsets(matrix: np.ndarray) -> pa.Array:
    return pa.array(np.arange(len(matrix) + 1, dtype=np.int32) * matrix.shape[1], pa.int32())


def _open_notices(home: Path, vectors: Vectors) -> np.ndarray:
    """Rows of the notices that may still be bid on at the as-of; one without a closing time is not."""
    closing = duckdb.execute(
        "SELECT notice_id FROM read_parquet(?) WHERE closes_at > to_timestamp(?)",
        [str(home / "features" / "notice.parquet"), vectors.as_of],
    ).fetchall()
    still_open = {notice_id for (notice_id,) in closing}
    return np.array([row for row, notice in enumerate(vectors.notice_ids) if notice in still_open], dtype=np.int64)


def _describe(home: Path, vectors: Vectors, staging: Path) -> None:
    """notices.parquet and companies.parquet: the words that `bidrec recommend` prints, as known at the as-of."""
    features, as_of = home / "features", vectors.as_of
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(
        f"""COPY (
            SELECT notice_id, title, coalesce(buyer_name, buyer_id) AS buyer, place, value, published_at, closes_at
            FROM read_parquet($notices) WHERE published_at <= to_timestamp($as_of) ORDER BY notice_id
        ) TO '{_quoted(staging / "notices.parquet")}' (COMPRESSION zstd)""",
        {"notices": str(features / "notice.parquet"), "as_of": as_of},
    )
    connection.execute(
        f"""COPY (
            WITH profile AS (
                SELECT company_id, arg_max(name, known_at) AS name, arg_max(region, known_at) AS region
                FROM read_parquet($profiles) WHERE known_at <= to_timestamp($as_of) GROUP BY company_id),
            activity AS (
                SELECT company_id, arg_max(bids_all, known_at)::BIGINT AS bids, max(known_at) AS last_bid_at
                FROM read_parquet($activity) WHERE known_at <= to_timestamp($as_of) GROUP BY company_id)
            SELECT company_id, name, region, coalesce(bids, 0) AS bids, last_bid_at
            FROM profile FULL JOIN activity USING (company_id) ORDER BY company_id
        ) TO '{_quoted(staging / "companies.parquet")}' (COMPRESSION zstd)""",
        {
            "profiles": str(features / "company_profile.parquet"),
            "activity": str(features / "company_activity.parquet"),
            "as_of": as_of,
        },
    )


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")


def _flip(published: Path, version: str) -> None:
    """Point `current` at the new version in one rename, then drop all but the newest versions."""
    with writing(published):
        link = published / f".{CURRENT}.{os.getpid()}"
        link.unlink(missing_ok=True)
        link.symlink_to(version)
        os.replace(link, published / CURRENT)
    versions = sorted(path for path in published.iterdir() if path.is_dir() and not path.is_symlink())
    for old in [path for path in versions if not path.name.startswith(".")][:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)

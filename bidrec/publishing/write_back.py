"""Write today's embeddings and recommendations to a new version of published/, then flip one pointer.

Reads   features/, runs/ID
Writes  published/<UTC time>-<run's 6 hex>/ and the link published/current, which Feast's embedding views read

    notice_embedding.parquet          notice_id, written_at, run_id, embedding FLOAT[]
    company_embedding.parquet         company_id, written_at, run_id, embedding FLOAT[]
    notice_recommendations.parquet    notice_id, written_at, run_id, closes_at, company_ids, scores     open notices
    company_recommendations.parquet   company_id, written_at, run_id, closes_at, notice_ids, scores     known companies
    (of each of these four)           *.withdrawn.parquet, see bidrec.publishing.withdrawn
    notices.parquet, companies.parquet  what they are, in words
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from bidrec.config import Config
from bidrec.errors import ConfigurationError
from bidrec.operations import log
from bidrec.publishing import gate
from bidrec.publishing.closing import CLOSING, open_notices, status_files, with_closing
from bidrec.publishing.lists import Lists, best_of_both
from bidrec.publishing.newest import newest
from bidrec.publishing.reasons import BUYER
from bidrec.publishing.today import Vectors, embedded_today
from bidrec.publishing.version import next_moment, published_folder, write_version
from bidrec.runs.run import Run, produced
from bidrec.sql.words import literal
from bidrec.sql.workspace import workspace
from bidrec.storage.locks import one_job_at_a_time
from bidrec.storage.sealed import read_manifest
from bidrec.training_set.splits import iso_of

if TYPE_CHECKING:
    from bidrec.features.schema import Schema

VIEWS = ("notice_embedding", "company_embedding", "notice_recommendations", "company_recommendations")
"""The published tables that are Feast views too."""


def write_back(
    config: Config, schema: "Schema", run: Run, as_of: int | None = None, lineage: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Embed today's notices and companies with `run` and publish them; returns the version's manifest.

    `as_of` (epoch seconds UTC) None means the newest moment in the data. `lineage` (bidrec.runs.lineage) goes into the
    manifest. One write-back at a time: a second one waits, so that the version published last is the one made last.
    Raises GateRefused (78) where the model does not beat its baselines, ConfigurationError (64) where `as_of` is before
    the published version's, ContractError (65) where today's features have shifted beyond the bounds of [drift]; what
    was published before stays in every case of failure.
    """
    with one_job_at_a_time(config.home_path, "published", config.wait_seconds):
        return _write_back(config, schema, run, as_of, lineage or {})


def _write_back(
    config: Config, schema: "Schema", run: Run, as_of: int | None, lineage: Mapping[str, Any]
) -> dict[str, Any]:
    home, metrics = config.home_path, run.metrics()
    before = read_manifest(published_folder(home))
    _refuse_older(as_of, before)
    gate.check(metrics, before["evaluation"] if before else None, config.publish.margin)
    written_at = next_moment(before)
    with embedded_today(config, schema, run, as_of) as today:
        vectors = today.vectors
        _tell_of_hindsight(run, vectors.as_of)
        closing = open_notices(config, vectors.as_of)
        open_rows = _rows_of_open(closing, vectors)
        stamp = {"written_at": written_at, "run_id": run.id}
        to_companies, to_notices = (
            (rows, today.ranker.blend.probabilities(scores))
            for rows, scores in best_of_both(today, open_rows, config.publish.top_k)
        )
        tables = published_tables(vectors, open_rows, (to_companies, to_notices), stamp)
    return write_version(
        home,
        with_closing(tables, closing),
        describe=lambda staging: _describe(config, vectors, staging),
        written_at=written_at,
        run=run.id,
        as_of=iso_of(vectors.as_of),
        zone=(read_manifest(home / "lake") or {}).get("zone", "UTC"),
        open_notices=len(open_rows),
        statistics=vectors.statistics,
        evaluation=metrics,
        lineage=lineage,
        **produced(),
    )


def _tell_of_hindsight(run: Run, as_of: int) -> None:
    """Features are as of the moment asked for; what the run has learned is as of its cutoff, whatever is asked for."""
    cutoff = (read_manifest(run.training_set) or {})["split"]["cutoff"]
    if as_of < cutoff:
        log.get("write-back").warning(
            "the run has learned from what became known after the as-of: its lists are made with hindsight",
            as_of=iso_of(as_of),
            cutoff=iso_of(cutoff),
            hint="publish one whose split.train_before is no later than the as-of (bidrec backtest makes such runs)",
        )


def _rows_of_open(closing: pa.Table, vectors: Vectors) -> np.ndarray:
    """Rows of the notices that are open, as `closing` lists them."""
    still_open = set(closing["notice_id"].to_pylist())
    if not still_open:
        log.get("write-back").warning(
            "no notice is open at the as-of: there is nothing to recommend",
            as_of=iso_of(vectors.as_of),
            hint="leave --as-of out for the newest moment in the data, or run bidrec ingest on newer dumps",
        )
    return np.array([row for row, notice in enumerate(vectors.notice_ids) if notice in still_open], np.int64)


def _refuse_older(as_of: int | None, before: dict[str, Any] | None) -> None:
    """What is asked for as of an earlier time than the published version is older than what readers have."""
    if as_of is None or before is None:
        return
    asked = datetime.fromtimestamp(as_of, UTC)
    if asked < datetime.fromisoformat(before["as_of"]):
        raise ConfigurationError(
            f"as of {asked.isoformat()} is older than what is published, which is as of {before['as_of']}",
            hint="leave --as-of out for the newest moment in the data, or use another home",
        )


def published_tables(
    vectors: Vectors, open_rows: np.ndarray, lists: tuple[Lists, Lists], stamp: Mapping[str, Any]
) -> dict[str, pa.Table]:
    """The four tables, in memory: 64 floats a row and K ids a row. `open_rows`: rows of the notices that are open."""
    to_companies, to_notices = lists
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
    """`rows_QK`: -1 where a list ends early."""
    listed_QK = rows_QK >= 0
    offsets = pa.array(np.concatenate([[0], np.cumsum(listed_QK.sum(axis=1))]), pa.int32())
    names = pa.array(other_ids, pa.string()).take(pa.array(rows_QK[listed_QK], pa.int64()))
    return pa.table(
        {
            key: pa.array(ids, pa.string()),
            **_stamped(len(ids), stamp),
            other: pa.ListArray.from_arrays(offsets, names),
            "scores": pa.ListArray.from_arrays(offsets, pa.array(scores_QK[listed_QK], pa.float32())),
        }
    )


def _stamped(rows: int, stamp: Mapping[str, Any]) -> dict[str, pa.Array]:
    return {
        "written_at": pa.array([stamp["written_at"]] * rows, pa.timestamp("us", "UTC")),
        "run_id": pa.array([stamp["run_id"]] * rows, pa.string()),
    }


def _list_of(matrix: np.ndarray) -> pa.Array:
    values = pa.array(np.ascontiguousarray(matrix, dtype=np.float32).reshape(-1))
    offsets = np.arange(len(matrix) + 1, dtype=np.int32) * matrix.shape[1]
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values)


def _describe(config: Config, vectors: Vectors, staging: Path) -> None:
    """notices.parquet and companies.parquet: the words that `bidrec recommend` prints, as known at the as-of."""
    features, as_of = config.home_path / "features", datetime.fromtimestamp(vectors.as_of, UTC)
    with workspace(config, "today") as (connection, _):
        connection.execute(
            f"""COPY (
                WITH closing AS ({CLOSING})
                SELECT notice_id, title, {BUYER}, place_name AS place, value, currency, published_at, closing.closes_at
                FROM read_parquet($notices) JOIN closing USING (notice_id) ORDER BY notice_id
            ) TO {literal(str(staging / "notices.parquet"))} (COMPRESSION zstd)""",
            {"notices": str(features / "notice" / "*.parquet"), "status": status_files(config), "as_of": as_of},
        )
        connection.execute(
            f"""COPY (
                WITH profile AS ({newest("company_id", "name", "region", files="profiles")}),
                activity AS ({newest("company_id", "bids_all", "last_bid_at", files="activity")})
                SELECT company_id, name, region, coalesce(bids_all, 0)::BIGINT AS bids, last_bid_at
                FROM profile FULL JOIN activity USING (company_id) ORDER BY company_id
            ) TO {literal(str(staging / "companies.parquet"))} (COMPRESSION zstd)""",
            {
                "profiles": str(features / "company_profile" / "*.parquet"),
                "activity": str(features / "company_activity" / "*.parquet"),
                "as_of": as_of,
            },
        )

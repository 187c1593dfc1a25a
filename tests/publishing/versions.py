"""Publications without a model: unit vectors drawn at random, and the lists made of them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from bidrec.publishing.closing import with_closing
from bidrec.publishing.today import Vectors
from bidrec.publishing.version import next_moment, published_folder, write_version
from bidrec.publishing.write_back import published_tables
from bidrec.ranking.topk import top_k
from bidrec.storage.sealed import read_manifest

AS_OF = datetime(2025, 1, 1, tzinfo=UTC)
CLOSES_AT = datetime(2025, 2, 1, tzinfo=UTC)
"""When the notices close."""


def publish(
    home: Path,
    companies: Sequence[str],
    notices: Sequence[str] = ("road",),
    run: str = "first",
    length: int = 8,
    closed: Sequence[str] = (),
    listed: int = 5,
    order: int = 1,
) -> dict[str, Any]:
    """Publish these companies and notices as if `run` had embedded them; returns the manifest.

    The lists of the open notices, all but `closed`, and of the companies are `listed` long at most, by cosine; with
    `order` -1 by its opposite.
    """
    draw = np.random.default_rng(sum(run.encode()))
    vectors = Vectors(
        as_of=int(AS_OF.timestamp()),
        notice_ids=list(notices),
        notice_ND=units(draw, len(notices), length),
        company_ids=list(companies),
        company_CD=units(draw, len(companies), length),
    )
    written_at = next_moment(read_manifest(published_folder(home)))
    stamp = {"written_at": written_at, "run_id": run}
    open_rows = np.flatnonzero(~np.isin(notices, closed))
    open_ND = order * vectors.notice_ND[open_rows]
    lists = top_k(open_ND, vectors.company_CD, listed), top_k(vectors.company_CD, open_ND, listed)
    tables = published_tables(vectors, open_rows, lists, stamp)
    closing = pa.table(
        {
            "notice_id": pa.array([notices[row] for row in open_rows], pa.string()),
            "closes_at": pa.array([CLOSES_AT] * len(open_rows), pa.timestamp("us", "UTC")),
        }
    )
    facts = {"as_of": AS_OF.isoformat(), "open_notices": len(open_rows)}
    return write_version(
        home, with_closing(tables, closing), describe=in_words, written_at=written_at, run=run, **facts
    )


def units(draw: np.random.Generator, rows: int, length: int) -> np.ndarray:
    matrix = draw.normal(size=(rows, length)).astype(np.float32)
    return matrix / np.linalg.norm(matrix, axis=1, keepdims=True)


def in_words(folder: Path) -> None:
    """notices.parquet and companies.parquet: each word says what it is and of whom; the notices close in a month, or
    did."""
    open_ids = f"(SELECT notice_id FROM '{folder}/notice_recommendations.parquet')"
    words = {
        "notices": "notice_id, 'title of ' || notice_id AS title, 'buyer of ' || notice_id AS buyer,"
        " 'unit of ' || notice_id AS unit, 'place of ' || notice_id AS place, 1000.5 AS value, 'KRW' AS currency,"
        " $published AS published_at,"
        f" CASE WHEN notice_id IN {open_ids} THEN $closes ELSE $closed END AS closes_at",
        "companies": "company_id, 'name of ' || company_id AS name, 'region of ' || company_id AS region, 3 AS bids,"
        " $published AS last_bid_at,"
        " $closes AS _, $closed AS __",
    }
    for name, columns in words.items():
        source = folder / f"{columns.partition('_id')[0]}_embedding.parquet"
        duckdb.execute(
            f"COPY (SELECT {columns} FROM '{source}') TO '{folder / name}.parquet'",
            {"published": AS_OF - timedelta(days=30), "closes": CLOSES_AT, "closed": AS_OF - timedelta(days=14)},
        )

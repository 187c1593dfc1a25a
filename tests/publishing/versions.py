"""Publications without a model: unit vectors drawn at random, and the lists made of them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from bidrec.publishing.today import Vectors
from bidrec.publishing.version import next_moment, published_folder, write_version
from bidrec.publishing.write_back import published_tables
from bidrec.storage import read_manifest

AS_OF = datetime(2025, 1, 1, tzinfo=UTC)


def publish(
    home: Path, companies: Sequence[str], notices: Sequence[str] = ("road",), run: str = "first", length: int = 8
) -> dict[str, Any]:
    """Publish these companies and open notices as if `run` had embedded them; returns the manifest."""
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
    tables = published_tables(vectors, np.arange(len(notices)), 5, stamp)
    facts = {"as_of": AS_OF.isoformat(), "open_notices": len(notices)}
    return write_version(home, tables, describe=in_words, written_at=written_at, run=run, **facts)


def units(draw: np.random.Generator, rows: int, length: int) -> np.ndarray:
    matrix = draw.normal(size=(rows, length)).astype(np.float32)
    return matrix / np.linalg.norm(matrix, axis=1, keepdims=True)


def in_words(folder: Path) -> None:
    """notices.parquet and companies.parquet, with nothing known but that all notices are open for another month."""
    for table, key in (("notice", "notice_id"), ("company", "company_id")):
        source = f"'{folder}/{table}_embedding.parquet'"
        name = "notices" if table == "notice" else "companies"
        duckdb.execute(
            f"COPY (SELECT {key}, TIMESTAMPTZ '2024-12-01 00:00:00+00' AS published_at,"
            f" TIMESTAMPTZ '2025-02-01 00:00:00+00' AS closes_at FROM {source}) TO '{folder}/{name}.parquet'"
        )

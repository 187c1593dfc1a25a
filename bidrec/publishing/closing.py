"""Until when bids are taken, which notices are open, and until when a list holds: a company's entry by entry.

Reads   features/notice_status
Returns the closing times of the open notices, which notices are known, and the tables of lists with a column
        closes_at, by which a reader leaves out what has closed since the write-back
"""

from collections.abc import Mapping
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

from bidrec.config import Config
from bidrec.publishing.newest import newest
from bidrec.sql.workspace import workspace

CLOSING = f"""
    SELECT notice_id, CASE WHEN closes_at IS NOT NULL THEN least(closes_at, withdrawn_at) END AS closes_at
    FROM ({newest("notice_id", "closes_at", "withdrawn_at", files="status")})"""
"""SQL of notice_id and closes_at: until when bids are taken, by what was last known at $as_of of the $status files.

That is the deadline last stated, or the withdrawal where it comes first; NULL without a deadline.
"""


def with_closing(tables: Mapping[str, pa.Table], closing: pa.Table) -> dict[str, pa.Table]:
    """Add `closes_at` (UTC) to both tables of lists, before the lists.

    closing: notice_id, closes_at, a row for each notice that is listed. In company_recommendations the new column is a
    list in the order of notice_ids.
    """
    notices, companies = tables["notice_recommendations"], tables["company_recommendations"]
    listed = companies["notice_ids"].combine_chunks()
    each = pa.ListArray.from_arrays(listed.offsets, _closing(listed.values, closing))
    return {
        **tables,
        "notice_recommendations": notices.add_column(
            3, "closes_at", _closing(notices["notice_id"].combine_chunks(), closing)
        ),
        "company_recommendations": companies.add_column(3, "closes_at", each),
    }


def _closing(notice_ids: pa.StringArray, closing: pa.Table) -> pa.Array:
    rows = pc.index_in(notice_ids, closing["notice_id"].combine_chunks())
    return closing["closes_at"].combine_chunks().take(rows)


def open_notices(config: Config, as_of: int) -> pa.Table:
    """notice_id, closes_at of the notices that may still be bid on, as far as known at the as-of.

    One without a closing time is not among them, nor one that was withdrawn.
    """
    return _stated(config, as_of, "WHERE closes_at > $as_of")


def known_notices(config: Config, as_of: int) -> pa.ChunkedArray:
    """notice_id of the notices of which anything was known by then: one that came late was not, at its publication."""
    return _stated(config, as_of)["notice_id"]


def _stated(config: Config, as_of: int, condition: str = "") -> pa.Table:
    with workspace(config, "today") as (connection, _):
        return connection.execute(
            f"SELECT * FROM ({CLOSING}) {condition}",
            {"status": status_files(config), "as_of": datetime.fromtimestamp(as_of, UTC)},
        ).to_arrow_table()


def status_files(config: Config) -> str:
    """The pattern of the files that say what was last known of a notice's dates."""
    return str(config.home_path / "features" / "notice_status" / "*.parquet")

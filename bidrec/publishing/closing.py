"""Which notices are open, and until when a list holds: a notice's to its closing, a company's entry by entry.

Reads   features/notice_status
Returns the closing times of the open notices, and the tables of lists with a column closes_at, by which a reader
        leaves out what has closed since the write-back
"""

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from bidrec.config import Config
from bidrec.workspace import workspace


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
    with workspace(config, "today") as (connection, _):
        return connection.execute(
            """
            WITH status AS (
                SELECT notice_id, max_by({'closes_at': closes_at, 'withdrawn_at': withdrawn_at}, known_at) AS last
                FROM read_parquet($status) WHERE known_at <= to_timestamp($as_of) GROUP BY notice_id)
            SELECT notice_id, last.closes_at AS closes_at FROM status
            WHERE last.closes_at > to_timestamp($as_of) AND coalesce(last.withdrawn_at > to_timestamp($as_of), true)
            """,
            {"status": status_files(config), "as_of": as_of},
        ).to_arrow_table()


def status_files(config: Config) -> str:
    """The pattern of the files that say what was last known of a notice's dates."""
    return str(config.home_path / "features" / "notice_status" / "*.parquet")

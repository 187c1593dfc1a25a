"""Tables of another bidrec, met by a reader that does not write them: one line says so, and what makes them anew.

Reads   the columns of features/ and published/current, as far as they are asked for
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from bidrec.errors import ContractError, Interrupted
from bidrec.sql.words import first_line
from bidrec.storage.intact import intact_schema, is_whole

READ = {
    "notices": ("notice_id", "title", "buyer", "unit", "place", "value", "currency", "published_at", "closes_at"),
    "companies": ("company_id", "name", "region", "bids", "last_bid_at"),
    "notice_recommendations": ("notice_id", "run_id", "company_ids", "scores"),
    "company_recommendations": ("company_id", "run_id", "notice_ids", "scores"),
    "notice_embedding": ("notice_id", "embedding"),
    "company_embedding": ("company_id", "embedding"),
}
"""Table of a published version -> the columns that its readers here ask for; of the first two they tell all of them."""


def require_columns(version: Path) -> None:
    """Raises ContractError (65) where a published version lacks a column of READ, or one of its files is damaged."""
    lacking = []
    for table, columns in READ.items():
        there = intact_schema(version, f"{table}.parquet").names
        lacking += [f"{table}.{column}" for column in columns if column not in there]
    if lacking:
        raise ContractError(
            f"{version} was published by another bidrec: it has no {', '.join(lacking)}",
            hint="bidrec train, then bidrec write-back, publish anew; its files and Feast's views stay until then",
        )


@contextmanager
def reading_features(home: Path) -> Iterator[None]:
    """Around SQL over features/ that some other command has made: raises ContractError (65) where it cannot be read, or
    lacks a column; Interrupted (75) where it was replaced meanwhile, with fewer files."""
    try:
        yield
    except (duckdb.BinderException, duckdb.IOException, duckdb.InvalidInputException) as error:
        features = home / "features"
        if isinstance(error, duckdb.IOException) and is_whole(features):
            raise Interrupted(f"{features} was replaced while it was read", hint="ask again") from error
        raise ContractError(
            f"{features} is damaged, or another bidrec made it: {first_line(error)}",
            hint="the next bidrec train or write-back makes what another bidrec made anew; delete the folder otherwise",
        ) from error

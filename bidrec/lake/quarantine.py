"""The quarantine: rows that broke the contract, each with its reasons, kept apart for each ingest.

    quarantine/000001/{notice,company,bid}.parquet + manifest.json      what the first ingest refused; a table of which
                                                                        nothing was refused has no file

Reads   bad_<table> (`bidrec/lake/increment.py`)
Writes  quarantine/NNNNNN, and refuses the ingest (65) where too many rows are bad
"""

from pathlib import Path

import duckdb

from bidrec.contract import REASON, TABLES
from bidrec.errors import ContractError
from bidrec.lake.checks import Checked
from bidrec.lake.parts import copy_sorted
from bidrec.storage.sealed import write_manifest
from bidrec.storage.whole import whole_folder


def folder_of(home: Path, ingest: int) -> Path:
    """Where the bad rows of an ingest lie. One that was refused is written over by the next attempt."""
    return home / "quarantine" / f"{ingest:06d}"


def write(connection: duckdb.DuckDBPyConnection, target: Path, checked: dict[str, Checked]) -> None:
    """Write the bad rows, their reasons counted in the manifest; whole or not at all.

    Nothing for a table without any: each later ingest reads every file.
    """
    with whole_folder(target) as folder:
        for name, table in TABLES.items():
            if not checked[name].quarantined:
                continue
            copy_sorted(connection, table, f"SELECT * FROM bad_{name}", folder / f"{name}.parquet")
        facts = {
            name: {"given": found.given, "quarantined": found.quarantined, "reasons": found.reasons}
            for name, found in checked.items()
        }
        write_manifest(folder, kind="quarantine", tables=facts)


def refuse_too_many(
    connection: duckdb.DuckDBPyConnection,
    target: Path | None,
    checked: dict[str, Checked],
    limit: float,
    *,
    first: bool,
) -> None:
    """Raise ContractError (65) if more than `limit` of a table's rows are bad, or at `first` all of them.

    target: the folder they have been written to; None where they have not been.
    """
    for name, found in checked.items():
        none_good = first and found.quarantined == found.given
        if found.quarantined <= limit * found.given and not none_good:
            continue
        key = TABLES[name].key
        row = connection.execute(
            f"SELECT {REASON}, {', '.join(key)} FROM bad_{name} ORDER BY {', '.join(key)} LIMIT 1"
        ).fetchall()[0]
        example = ", ".join(f"{column} {value}" for column, value in zip(key, row[1:], strict=True))
        reasons = "; ".join(f"{reason}: {number}" for reason, number in list(found.reasons.items())[:5])
        where = (
            f"look into {target / name}.parquet" if target else "bidrec ingest writes them to the home's quarantine/"
        )
        raise ContractError(
            f"{name}: {found.quarantined} of {found.given} rows are bad, more than {limit:.2%} "
            f"({reasons}; for example {example}: {row[0]})",
            hint=f"{where}, or raise contract.max_bad_share",
        )

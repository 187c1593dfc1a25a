"""The quarantine: rows that broke the contract, each with its reasons, kept apart for each ingest.

    quarantine/000001/{notice,company,bid}.parquet + manifest.json      what the first ingest refused; a table of which
                                                                        nothing was refused has no file

Reads   bad_<table> (`bidrec/lake/increment.py`)
Writes  quarantine/NNNNNN, and refuses the ingest (65) where too many rows are bad
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb

from bidrec.contract import REASON, TABLES
from bidrec.errors import ContractError
from bidrec.lake.checks import Checked
from bidrec.lake.parts import copy_sorted
from bidrec.storage.sealed import read_manifest, write_manifest
from bidrec.storage.whole import whole_folder

ENOUGH = 1_000
"""Rows over which a share is judged: one bad row among an hour's twenty is chance."""


def folder_of(home: Path, ingest: int) -> Path:
    """Where the bad rows of an ingest lie. One that was refused is written over by the next attempt."""
    return home / "quarantine" / f"{ingest:06d}"


def folders_of(home: Path, lake: dict[str, Any] | None) -> list[Path]:
    """Where the bad rows of all ingests of a lake (its manifest) lie, oldest first."""
    return [folder_of(home, each["ingest"]) for each in lake["ingests"]] if lake else []


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
    checked: dict[str, Checked],
    limit: float,
    *,
    target: Path | None,
    earlier: Sequence[Path],
) -> None:
    """Raise ContractError (65) if more than `limit` of a table's rows are bad, or at the first ingest all of them.

    Of few rows the share is that of the last ENOUGH, those of ingests before among them. target: the folder the bad
    rows have been written to; None where they have not been. earlier: the quarantines of the lake's ingests.
    """
    for name, found in checked.items():
        if not found.quarantined:
            continue
        given, bad = _of_late(name, found, earlier)
        none_good = not earlier and found.quarantined == found.given
        if bad <= limit * given and not none_good:
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
            f"{name}: {found.quarantined} of {found.given} rows are bad, {_together(found, given, bad)}more than "
            f"{limit:.2%} ({reasons}; for example {example}: {row[0]})",
            hint=f"{where}, or raise contract.max_bad_share",
        )


def _of_late(name: str, found: Checked, earlier: Sequence[Path]) -> tuple[float, float]:
    """Rows, and the bad ones among them: those found, and up to ENOUGH of the ingests before, newest first. Of a larger
    ingest a part, lest its many rows hide that all of a few new ones are bad."""
    given, bad = float(found.given), float(found.quarantined)
    for folder in reversed(earlier):
        if given >= ENOUGH:
            break
        table = (read_manifest(folder) or {}).get("tables", {}).get(name)
        if table and table["given"]:
            part = min(1.0, (ENOUGH - given) / table["given"])
            given, bad = given + part * table["given"], bad + part * table["quarantined"]
    return given, bad


def _together(found: Checked, given: float, bad: float) -> str:
    return f"with those before {bad:.0f} of {given:.0f}, " if given > found.given else ""

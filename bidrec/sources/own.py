"""A source to begin with, for tables that have bidrec's own columns or are to be given them.

Writes  a folder with source.toml, notice.sql, company.sql and bid.sql (bidrec/sources/definition.py)

Made from bidrec/contract.py: as it is written, it reads files whose columns are named as the contract names them.
"""

from pathlib import Path

from bidrec.contract import TABLES, Table
from bidrec.storage.whole import whole_folder

_CLOCK = {"TIMESTAMPTZ": "TIMESTAMP"}
"""Clock times come without a zone, and are read in the source's."""


def write_own_source(folder: Path, zone: str) -> None:
    """Write the folder, replacing one that is there. Raises CannotWrite (73)."""
    with whole_folder(folder) as staging:
        (staging / "source.toml").write_text(_toml(zone), encoding="utf-8")
        for table in TABLES.values():
            (staging / f"{table.name}.sql").write_text(_select(table), encoding="utf-8")


def _toml(zone: str) -> str:
    lines = [
        "# Your tables: one block each, which the SQL beside this file sees as raw_<name>. `table` is the name of the",
        "# file (notices.csv or notices.parquet, or a folder of them) or of the database's table. Only the columns",
        "# named here are read, and each value is checked against its type. A TIMESTAMP is read on the zone's clock; a",
        "# time with an offset of its own (+09:00, timestamptz) is a TIMESTAMPTZ, without AT TIME ZONE in the SELECT.",
        f'zone = "{zone}" # IANA zone of the clock times in the tables',
    ]
    for table in TABLES.values():
        needed = [column for column in table.columns if column.needed]
        optional = [column for column in table.columns if not column.needed and not column.type.endswith("[]")]
        lines += ["", f"[raw.{table.name}]", f'table = "{table.name}"', f"[raw.{table.name}.columns]"]
        lines += [f'{column.name} = "{_CLOCK.get(column.type, column.type)}"' for column in needed]
        lines += [f"[raw.{table.name}.optional] # NULL where the table has no such column"]
        lines += [f'{column.name} = "{_CLOCK.get(column.type, column.type)}"' for column in optional]
    return "\n".join(lines) + "\n"


def _select(table: Table) -> str:
    columns = []
    for column in table.columns:
        if column.type == "TIMESTAMPTZ":
            columns.append(f"    {column.name} AT TIME ZONE getvariable('zone') AS {column.name}")
        elif not column.type.endswith("[]"):
            columns.append(f"    {column.name}")
    needed = ", ".join(table.needed)
    return (
        f"-- Give your columns these names: <yours> AS {table.columns[0].name}, and so on. Needed are {needed};\n"
        "-- take out what you do not have. Lists and every other column are in bidrec/contract.py.\n"
        "SELECT\n" + ",\n".join(columns) + f"\nFROM raw_{table.name}\n"
    )

"""What a source is: a folder with source.toml and three SELECTs.

    source.toml   zone, parameters, and the raw tables' columns that the SQL reads
    notice.sql    company.sql    bid.sql    DuckDB SQL over raw_notice, raw_company, raw_bid

The built-in ones lie beside this file; a user's own is a path to such a folder.
"""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from bidrec.contract import TABLES
from bidrec.errors import ConfigurationError, InputMissing, did_you_mean, nearest

BUILT_IN = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class RawTable:
    """One of somebody's tables: the view raw_<name> of the SQL."""

    name: str
    table: str
    """Name of the file (without its ending), the folder of files, or the PostgreSQL table."""
    columns: dict[str, str]
    """Column -> DuckDB type. Nothing else is read: names and telephone numbers of persons stay where they are."""
    optional: dict[str, str]
    """Columns that some copies of the table lack; NULL there."""
    since: tuple[str, ...] = ()
    """Times of a row (declared columns): one of them lies at or after the row's last change. Empty: it has none."""

    @property
    def all_columns(self) -> dict[str, str]:
        return {**self.columns, **self.optional}


@dataclass(frozen=True, kw_only=True)
class Definition:
    name: str
    zone: str
    """IANA zone of the raw tables' clock times."""
    parameters: dict[str, str]
    """Variables the SQL reads with getvariable('name'), with their defaults."""
    raw: tuple[RawTable, ...]
    sql: dict[str, str]
    """Canonical table -> SELECT."""
    together: str = ""
    """Column of several raw tables: if a row of one has changed, all rows with its value are read, of each of them."""

    @property
    def watermarked(self) -> bool:
        """Whether a database may be asked for the changed rows only."""
        return any(raw.since for raw in self.raw)


def load_definition(name: str) -> Definition:
    """Read the built-in source or the folder `name`.

    Raises InputMissing (66) without a name, ConfigurationError (64) where the folder is not a source.
    """
    folder = _folder(name)
    path = folder / "source.toml"
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
        sql = {table: (folder / f"{table}.sql").read_text(encoding="utf-8").strip().rstrip(";") for table in TABLES}
    except OSError as error:
        raise ConfigurationError(f"the source {name} has no {error.filename}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the source {name} cannot be read: {error}") from error
    return _definition(name, path, tree, sql)


def _folder(name: str) -> Path:
    built_in = sorted(file.parent.name for file in BUILT_IN.glob("*/source.toml"))
    if not name:
        raise InputMissing(
            "no source is configured",
            hint=f"set source.name to {', '.join(built_in)} or your own folder, or run bidrec demo",
        )
    if name in built_in:
        return BUILT_IN / name
    if Path(name).expanduser().is_dir():
        return Path(name).expanduser().resolve()
    raise ConfigurationError(
        f"source.name {name!r} is neither a built-in source ({', '.join(built_in)}) nor a folder",
        hint=did_you_mean(name, built_in),
    )


def _definition(name: str, path: Path, tree: dict[str, Any], sql: dict[str, str]) -> Definition:
    unknown = tree.keys() - {"description", "zone", "parameters", "together", "raw"}
    if unknown:
        raise ConfigurationError(f"{path}: unknown key {', '.join(sorted(unknown))}")
    try:
        zone = str(ZoneInfo(tree["zone"]))
        raw = tuple(_raw(table, entry) for table, entry in tree["raw"].items())
        together = str(tree.get("together", ""))
        if together and not any(together in table.columns for table in raw):
            raise ValueError(f"together: no raw table has a column {together}")
        parameters = {key: str(value) for key, value in tree.get("parameters", {}).items()}
    except ZoneInfoNotFoundError as error:
        raise ConfigurationError(f"{path}: zone {tree['zone']} is no IANA name such as Asia/Seoul") from error
    except KeyError as error:
        raise ConfigurationError(f"{path}: needs zone (an IANA name) and, in each [raw.<table>], columns") from error
    except (TypeError, ValueError, AttributeError, OSError) as error:
        raise ConfigurationError(f"{path}: {error}") from error
    return Definition(name=name, zone=zone, parameters=parameters, raw=raw, sql=sql, together=together)


def _raw(name: str, entry: dict[str, Any]) -> RawTable:
    unknown = entry.keys() - {"table", "columns", "optional", "since"}
    if unknown:
        raise ValueError(f"unknown key {', '.join(sorted(unknown))} in [raw.{name}]")
    if not re.fullmatch(r"\w+", name):
        raise ValueError(f"[raw.{name!r}]: letters, digits and _ only; `table` may be anything")
    for key, kind in (("columns", dict), ("optional", dict), ("table", str)):
        if key in entry and not isinstance(entry[key], kind):
            raise ValueError(
                f"[raw.{name}]: {key} must be {'a table' if kind is dict else 'a text'}, not {entry[key]!r}"
            )
    raw = RawTable(
        name=name,
        table=entry.get("table", name),
        columns=entry["columns"],
        optional=entry.get("optional", {}),
        since=tuple(entry.get("since", ())),
    )
    for column in raw.since:
        if column not in raw.all_columns:
            near = nearest(column, raw.all_columns)
            raise ValueError(
                f"since names {column}, which is no column of [raw.{name}]" + (f"; is it {near}?" if near else "")
            )
    return raw

"""Erasing companies and notices from what is published: their rows, and their places in the others' lists.

Reads   published/, the versions that are kept
Writes  a version like the current one without them, where that has any of the keys; deletes the versions that have

Not even as withdrawn do they stay: an online store that has them is to be emptied.
"""

import os
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import compute, parquet

from bidrec.config import Config
from bidrec.lake.erased import Keys, held_in
from bidrec.publishing.version import next_moment, published_folder, write_version
from bidrec.publishing.withdrawn import versions
from bidrec.sql.workspace import looking
from bidrec.storage.intact import require_intact
from bidrec.storage.locks import one_job_at_a_time
from bidrec.storage.whole import PARTIAL, sweep, writing

_OF_ITS_OWN = {"format", "kind", "files", "rows", "withdrawn", "run", "written_at"}
"""What write_version says of a version itself."""


def erase_from_published(config: Config, keys: Keys) -> list[str]:
    """Delete the versions that have any of the keys, and publish the current one without them; returns their names.

    Readers see the old one or the new one, which says the same of everybody else, and is newer. Raises ContractError
    (65) where one is damaged, CannotWrite (73), Interrupted (75) where a write-back is at work for longer than
    config.wait_seconds.
    """
    home, published = config.home_path, config.home_path / "published"
    with one_job_at_a_time(home, "published", config.wait_seconds), writing(published):
        sweep(published)
        with looking() as connection:
            held = [
                version
                for version in versions(published)
                if any(held_in(connection, file, keys) for file in version.glob("*.parquet"))
            ]
        if published_folder(home).resolve() in held:
            _publish_without(home, keys)
        for version in held:
            os.rename(version, published / f".{version.name}.erased{PARTIAL}")  # in one step it is no version any more
        sweep(published)
    return [version.name for version in held]


def _publish_without(home: Path, keys: Keys) -> None:
    folder = published_folder(home).resolve()
    facts = require_intact(folder)
    written_at = next_moment(facts)
    described = {name for name in facts["files"] if "written_at" not in parquet.read_schema(folder / name).names}

    def read(name: str) -> pa.Table:
        return without(parquet.read_table(folder / name), keys)

    def describe(staging: Path) -> None:
        for name in described:
            parquet.write_table(read(name), staging / name, compression="zstd")

    tables = {name: _written(read(f"{name}.parquet"), written_at) for name in facts["rows"]}
    own = {name: value for name, value in facts.items() if name not in _OF_ITS_OWN}
    own["open_notices"] = tables["notice_recommendations"].num_rows
    write_version(home, tables, describe, written_at=written_at, run=facts["run"], erased=keys, **own)


def without(table: pa.Table, keys: Keys) -> pa.Table:
    """A published table without the rows of the keys, and without them in the lists of ids; a list that goes along with
    the ids (scores, times) loses the same places."""
    for column, gone in keys.items():
        asked = pa.array(sorted(gone), pa.string())
        if column in table.column_names:
            table = table.filter(compute.invert(compute.is_in(table[column], asked)))
        if f"{column}s" in table.column_names:
            ids = table[f"{column}s"].combine_chunks()
            stays = compute.invert(compute.is_in(ids.flatten(), asked))
            for index, field in enumerate(table.schema):
                if pa.types.is_list(field.type):
                    table = table.set_column(index, field, _shortened(table[index].combine_chunks(), stays))
    return table


def _shortened(lists: pa.ListArray, stays: pa.BooleanArray) -> pa.ListArray:
    """stays: of each item of all lists, in order."""
    of_list = np.asarray(compute.list_parent_indices(lists).filter(stays))
    ends = np.cumsum(np.bincount(of_list, minlength=len(lists)))
    offsets = pa.array(np.concatenate([[0], ends]), pa.int32())
    return pa.ListArray.from_arrays(offsets, lists.flatten().filter(stays), type=lists.type)


def _written(table: pa.Table, written_at: datetime) -> pa.Table:
    """The same, written at another time: a materialize takes the newest row of a key."""
    column = table.schema.get_field_index("written_at")
    field = table.schema.field(column)
    moments = pa.repeat(pa.scalar(written_at, field.type), table.num_rows)
    return table.set_column(column, field, moments)

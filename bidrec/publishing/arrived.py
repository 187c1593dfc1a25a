"""A notice that arrived after the write-back: from its raw fields to the companies that may bid and fit it best.

Reads   published/current, the run it names (its fit and its weights), features/company_profile

The notice is read with the run's eyes: its vocabularies, scales and notice tower. The order is that of the towers'
cosine over all published companies; the second stage, which turns it into probabilities, comes with the write-back.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np

from bidrec.errors import InputMissing
from bidrec.features.arrived import write_arrived
from bidrec.features.schema import Field
from bidrec.publishing.layout import reading_features
from bidrec.publishing.newest import newest
from bidrec.runs.run import Run
from bidrec.sql.words import quoted
from bidrec.sql.workspace import looking
from bidrec.storage.intact import intact_tables
from bidrec.storage.sealed import read_json, read_manifest
from bidrec.training_set.arrays import Side, SideRows
from bidrec.training_set.encoders import encode, read_fit

if TYPE_CHECKING:
    from bidrec.model.two_tower import TwoTower


@dataclass(frozen=True)
class Arrived:
    """What it takes to embed a notice with the run that was published."""

    run: Run

    @classmethod
    def of(cls, home: Path, run_id: str) -> "Arrived":
        """Raises InputMissing (66) where the run is gone, ContractError (65) where another bidrec made it."""
        run = Run(home / "runs" / run_id)
        if not run.finished:
            raise InputMissing(
                f"the published run {run_id} is not in {home / 'runs'}",
                hint="run bidrec write-back, which takes the newest run",
            )
        run.require_this_code()
        return cls(run)

    @cached_property
    def _entry(self) -> dict[str, Any]:
        return read_json(self.run.training_set / "schema.json")

    @cached_property
    def model(self) -> "TwoTower":
        from bidrec.training.saved import load_model

        return load_model(self._entry, self.run.model)

    @cached_property
    def _fields(self) -> list[Field]:
        read = (read_manifest(self.run.training_set) or {})["fields"]["notice"]
        return [
            Field(name=name, dtype="", read=how, scale=scale, tags=tags) for name, (how, scale, tags) in read.items()
        ]

    def vector(self, notice: Mapping[str, Any]) -> tuple[np.ndarray, list[str] | None, list[str] | None]:
        """Canonical columns -> ((1, D) unit vector, regions it is limited to, licences it asks for).

        Raises ContractError (65) on what is no notice.
        """
        import torch

        from bidrec.training.resident import rows_of

        with duckdb.connect() as connection, tempfile.TemporaryDirectory(prefix="bidrec-") as folder:
            published_at = write_arrived(connection, notice, [field.name for field in self._fields])
            side = self._encoded(connection, Path(folder), int(published_at.timestamp()))
            limits = connection.execute("SELECT region_limit, licence_limit FROM notice").fetchall()[0]
            rows = rows_of(side, torch.device("cpu"))
            with torch.no_grad():
                row = rows.take(torch.zeros(1, dtype=torch.int64), int(published_at.timestamp()))
                vector_1D = self.model.published(self.model.notice(row))
        regions, licences = ([word for word in limit or [] if word is not None] or None for limit in limits)
        return vector_1D.numpy(), regions, licences

    def _encoded(self, connection: duckdb.DuckDBPyConnection, folder: Path, published_at: int) -> Side:
        there = {name for name, *_ in connection.execute("DESCRIBE notice").fetchall()}
        for field in self._fields:
            if field.name not in there:  # a source's own column that is not given
                kind = {"bag": "VARCHAR[]", "vector": "FLOAT[]"}.get(field.read, "VARCHAR")
                connection.execute(f"ALTER TABLE notice ADD COLUMN {quoted(field.name)} {kind}")
        fitted = read_fit(self.run.training_set / "notice", self._entry["notice"])
        encode(folder, SideRows(connection, "notice", np.array([published_at])), self._fields, fitted)
        return Side.open(folder, self._entry["notice"])


def may_bid(
    home: Path, as_of: datetime, company_ids: list[str], regions: list[str] | None, licences: list[str] | None
) -> np.ndarray:
    """(C,) bool: whose newest profile as of then (aware) meets the limits; a limit or a record that is not known
    shuts nobody out (the same rule as bidrec/ranking/eligibility.py). Raises ContractError (65) where the profiles are
    damaged."""
    if regions is None and licences is None:
        return np.ones(len(company_ids), bool)
    with reading_features(home), looking() as connection:
        barred = connection.execute(
            f"""
            SELECT company_id FROM ({newest("company_id", "region", "licences", files="profiles")})
            WHERE ($regions IS NOT NULL
                    AND NOT coalesce(list_contains($regions::VARCHAR[], nullif(trim(region), '')), true))
                OR ($licences IS NOT NULL AND NOT coalesce(list_has_any($licences::VARCHAR[], licences), true))
            """,
            {
                "profiles": intact_tables(home / "features", ("company_profile",))["company_profile"],
                "as_of": as_of,
                "regions": regions,
                "licences": licences,
            },
        ).fetchall()
    shut_out = {company_id for (company_id,) in barred}
    return np.array([company_id not in shut_out for company_id in company_ids], bool)

"""Where a run or a publication comes from and what it made: what OpenLineage's run event says, in a form of our own.

Reads   features/manifest.json and the parts of lake/ that the features are made of
Writes  the key `lineage` of runs/ID/manifest.json and of published/VERSION/manifest.json (docs/container.md says which
        of the event's facts stand elsewhere in those manifests)
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bidrec import config
from bidrec.lake.parts import PART
from bidrec.sources import load_definition
from bidrec.sql import postgres
from bidrec.storage.intact import intact_schema
from bidrec.storage.sealed import read_manifest


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def begun(settings: config.Config, job: str, started_at: str, parent: str | None = None) -> dict[str, Any]:
    """What is known once lake and features are up to date.

    job: the command's name. started_at: UTC. parent: the run whose weights are used, where there is one.
    """
    return {"job": job, "started_at": started_at, "parent": parent, "inputs": inputs(settings)}


def done(begun_: dict[str, Any], outputs: Iterable[str]) -> dict[str, Any]:
    """The whole of `lineage`. outputs: paths within the manifest's folder, or STORE:VIEW for a view online."""
    return {**begun_, "outputs": list(outputs)}


def inputs(settings: config.Config) -> dict[str, Any]:
    """The source, until when it was read, and of each canonical table the rows that came from it and their columns.

    The rows are those that the features hold: an ingest since then adds nothing. A row that was changed counts again.
    Raises ContractError (65) where the lake is damaged.
    """
    home, source = settings.home_path, settings.source
    lake, features = read_manifest(home / "lake") or {}, read_manifest(home / "features") or {}
    tables = {}
    for table, sums in features.get("parts", {}).items():
        parts = [part for part in lake.get("parts", {}).get(table, []) if part["sha256"] in sums]
        tables[table] = {
            "rows": sum(part["rows"] for part in parts),
            "columns": _columns(home / "lake", parts[-1]["file"]) if parts else {},
        }
    definition = load_definition(source.name)
    schema = "" if source.path else f"{source.schema}."
    return {
        "source": definition.name,
        "at": source.path or postgres.describe(source.url),
        "read": [f"{schema}{raw.table}" for raw in definition.raw],
        "read_until": features.get("known_until"),
        "tables": tables,
    }


def _columns(lake: Path, part: str) -> dict[str, str]:
    """Column -> Arrow type."""
    return {field.name: str(field.type) for field in intact_schema(lake, part) if field.name != PART}

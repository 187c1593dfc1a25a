"""What a home holds, in a form in which two homes can be compared: every box, row for row or by the sums of its files.

Where two runs differ by their nature it is left out: run ids, times of writing and what is named by them. A row that an
ingest brought late is known from the time of its reading; of the part that the struck job wrote, that time is left out.
"""

import hashlib
import json
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
from feast.protos.feast.core.Registry_pb2 import Registry as RegistryProto

from benchmarks.chaos_jobs import EXPORTED, TOWERS
from benchmarks.chaos_market import Market
from benchmarks.chaos_process import in_child
from bidrec.lake.parts import NO_NEWS
from bidrec.publishing.write_back import VIEWS
from bidrec.runs.found import all_runs
from bidrec.storage.intact import is_whole
from bidrec.storage.sealed import content_of, read_json, read_manifest
from bidrec.tuning.search import BOX

BY_NATURE = {"run", "parent", "version", "files", "started_at", "finished_at", "written_at"}
BY_NATURE |= {"seconds", "steps_per_second"}


def state_of(market: Market) -> dict[str, Any]:
    """Box -> what is in it."""
    return in_child(lambda: _state(market.home))


def differences(unbroken: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """One line for each box, or each file, that is not the same."""
    lines = []
    for box in sorted(unbroken.keys() | found.keys()):
        one, other = unbroken.get(box), found.get(box)
        if isinstance(one, dict) and isinstance(other, dict):
            changed = sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
            lines += [f"{box} {name}: {_said(other.get(name))}, not {_said(one.get(name))}" for name in changed]
        elif one != other:
            lines.append(f"{box}: {_said(other)}, not {_said(one)}")
    return lines


def _said(value: Any) -> str:
    return "nothing" if value is None else str(value)[:150]


def _state(home: Path) -> dict[str, Any]:
    boxes: dict[str, Callable[[], Any]] = {
        "lake": lambda: _lake(home / "lake"),
        "features": lambda: _features(home / "features"),
        "runs": lambda: _runs(home),
        "published": lambda: _published(home / "published"),
        "online": lambda: _online(home / "feast" / "online.db"),
        "registry": lambda: _registry(home / "feast" / "registry.db"),
        "exported": lambda: _exported(home.parent / EXPORTED),
        "towers": lambda: is_whole(home.parent / TOWERS),
        "tuning": lambda: _tuning(home / BOX),
        "files": lambda: _files(home),
    }
    return {name: _read(box) for name, box in boxes.items()}


def _read(box: Callable[[], Any]) -> Any:
    """What is in the box; of one that nobody can read, why."""
    try:
        return box()
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def _features(features: Path) -> str | None:
    manifest = read_manifest(features)
    return content_of(manifest) if manifest and is_whole(features) else None


def _lake(lake: Path) -> dict[str, Any]:
    manifest = read_manifest(lake) or {"parts": {}, "ingests": [], "tables": {}}
    read_at = {one["ingest"]: one["read_at"] for one in manifest["ingests"]}
    found: dict[str, Any] = {f"came {one['ingest']}": one["came"] for one in manifest["ingests"]}
    found |= {table: {**facts, "range": None} for table, facts in manifest["tables"].items()}
    for table, parts in manifest["parts"].items():
        for part in parts:
            rows = f"SELECT * FROM '{lake / part['file']}'"
            if part["part"] > 1 and table != "company":
                late = f"known_at >= '{read_at[part['part']]}'::TIMESTAMPTZ"
                rows = f"SELECT * REPLACE (CASE WHEN NOT ({late}) THEN known_at END AS known_at) FROM ({rows})"
            elif part["part"] > 1:
                rows = f"SELECT * EXCLUDE (known_at) FROM ({rows})"
            found[part["file"]] = _digest(rows)
    return found


def _runs(home: Path) -> dict[str, Any]:
    """Runs by their order, as their ids differ."""
    found: dict[str, Any] = {}
    for number, run in enumerate(all_runs(home)):
        boxes = {
            name: read_manifest(run.folder / name) for name in ("training_set", "validated", "model", "second_stage")
        }
        found[f"{number} finished"] = run.finished
        found |= {f"{number} {name}": content_of(facts) if facts else None for name, facts in boxes.items()}
        for name in ("metrics", "details", "importance", "model_card"):
            file = run.folder / f"{name}.json"
            found[f"{number} {name}"] = _hash(_without_nature(read_json(file))) if file.is_file() else None
        found[f"{number} page"] = run.page.is_file() and run.page.read_text(encoding="utf-8").endswith("</html>")
    return found


def _tuning(box: Path) -> dict[str, Any]:
    """The training sets, and the trials that ended: settings and value. How often one was begun is no difference."""
    found: dict[str, Any] = {
        folder.name: content_of(facts) if (facts := read_manifest(folder)) else None for folder in box.glob("sets/*")
    }
    if (box / "study.db").is_file():
        with closing(sqlite3.connect(box / "study.db")) as connection:
            found["trials"] = connection.execute(
                "SELECT param_name, param_value, value FROM trials JOIN trial_params USING (trial_id) "
                "JOIN trial_values USING (trial_id) WHERE state IN ('COMPLETE', 'PRUNED') ORDER BY 1"
            ).fetchall()
    return found


def _published(published: Path) -> dict[str, Any]:
    current = published / "current"
    if not current.is_symlink():
        return {}
    found: dict[str, Any] = {
        file.name: _digest(f"SELECT COLUMNS(name -> name <> 'written_at') FROM '{file}'")
        for file in current.glob("*.parquet")
    }
    facts = {**(read_manifest(current) or {}), "evaluation": None}
    found["facts"] = _hash(_without_nature(facts))
    found["whole"] = all(is_whole(version) for version in published.glob("2*"))
    return found


def _exported(path: Path) -> str | None:
    return _digest(f"SELECT * FROM '{path}'") if path.is_file() else None


def _online(path: Path) -> dict[str, Any]:
    """Table -> its rows; the times of what is published are times of writing."""
    if not path.is_file():
        return {}
    found = {}
    with closing(sqlite3.connect(path)) as connection:
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            view = table.removeprefix("bidrec_")
            times = "" if view in VIEWS else ", event_ts"
            rows = connection.execute(f"SELECT entity_key, feature_name, value{times} FROM {table} ORDER BY 1, 2")
            found[table] = hashlib.sha256(repr(rows.fetchall()).encode()).hexdigest()[:16]
        found["sound"] = connection.execute("PRAGMA integrity_check").fetchone()[0]
    return found


def _registry(path: Path) -> dict[str, Any]:
    """What is defined, and in which state each view is."""
    if not path.is_file():
        return {}
    registry = RegistryProto()
    registry.ParseFromString(path.read_bytes())
    found: dict[str, Any] = {}
    for kind in ("entities", "feature_views", "feature_services", "data_sources", "projects"):
        for one in getattr(registry, kind):
            spec = one.spec if hasattr(one, "spec") else one
            meta = getattr(one, "meta", None)
            state = getattr(meta, "state", None)
            _forget_times(spec)
            found[f"{kind} {spec.name}"] = (
                hashlib.sha256(spec.SerializeToString(deterministic=True)).hexdigest(),
                state,
            )
    found["infra"] = sorted(one.sqlite_table.name for one in registry.infra.infra_objects)
    return found


def _forget_times(message: Any) -> None:
    """Of a data source, wherever it is part of something: when it was made and changed."""
    for field, value in message.ListFields():
        if field.name == "meta":
            message.ClearField("meta")
        elif field.message_type and not field.message_type.GetOptions().map_entry:
            for one in [value] if hasattr(value, "ListFields") else value:
                _forget_times(one)


def _files(home: Path) -> dict[str, bool]:
    """Every file and folder there is, runs, versions and checkpoints under one name.

    Without the time of a reading that found nothing new, as that after an ingest that was killed at its end does.
    """
    paths = (path for path in home.rglob("*") if path.name != NO_NEWS)
    names = {str(path.relative_to(home)) for path in paths if "published/current/" not in str(path)}
    return {
        re.sub(r"\d{8}T\d{6,}Z-\w+", "ID", re.sub(r"checkpoints/\d+", "checkpoints/STEP", name)): True for name in names
    }


def _digest(rows: str) -> str:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'; SET threads = 1")
        return hashlib.sha256(repr(connection.execute(rows).fetchall()).encode()).hexdigest()[:16]


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _without_nature(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nature(one) for name, one in value.items() if name not in BY_NATURE}
    return [_without_nature(one) for one in value] if isinstance(value, list) else value

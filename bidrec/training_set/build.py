"""Features -> training set: pairs as of publication, everything fitted before the cutoff, audited before it counts.

Reads   features/, the schema (Feast's FeatureService)
Writes  runs/ID/training_set/, whole or not at all; the same inputs give the same bytes
"""

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bidrec.asof.spark import known_since_by_spark
from bidrec.config import Config
from bidrec.errors import ContractError, InputMissing
from bidrec.features.feature_store import joins_by_spark
from bidrec.features.schema import Schema
from bidrec.operations import log
from bidrec.operations.progress import Counted
from bidrec.sql.words import literal, quoted, types_of
from bidrec.storage.sealed import content_of, fingerprint, read_json, read_manifest, write_json, write_manifest
from bidrec.storage.whole import whole_folder
from bidrec.training_set import drift
from bidrec.training_set.arrays import SideRows
from bidrec.training_set.encoders import Fit, encode, fit, read_fit, write_fit
from bidrec.training_set.leak_audit import audit_training_set
from bidrec.training_set.limits import write_limits
from bidrec.training_set.pairs import KnownSince, Log, Pairs, pairs_of, read_log, read_publications
from bidrec.training_set.splits import Bounds, bounds_of, check_windows, day_of
from bidrec.training_set.tables import ROW, FeatureTables, open_tables, views_of
from bidrec.training_set.versions import Keys, Versions, versions_of

_logger = log.get("training_set")


@dataclass(frozen=True)
class _Keys:
    """Which rows there are and how they point at each other; no features yet."""

    published_at: npt.NDArray[np.int64]
    profile: Keys
    log: Log
    versions: Versions
    pairs: Pairs


def build_training_set(
    config: Config, schema: Schema, folder: Path, fitted: Path | None = None, as_of: int | None = None
) -> dict[str, Any]:
    """Write the training set of today's feature tables into `folder` and return its manifest.

    fitted: another training set whose vocabularies, scales, IDF and split are used instead of fitting anew: features
    that appeared after a run, read with the run's eyes. The newest rows up to `as_of` (epoch seconds UTC; None: the
    newest moment in the tables) are then held to the other set's training window.
    Raises InputMissing (66) where there are no features, ConfigurationError (64) where a window of the split is empty,
    ContractError (65) where tables and schema disagree, a field has shifted beyond the bounds of [drift], or the leak
    audit finds one, CannotWrite (73).
    """
    started = time.monotonic()
    with open_tables(config, schema) as tables, whole_folder(folder) as staging:
        keys = read_keys(tables, _answered_elsewhere(config, schema, tables))
        if fitted is None:
            bounds, windows, figures = _anew(config, schema, tables, keys, staging)
        else:
            bounds, windows = _read_split(fitted, schema), {}
            newest = max(int(times.max(initial=0)) for times in (keys.published_at, keys.versions.known_at))
            moment = newest if as_of is None else as_of
            figures = drift.hold_today(drift.tables_of(tables, schema), schema, config.drift, fitted, moment)
        _write_keys(tables, keys, staging)
        write_limits(tables, staging)
        fits = {name: one.as_dict() for name, one in _encode_sides(tables, keys, bounds, staging, fitted).items()}
        write_json(staging / "schema.json", fits | {"fitted": fitted is None})
        rows = _row_counts(tables, keys)
        facts = {
            "kind": "training_set",
            "split": bounds.as_dict(),
            "rows": rows,
            "windows": windows,
            "range": _ranges(keys),
            "vocabulary": {name: {of["name"]: of["size"] for of in fits[name]["attributes"]} for name in fits},
            "statistics": figures,
            "fields": fields_of(schema),
            "inputs": {"features": content_of(tables.manifest), "fields": fingerprint(fields_of(schema))},
        }
        audited = audit_training_set(staging, facts)
        manifest = write_manifest(staging, **facts, audit=audited)
    _logger.info("training set written", **rows, seconds=round(time.monotonic() - started, 1))
    return manifest


def _anew(
    config: Config, schema: Schema, tables: FeatureTables, keys: _Keys, staging: Path
) -> tuple[Bounds, dict[str, dict[str, int]], drift.Figures]:
    """The configured split of these features, what its windows hold, and every field's figures in them."""
    bounds = bounds_of(config.split, int(keys.log.known_at.max(initial=0)))
    windows = check_windows(bounds, keys.published_at, keys.pairs.notice, keys.pairs.known_at)
    return bounds, windows, _statistics(drift.tables_of(tables, schema), schema, config, bounds, staging)


def _answered_elsewhere(config: Config, schema: Schema, tables: FeatureTables) -> KnownSince | None:
    """Who says which version was known as of a publication, where it is not resolve.py on this machine."""
    if not joins_by_spark(config):
        return None
    companies = [view for side, view in views_of(schema).items() if side != "notice"]
    return partial(known_since_by_spark, config, tables.connection, companies)


def read_keys(tables: FeatureTables, known_since: KnownSince | None = None) -> _Keys:
    """Every row, version and pair from ids and times alone: no feature is read, let alone copied to a pair."""
    published_at = read_publications(tables)
    events = read_log(tables)
    profile = tables.company_and_time("profile")
    (lengths,) = tables.integers(f"SELECT {quoted(tables.position)} AS length FROM activity ORDER BY {ROW}")
    versions = versions_of(tables.company_and_time("activity"), profile, lengths, events.company)
    return _Keys(published_at, profile, events, versions, pairs_of(events, versions, published_at, known_since))


def _statistics(
    tables: list[drift.Table], schema: Schema, config: Config, bounds: Bounds, staging: Path
) -> drift.Figures:
    """Measure every field in the windows of the split, write the training window's bins, and hold the others to it."""
    started = time.monotonic()
    figures, training = drift.measure(tables, bounds.windows())
    write_json(staging / drift.STATISTICS, training)
    fields = sum(map(len, figures.values()))
    _logger.info("fields measured", fields=fields, seconds=round(time.monotonic() - started, 1))
    drift.hold(figures, training, schema, config.drift)
    return figures


def _encode_sides(
    tables: FeatureTables, keys: _Keys, bounds: Bounds, staging: Path, fitted: Path | None
) -> dict[str, Fit]:
    """Fit (or read the fit of) each side and write its arrays."""
    sides = {
        "notice": SideRows(tables.connection, "notice", keys.published_at),
        "profile": SideRows(tables.connection, "profile", keys.profile[1]),
        "version": SideRows(tables.connection, "activity", keys.versions.known_at, keys.versions.activity),
    }
    entries = read_json(fitted / "schema.json") if fitted else {}
    fits = {}
    for name, side in sides.items():
        fields = tables.fields[name]
        fits[name] = fit(side, fields, bounds.cutoff) if fitted is None else read_fit(fitted / name, entries[name])
        encode(staging / name, side, fields, fits[name], Counted(_logger, f"encoding {name}", len(side.known_at)))
        write_fit(staging / name, fits[name])
        _logger.info("encoded", side=name, rows=len(side.known_at), fields=len(fields))
    return fits


def _write_keys(tables: FeatureTables, keys: _Keys, staging: Path) -> None:
    versions, pairs, events = keys.versions, keys.pairs, keys.log
    columns: dict[str, npt.NDArray[np.integer]] = {
        "notice/published_at": keys.published_at,
        "profile/company": keys.profile[0].astype(np.int32),
        "profile/known_at": keys.profile[1],
        "version/company": versions.company,
        "version/known_at": versions.known_at,
        "version/profile": versions.profile,
        "version/log_begin": versions.log_begin,
        "version/log_end": versions.log_end,
        "log/company": events.company.astype(np.int32),
        "log/notice": events.notice.astype(np.int32),
        "log/known_at": events.known_at,
        "pairs/notice": pairs.notice,
        "pairs/company": pairs.company,
        "pairs/version": pairs.version,
        "pairs/known_at": pairs.known_at,
    }
    for name, values in columns.items():
        path = staging / f"{name}.npy"
        path.parent.mkdir(exist_ok=True)
        np.save(path, values, allow_pickle=False)
    (staging / "company").mkdir()
    closes_at = "closes_at" if "closes_at" in types_of(tables.connection, "notice") else "NULL"
    _copy_ids(
        tables,
        f"SELECT notice_id, published_at, {closes_at}::TIMESTAMPTZ AS closes_at FROM notice ORDER BY {ROW}",
        staging / "notice" / "ids.parquet",
    )
    _copy_ids(tables, "SELECT company_id FROM company ORDER BY company", staging / "company" / "ids.parquet")


def _copy_ids(tables: FeatureTables, rows: str, path: Path) -> None:
    tables.connection.execute(f"COPY ({rows}) TO {literal(str(path))} (FORMAT parquet, COMPRESSION zstd)")


def _row_counts(tables: FeatureTables, keys: _Keys) -> dict[str, int]:
    return {
        "notice": len(keys.published_at),
        "company": tables.connection.execute("SELECT count(*) FROM company").fetchall()[0][0],
        "profile": len(keys.profile[0]),
        "version": len(keys.versions.company),
        "log": len(keys.log.company),
        "pairs": len(keys.pairs.notice),
        "pairs_of_unknown_companies": int(np.count_nonzero(keys.pairs.version < 0)),
        "bids_public_at_publication": len(keys.log.company) - len(keys.pairs.notice),
    }


def _ranges(keys: _Keys) -> dict[str, list[str]]:
    """First and last UTC day of the times."""
    times = {
        "notice_published_at": keys.published_at,
        "profile_known_at": keys.profile[1],
        "bid_known_at": keys.log.known_at,
    }
    return {name: [day_of(int(t.min())), day_of(int(t.max()))] for name, t in times.items() if len(t)}


def fields_of(schema: Schema) -> dict[str, dict[str, list[Any]]]:
    """What is read and how, by side and field: all that the arrays depend on, no words and no paths."""
    words = ("unit", "meaning", "source")
    return {
        side: {
            f.name: [f.read, f.scale, {tag: value for tag, value in sorted(f.tags.items()) if tag not in words}]
            for f in view.fields
            if f.read != "ignore"
        }
        for side, view in views_of(schema).items()
    }


def _read_split(fitted: Path, schema: Schema) -> Bounds:
    """The split of another training set; ContractError where it was fitted on other fields than the schema's."""
    manifest = read_manifest(fitted)
    if manifest is None:
        raise InputMissing(f"no finished training set in {fitted}", hint="run: bidrec train")
    then, now = manifest["fields"], fields_of(schema)
    changed = [
        f"{side} {name}"
        for side in now
        for name in sorted(then[side].keys() | now[side].keys())
        if then[side].get(name) != now[side].get(name)
    ]
    if changed:
        raise ContractError(
            f"the feature service has changed since the run was trained: {', '.join(changed)}",
            hint="train again, or take the change back",
        )
    return Bounds(**manifest["split"])

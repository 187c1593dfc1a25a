"""What data went into a run: rows by table, what was refused and why, notices and bids by month and by region.

Reads   features/{notice,bid_log}, lake/manifest.json, quarantine/NNNNNN/manifest.json of the ingests it names
"""

from pathlib import Path
from typing import Any

from bidrec.config import Config
from bidrec.lake import quarantine
from bidrec.publishing.layout import reading_features
from bidrec.sql.words import dicts, literal
from bidrec.sql.workspace import workspace
from bidrec.storage.sealed import content_of, read_manifest

REGIONS = 20
"""Shown by name, the largest."""


def market(config: Config, training_set: dict[str, Any]) -> dict[str, Any]:
    """Counts of what was published, or opened, before the end of the test window.

    `changed`: whether the features of the home are others than the run was made from; `months`, `regions` are None
    where there are no features any more; `currencies`: of the notices' values.
    """
    home = config.home_path
    features = read_manifest(home / "features")
    then = training_set.get("inputs", {}).get("features")
    lake = read_manifest(home / "lake") or {}
    by_month, by_region = None, None
    currencies: list[str] = []
    files = feature_files(home, "notice", "bid_log")
    if files and training_set.get("split"):
        with reading_features(home):
            by_month, by_region, currencies = _counted(config, files, training_set["split"]["test_before"])
    return {
        "source": lake.get("source"),
        "zone": lake.get("zone"),
        "notes": [note for table in lake.get("tables", {}).values() for note in table.get("warnings", [])],
        "refused": _refused(quarantine.folders_of(home, lake)),
        "changed": features is not None and then is not None and content_of(features) != then,
        "months": by_month,
        "regions": by_region,
        "currencies": currencies,
    }


def feature_files(home: Path, *tables: str) -> dict[str, str] | None:
    """Table -> the pattern of its files; None where the home does not have them all."""
    folders = {name: home / "features" / name for name in tables}
    if not all(any(folder.glob("*.parquet")) for folder in folders.values()):
        return None
    return {name: str(folder / "*.parquet") for name, folder in folders.items()}


def _refused(folders: list[Path]) -> dict[str, dict[str, Any]]:
    """Of each table, over the lake's ingests: rows `given`, `quarantined`, and how many for each of the `reasons`."""
    total: dict[str, dict[str, Any]] = {}
    for folder in folders:
        for name, table in (read_manifest(folder) or {}).get("tables", {}).items():
            sums = total.setdefault(name, {"given": 0, "quarantined": 0, "reasons": {}})
            sums["given"] += table["given"]
            sums["quarantined"] += table["quarantined"]
            for reason, number in table["reasons"].items():
                sums["reasons"][reason] = sums["reasons"].get(reason, 0) + number
    return total


def _counted(
    config: Config, files: dict[str, str], before: int
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[str]]:
    """By month of publication or opening (UTC), ascending; by the notice's region, the largest first; and the
    currencies of the notices' values."""
    with workspace(config, "market") as (connection, _):
        for name, time in (("notice", "published_at"), ("bid_log", "known_at")):
            connection.execute(
                f"CREATE TEMP VIEW {name} AS SELECT * FROM read_parquet({literal(files[name])}) "
                f"WHERE {time} < make_timestamptz({before * 1_000_000})"
            )
        months = connection.execute(
            """SELECT strftime(month, '%Y-%m') AS month, sum(notices)::BIGINT AS notices, sum(bids)::BIGINT AS bids
               FROM (
                 SELECT date_trunc('month', published_at) AS month, 1 AS notices, 0 AS bids FROM notice UNION ALL
                 SELECT date_trunc('month', known_at), 0, 1 FROM bid_log)
               GROUP BY month ORDER BY month"""
        )
        by_month = dicts(months)
        regions = connection.execute(
            """WITH drew AS (SELECT notice_id, count(*) AS bids FROM bid_log GROUP BY notice_id)
               SELECT coalesce(region, 'unknown') AS region, count(*) AS notices, coalesce(sum(bids), 0)::BIGINT AS bids
               FROM notice LEFT JOIN drew USING (notice_id) GROUP BY 1 ORDER BY notices DESC, region"""
        )
        by_region = dicts(regions)
        found = connection.execute("SELECT DISTINCT currency FROM notice WHERE currency IS NOT NULL ORDER BY currency")
        currencies = [currency for (currency,) in found.fetchall()]
    rest = by_region[REGIONS:]
    if len(rest) > 1:
        others = {"region": f"{len(rest)} others"} | {key: sum(row[key] for row in rest) for key in ("notices", "bids")}
        by_region = [*by_region[:REGIONS], others]
    return by_month, by_region, currencies

"""The metrics of the lake, of every job that brings it up to date first: ingest, train, write-back."""

from bidrec.config import Config
from bidrec.reporting.prometheus import Gauge, of_lake


def lake_gauges(config: Config) -> list[Gauge]:
    """Of the lake as the job leaves it."""
    from bidrec.lake.parts import newest_reading
    from bidrec.storage.sealed import read_manifest

    lake = read_manifest(config.home_path / "lake")
    return of_lake(lake, newest_reading(config.home_path, lake)) if lake else []

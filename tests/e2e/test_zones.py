"""The zone of the machine's clock is nobody's: in another one every box, range and answer is the same."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bidrec.config import Config, Source, Split
from bidrec.features.build import build_features
from bidrec.features.registry import apply, open_store
from bidrec.features.schema import read_schema
from bidrec.lake.ingest import ingest
from bidrec.simulator import simulate
from bidrec.storage.sealed import content_of
from bidrec.training_set.build import build_training_set
from tests.e2e.markets import END

ROOT = Path(__file__).parents[2]
ANOTHER = "UTC" if time.localtime().tm_gmtoff else "Asia/Kolkata"
TOLD = "import json, sys; from tests.e2e.test_zones import told; print(json.dumps(told(*sys.argv[1:])))"


def told(home: str, source: str) -> dict[str, Any]:
    """What the boxes of a market hold and say, and what was known of bidders at a time that is given without a zone."""
    config = Config(home=home, source=Source(name="koneps", path=source), split=Split(test_days=30, validation_days=30))
    made = {"lake": ingest(config), "features": build_features(config)}
    apply(config)
    made["set"] = build_training_set(config, read_schema(config), config.home_path / "set")
    rows = (
        "SELECT row_number() OVER (ORDER BY company_id, notice_id) AS place, company_id, "
        f"known_at AT TIME ZONE 'UTC' AS event_timestamp FROM '{home}/features/bid_log/*.parquet'"
    )
    found = open_store(config).get_historical_features(rows, ["company_activity:bids_all"]).to_arrow().sort_by("place")
    return {
        "content": {name: content_of(manifest) for name, manifest in made.items()},
        "ranges": [table["range"] for name in ("lake", "features") for table in made[name]["tables"].values()],
        "windows": [made["set"]["split"], made["set"]["range"], made["set"]["windows"]],
        "bids_all": found["bids_all"].to_pylist(),
    }


def test_a_machine_in_another_zone_makes_the_same_bytes_and_gives_the_same_answers(tmp_path: Path) -> None:
    simulate(tmp_path / "source", notices=400, companies=80, bids=2000, days=200, end=END, seed=3)
    here = told(str(tmp_path / "here"), str(tmp_path / "source"))
    command = [sys.executable, "-c", TOLD, str(tmp_path / "there"), str(tmp_path / "source")]
    there = subprocess.run(command, cwd=ROOT, env={**os.environ, "TZ": ANOTHER}, stdout=subprocess.PIPE, check=True)
    assert json.loads(there.stdout.splitlines()[-1]) == here
    assert min(here["bids_all"]) == 1

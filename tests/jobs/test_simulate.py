"""bidrec simulate: the command writes a folder that the koneps source reads without a bad row."""

import json
from pathlib import Path

from click.testing import CliRunner

from bidrec.config import Config, Source
from bidrec.lake.ingest import ingest
from jobs.cli import main

SIZES = [
    "--notices",
    "4_00",
    "--companies",
    "100",
    "--bids",
    "2_500",
    "--days",
    "200",
    "--seed",
    "11",
    "--end",
    "2024-03-31",
]


def test_the_simulated_dumps_pass_the_contract_without_a_bad_row(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["simulate", *SIZES, "--out", str(tmp_path / "market"), "--json"])
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout.splitlines()[-1])
    assert told["rows"]["notice"] == 400
    assert (told["days"], told["seed"], told["end"]) == (200, 11, "2024-03-31T00:00:00")
    source = Source(name="koneps", path=str(tmp_path / "market"))
    lake = ingest(Config(source=source, home=str(tmp_path / "home")))
    assert {name: table["rows"] for name, table in lake["tables"].items()} == told["rows"]
    assert [table["reasons"] for table in lake["tables"].values()] == [{}, {}, {}]


def test_numbers_that_make_no_market_exit_64(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["simulate", "--companies", "0", "--out", str(tmp_path / "market")])
    assert result.exit_code == 64
    assert "companies 0" in result.stderr
    assert list(tmp_path.iterdir()) == []

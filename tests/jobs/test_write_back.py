import json

from click.testing import CliRunner

from bidrec.runs.run import Run
from bidrec.storage.sealed import write_json
from jobs.cli import main


def test_where_backtests_alone_have_runs_that_is_said_before_anything_is_made(home, tmp_path):
    run = Run(home / "runs" / "20250101T000000Z-aaaaaa")
    write_json(run.folder / "config.json", {"config": {}, "backtest": True})
    run.finish()
    (tmp_path / "bidrec.toml").write_text(f'[source]\nname = "koneps"\npath = {json.dumps(str(tmp_path))}\n')
    refused = CliRunner().invoke(main, ["write-back", "--config", str(tmp_path / "bidrec.toml")])
    assert refused.exit_code == 66
    assert "are of backtests" in refused.stderr
    assert "--run ID" in refused.stderr
    assert not (home / "lake").exists()
    unknown = CliRunner().invoke(main, ["write-back", "--run", "x", "--config", str(tmp_path / "bidrec.toml")])
    assert (unknown.exit_code, "no finished run x" in unknown.stderr) == (66, True)

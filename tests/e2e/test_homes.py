"""A home may lie at any path: with spaces, quotes, Korean, emoji, or `..`; what no reader could take is refused."""

import json
import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from bidrec.config import Config
from jobs.cli import main

ODD = ["with space 'and' \"quotes\"; --", "나라장터 💥 é", "100% & $HOME {y}", "up/../and down"]


@pytest.mark.parametrize("name", ODD)
def test_the_jobs_work_in_a_home_of_any_name(copy: Config, tmp_path: Path, name: str) -> None:
    """Read again and in part, publish, bring online, recommend, list, with a configuration file that lies there too."""
    (tmp_path / "up").mkdir()
    home = tmp_path / name
    shutil.move(copy.home_path, home.resolve())
    (home / "bidrec.toml").write_text(
        f"home = {json.dumps(str(home), ensure_ascii=False)}\n[source]\nname = 'koneps'\n"
        f"path = {json.dumps(f'{home}/source', ensure_ascii=False)}\n[publish]\nmargin = 1.0\n",
        encoding="utf-8",
    )
    for command in (["ingest", "--force"], ["write-back"], ["runs"], ["recommend", "--company", _company(home)]):
        done = CliRunner().invoke(main, [*command, "--json", "--config", str(home / "bidrec.toml")])
        assert done.exit_code == 0, done.stderr[-2000:]
        assert json.loads(done.stdout)
    assert sorted(os.listdir(tmp_path)) == sorted({Path(name).parts[0], "up", Path(name).parts[-1]})


@pytest.mark.parametrize("name", ["a*", "wh?t", "[1-2]", "no #1"])
def test_a_path_that_readers_of_files_would_take_for_a_pattern_is_refused(tmp_path: Path, name: str) -> None:
    for key, path in (("home", tmp_path / name), ("source.path", tmp_path / f"*{name}" / "tables")):
        (tmp_path / "bidrec.toml").write_text(f"{key} = '{path}'\n")
        done = CliRunner().invoke(main, ["runs", "--config", str(tmp_path / "bidrec.toml")])
        assert done.exit_code == 64
        assert f"{key} may not hold" in done.stderr


def _company(home: Path) -> str:
    import duckdb

    listed = home / "published" / "current" / "company_recommendations.parquet"
    (row,) = duckdb.execute("SELECT company_id FROM read_parquet(?) ORDER BY 1 LIMIT 1", [str(listed)]).fetchall()
    return row[0]

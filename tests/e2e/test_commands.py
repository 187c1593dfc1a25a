"""What the commands make of a run: the one that is named or none, a measurement once more, a training by force."""

import json
from typing import Any

import pytest
from click.testing import CliRunner

from bidrec.config import Config
from bidrec.config.files import load
from bidrec.publishing.recommend import Published
from bidrec.runs.found import find
from bidrec.storage.sealed import write_json
from jobs.cli import main
from jobs.demo import _result
from tests.e2e.markets import write_toml
from tests.e2e.test_using import documented


def call(config: Config, *words: str) -> dict[str, Any]:
    """What the command prints as JSON."""
    done = CliRunner().invoke(main, [*words, "--json", "--config", str(write_toml(config))])
    assert done.exit_code == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    "words", [["evaluate", "--run"], ["features", "--run"], ["export-towers", "--to", "towers", "--run"]], ids=" ".join
)
def test_a_run_that_is_named_and_not_there_is_missing_input_and_no_other_is_taken(
    words: list[str], config: Config, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    refused = CliRunner().invoke(main, [*words, "nothing"], env={"BIDREC_HOME": config.home})
    assert (refused.exit_code, refused.stdout) == (66, "")
    assert "error: no finished run nothing" in refused.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_file_of_a_configuration_says_what_the_configuration_says(copy: Config) -> None:
    assert load(write_toml(copy)).as_dict() == copy.as_dict()


def test_a_run_that_is_measured_again_has_the_figures_it_had_and_what_it_lacked(copy: Config) -> None:
    run = find(copy.home_path)
    before = run.metrics()
    (run.folder / "details.json").unlink()
    write_json(run.folder / "metrics.json", before | {"metrics": {}, "segments": None})
    printed = call(copy, "evaluate", "--run", run.id)
    assert printed.keys() - {"schema_version", "command"} == before.keys()
    assert printed["run"] == run.id
    for mode, rankers in before["metrics"].items():
        for ranker, row in rankers.items():
            assert printed["metrics"][mode][ranker]["recall@100"] == pytest.approx(row["recall@100"])
    assert run.metrics()["metrics"] == printed["metrics"]
    assert (run.folder / "details.json").is_file()


def test_the_demo_prints_what_is_documented(config: Config) -> None:
    run = find(config.home_path)
    result = _result(config.home_path, run.metrics(), run, Published(config.home_path), own_home=False)
    assert set(result.data) == documented()["demo"]
    notice = result.data["notice"]["notice_id"]
    assert result.data["companies"] == Published(config.home_path).companies_for(notice, 10)[1]

import time
from contextlib import ExitStack

import pytest
from click.testing import CliRunner

from bidrec.config import Config
from bidrec.errors import Interrupted
from bidrec.publishing.write_back import write_back
from bidrec.runs import recipe
from bidrec.runs.run import Run
from bidrec.storage.locks import one_job_at_a_time
from bidrec.storage.sealed import write_json
from jobs.cli import main
from tests.publishing.versions import publish


@pytest.fixture
def toml(tmp_path):
    """A configuration with a source: none of these jobs gets so far as to read it."""
    file = tmp_path / "bidrec.toml"
    file.write_text('wait_seconds = 600\n[source]\nname = "koneps"\npath = "nowhere"\n')
    return str(file)


@pytest.mark.parametrize(("job", "box"), [("ingest", "ingest"), ("train", "train"), ("write-back", "ingest")])
def test_a_second_job_waits_as_long_as_it_is_told_and_ends_with_75(home, toml, job, box):
    run = Run(home / "runs" / "20250101T000000Z-aaaaaa")  # without one, write-back need not wait
    write_json(run.folder / "config.json", {"config": {}, "recipe": recipe.now()})
    run.finish()
    started = time.monotonic()
    with one_job_at_a_time(home, box, 0):
        outcome = CliRunner().invoke(main, [job, "--config", toml, "--wait", "0.5"])
    assert outcome.exit_code == 75
    assert f"error: another {box} job is at work in {home}: process " in outcome.stderr
    assert "hint: run it again when that has ended" in outcome.stderr
    assert outcome.stdout == ""
    assert time.monotonic() - started >= 0.5
    assert not (home / "lake").exists()


def test_two_write_backs_never_publish_at_once(home):
    config = Config(home=str(home), wait_seconds=0)
    with one_job_at_a_time(home, "published", 0), pytest.raises(Interrupted, match="another published job"):
        write_back(config, None, Run(home / "runs" / "none"))


def test_a_reader_waits_for_no_job(home):
    publish(home, ["apex", "bharat"], ["road", "bridge"])
    with ExitStack() as jobs:
        for box in ("ingest", "features", "feast", "train", "published"):
            jobs.enter_context(one_job_at_a_time(home, box, 0))
        read = CliRunner().invoke(main, ["recommend", "--notice", "road", "--json", "--wait", "0"])
        lists = ["--direction", "notice", "--format", "csv", "--to", str(home / "lists.csv")]
        exported = CliRunner().invoke(main, ["recommend", "--all", *lists, "--wait", "0"])
    assert read.exit_code == 0, read.stderr
    assert exported.exit_code == 0, exported.stderr


def test_no_time_to_wait_is_below_zero(home, toml):
    outcome = CliRunner().invoke(main, ["ingest", "--config", toml, "--wait", "-1"])
    assert outcome.exit_code == 2

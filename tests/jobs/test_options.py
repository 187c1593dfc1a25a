import errno
import json
import os
import socket
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing
from datetime import date
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner
from click.testing import Result as Outcome
from rich.table import Table

from bidrec import errors
from bidrec.config import Config
from bidrec.operations import log
from jobs import options
from jobs.options import command, require_source
from jobs.output import SCHEMA_VERSION, Result

KINDS = errors.BidrecError.__subclasses__()


def call(body, *arguments: str) -> Outcome:
    """Run `body(config)` as a command."""

    @command
    def work(config: Config) -> Result:
        return body(config)

    return CliRunner().invoke(work, list(arguments))


def raising(error: BaseException):
    def body(config: Config) -> Result:
        raise error

    return body


def said(outcome: Outcome) -> list[str]:
    """What stderr says to people: all lines but the log's."""
    return [line for line in outcome.stderr.splitlines() if not line.startswith("{")]


FRAME = {"schema_version": SCHEMA_VERSION, "command": "work"}
"""What every object begins with."""


# --- results -----------------------------------------------------------------


def test_without_json_the_text_is_printed_and_nothing_else():
    outcome = call(lambda config: Result({"rows": 3}, "3 rows"))
    assert (outcome.exit_code, outcome.stdout) == (0, "3 rows\n")


def test_with_json_stdout_is_one_line_with_one_object():
    data = {"recall": np.float32(0.5), "day": date(2024, 5, 1), "path": Path("a"), "nothing": float("nan"), "이름": [1]}
    outcome = call(lambda config: Result(data, "text"), "--json")
    assert outcome.stdout.count("\n") == 1
    assert json.loads(outcome.stdout) == FRAME | {
        "recall": 0.5,
        "day": "2024-05-01",
        "path": "a",
        "nothing": None,
        "이름": [1],
    }
    assert "이름" in outcome.stdout


def test_a_table_is_printed_as_one():
    table = Table("notice", "company")
    table.add_row("도로 보수", "길동건설")
    assert "길동건설" in call(lambda config: Result({}, table)).stdout


def test_a_command_that_found_something_wrong_prints_it_and_exits_with_its_code():
    outcome = call(lambda config: Result({"ok": False}, "not good", exit_code=78), "--json")
    assert (outcome.exit_code, json.loads(outcome.stdout)) == (78, {**FRAME, "ok": False})


def test_what_libraries_and_children_print_to_stdout_goes_to_stderr(capfd):
    def noisy(config: Config) -> Result:
        print("from python")
        subprocess.run(["echo", "from a child"], check=True)
        return Result(text="result")

    with pytest.raises(SystemExit) as exited:
        command(noisy)([])
    out, err = capfd.readouterr()
    assert exited.value.code == 0
    assert out == "result\n"
    assert "from python" in err
    assert "from a child" in err


def test_the_end_is_logged_with_time_and_memory():
    entry = json.loads(call(lambda config: Result()).stderr.splitlines()[-1])
    assert entry["event"] == "finished"
    assert entry["job"] == "work"
    assert entry["exit_code"] == 0
    assert entry["seconds"] >= 0
    assert entry["peak_rss_mb"] > 1


@pytest.mark.parametrize(
    ("given", "seen"), [({}, "PASSIVE 3"), ({"WAIT_POLICY": "ACTIVE", "NUM_THREADS": "7"}, "ACTIVE 7")]
)
def test_threads_do_not_spin_and_are_as_many_as_the_container_may_use_unless_the_environment_says_otherwise(
    monkeypatch, given, seen
):
    for name in ("OMP_WAIT_POLICY", "OMP_NUM_THREADS"):
        monkeypatch.setenv(name, "")  # so that what the command sets is taken back
        monkeypatch.delenv(name)
    for name, value in given.items():
        monkeypatch.setenv(f"OMP_{name}", value)
    monkeypatch.setattr(options.machine, "cpu_limit", lambda: 3)
    monkeypatch.setattr(options.machine, "cores", lambda: 3)
    shown = call(lambda config: Result(text=f"{os.environ['OMP_WAIT_POLICY']} {os.environ['OMP_NUM_THREADS']}"))
    assert shown.stdout == f"{seen}\n"


# --- errors ------------------------------------------------------------------


def test_the_log_says_of_a_job_that_failed_why_for_who_reads_nothing_but_json_lines():
    outcome = call(raising(errors.ContractError("no\nbids of postgresql://u:secret@h/d", hint="look\nagain")))
    entry = json.loads(outcome.stderr.splitlines()[-1])
    assert (entry["event"], entry["exit_code"], entry["level"]) == ("finished", 65, "error")
    assert (entry["error"], entry["hint"]) == ("no bids of postgresql://u:***@h/d", "look again")


@pytest.mark.parametrize("arguments", [[], ["--no-such-option"]], ids=["error", "wrong usage"])
def test_each_line_of_the_log_names_the_market_where_the_environment_does(monkeypatch, arguments):
    monkeypatch.setenv("BIDREC_MARKET", "오디샤")
    outcome = call(raising(errors.ContractError("a column is missing")), *arguments)
    assert [json.loads(line)["market"] for line in outcome.stderr.splitlines() if line.startswith("{")] == ["오디샤"]


def test_wrong_usage_is_an_end_that_is_logged_too():
    outcome = call(lambda config: Result(), "--no-such-option")
    assert outcome.exit_code == 2
    (line,) = (line for line in outcome.stderr.splitlines() if line.startswith("{"))
    entry = json.loads(line)
    assert (entry["job"], entry["exit_code"]) == ("work", 2)
    assert "--no-such-option" in entry["error"]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_each_error_is_one_line_a_hint_and_its_code(kind):
    outcome = call(raising(kind("no\nbids", hint="look\nagain")), "--json")
    assert outcome.exit_code == kind.exit_code
    assert said(outcome) == ["error: no bids", "hint: look again"]
    assert outcome.stdout == ""


def test_a_message_that_quotes_a_whole_document_is_said_by_its_beginning_and_its_end():
    (line,) = said(call(raising(errors.ContractError(f"begins {'x' * 10_000} ends"))))
    assert line.startswith("error: begins xxx")
    assert line.endswith("xxx ends")
    assert " ... " in line
    assert len(line) < 1000


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_a_refusal_of_the_system_is_cannot_write(code):
    outcome = call(raising(OSError(code, os.strerror(code), "/data/lake")))
    assert outcome.exit_code == 73
    assert "/data/lake" in said(outcome)[0]


def test_a_full_disk_met_by_duckdb_is_cannot_write():
    import duckdb

    outcome = call(raising(duckdb.IOException("IO Error: Could not write file '/data/x': No space left on device")))
    assert outcome.exit_code == 73


def test_duckdb_really_names_the_systems_reason(tmp_path):
    import duckdb

    (tmp_path / "file").touch()
    with pytest.raises(duckdb.IOException, match=os.strerror(errno.ENOTDIR)):
        duckdb.sql(f"COPY (SELECT 1) TO '{tmp_path}/file/x.parquet'")


def test_a_memory_limit_that_is_too_small_is_a_matter_of_configuration():
    def body(config: Config) -> Result:
        import duckdb

        settings = {"memory_limit": "1MB", "temp_directory": ""}
        duckdb.connect(config=settings).execute("SELECT list(range) FROM range(10_000_000)").fetchall()
        raise AssertionError("fitted")

    outcome = call(body)
    assert outcome.exit_code == 64
    assert said(outcome)[1] == "hint: raise memory_limit"


@pytest.mark.parametrize("client", ["redis", "sqlalchemy"])
def test_a_store_that_does_not_answer_is_a_dependency_that_is_not_there(client):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"

    def body(config: Config) -> Result:
        if client == "redis":
            import redis

            redis.Redis.from_url(f"redis://:s3cret@{address}").ping()
        import sqlalchemy

        sqlalchemy.create_engine(f"postgresql+psycopg://bidrec:s3cret@{address}/bidrec").connect()
        raise AssertionError("answered")

    outcome = call(body)
    assert outcome.exit_code == 69
    assert address.split(":")[1] in said(outcome)[0]
    assert said(outcome)[1].startswith("hint: see to the server")
    assert "s3cret" not in outcome.stderr


def test_an_online_store_that_somebody_else_writes_is_tried_again_later(tmp_path):
    def body(config: Config) -> Result:
        sqlite3.connect(tmp_path / "online.db", timeout=0).execute("CREATE TABLE rows (value)")
        raise AssertionError("written")

    with closing(sqlite3.connect(tmp_path / "online.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        outcome = call(body)
    assert outcome.exit_code == 75
    assert "database is locked" in said(outcome)[0]


def test_a_library_that_exits_does_not_choose_the_exit_code():
    assert call(raising(SystemExit(1))).exit_code == 70


def test_any_other_error_is_a_bug_on_one_line():
    outcome = call(raising(KeyError("notice_id")))
    assert outcome.exit_code == 70
    assert said(outcome)[0] == "error: this is a bug in bidrec: KeyError: 'notice_id'"
    assert "Traceback" not in outcome.stderr


def test_verbose_shows_where_a_bug_came_from():
    outcome = call(raising(KeyError("notice_id")), "-v")
    assert outcome.exit_code == 70
    assert "Traceback" in outcome.stderr
    assert "in body" in outcome.stderr
    assert outcome.stdout == ""


def test_a_password_in_an_address_is_never_shown():
    error = errors.DependencyDown("no answer from postgresql://reader:s3cret@db:5432/koneps")
    for arguments in ([], ["-v"]):
        outcome = call(raising(error), *arguments)
        assert "s3cret" not in outcome.stderr
        assert "postgresql://reader:***@db:5432/koneps" in outcome.stderr


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("API request to http://kim:s3cret@mlflow:5000/api failed", "http://kim:***@mlflow:5000/api failed"),
        ("no answer from redis://:an@s3cret@cache:6379", "redis://:***@cache:6379"),
        ("cannot reach cache:6379,password=s3cret,db=1", "cache:6379,password=***,db=1"),
        ("no postgresql://db:5432/koneps?password=an@s3cret&sslmode=no", "db:5432/koneps?password=***&sslmode=no"),
        ("no postgresql://kim:me@db/koneps?sslpassword=s3cret", "//kim:***@db/koneps?sslpassword=***"),
        ("in host=db PassWord='an s3cret' port=1", "host=db PassWord=*** port=1"),
        ("online_store:\n  password: an s3cret\n  port: 1", "  password: ***\\n  port: 1"),
        ("  password: 'an''s3cret'\n  port: 1", "  password: ***\\n  port: 1"),
        ('{"password": "an\\"s3cret", "port": 1}', '{\\"password\\": ***, \\"port\\": 1}'),
    ],
)
def test_a_password_in_what_a_library_says_is_not_logged(said, shown):
    def body(config: Config) -> Result:
        log.get("tracking").warning("took nothing", error=said)
        return Result()

    outcome = call(body)
    assert "s3cret" not in outcome.stderr
    assert shown in outcome.stderr


def test_a_wrong_combination_of_options_is_a_usage_error():
    outcome = call(raising(click.UsageError("either --notice or --company")))
    assert outcome.exit_code == 2
    assert "either --notice or --company" in outcome.stderr


def test_no_source_is_missing_input_with_a_way_out():
    outcome = call(lambda config: require_source(config) or Result())
    assert outcome.exit_code == 66
    assert said(outcome) == [
        "error: no source is configured",
        "hint: bidrec init writes a configuration that names one; bidrec demo invents tables",
    ]


# --- configuration -----------------------------------------------------------


def test_a_wrong_configuration_stops_the_command_before_it_starts(tmp_path):
    (tmp_path / "bidrec.toml").write_text("[training]\nepoch = 1")
    outcome = call(raising(AssertionError("started")), "--config", str(tmp_path / "bidrec.toml"))
    assert outcome.exit_code == 64
    assert "did you mean training.epochs?" in said(outcome)[0]


def test_a_configuration_that_is_not_there_is_missing_input(tmp_path):
    assert call(lambda config: Result(), "--config", str(tmp_path / "none.toml")).exit_code == 66


def test_the_first_configuration_named_is_read(tmp_path, monkeypatch):
    """--config, then BIDREC_CONFIG, then the first of the usual places that is there."""
    for name in ("usual", "environment", "option"):
        (tmp_path / name).write_text(f'home = "{name}"')
    show = lambda config: Result(text=config.home)  # noqa: E731
    monkeypatch.setattr(options, "CONFIG_PLACES", (tmp_path / "absent", tmp_path / "usual"))
    assert call(show).stdout == "usual\n"
    monkeypatch.setenv("BIDREC_CONFIG", str(tmp_path / "environment"))
    assert call(show).stdout == "environment\n"
    assert call(show, "--config", str(tmp_path / "option")).stdout == "option\n"


def test_an_option_named_like_a_key_overrides_the_configuration_and_is_not_passed_on():
    @command
    @click.option("--train-before", "split__train_before")
    @click.option("--force", is_flag=True)
    def train(config: Config, force: bool) -> Result:
        return Result(text=f"{config.split.train_before} {force}")

    assert CliRunner().invoke(train, []).stdout == "None False\n"
    assert CliRunner().invoke(train, ["--train-before", "2024-05-01", "--force"]).stdout == "2024-05-01 True\n"
    assert CliRunner().invoke(train, ["--train-before", "soon"]).exit_code == 64


# --- a closed stdout ---------------------------------------------------------


@pytest.mark.parametrize("arguments", ["", "'--json'"])
def test_a_reader_that_went_away_is_no_error(arguments):
    script = f"""
        from jobs.options import command
        from jobs.output import SCHEMA_VERSION, Result
        @command
        def work(config):
            return Result({{"rows": "x" * 200_000}}, "x" * 200_000)
        work([{arguments}])
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    process.stdout.close()
    err = process.stderr.read()
    assert process.wait() == 0
    assert [line for line in err.splitlines() if not line.startswith("{")] == []


def test_a_closed_stdout_is_no_error():
    script = "from jobs.cli import main; main(['doctor', '--help'])"
    done = subprocess.run(["sh", "-c", f'exec "$0" -c "{script}" >&-', sys.executable], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_closed_stderr_is_no_error_and_no_file_that_is_opened_takes_its_place(tmp_path):
    script = "import os; from jobs.cli import main; main(['runs'], standalone_mode=False); "
    script += "print(os.readlink('/proc/self/fd/2'))"
    closed = ["sh", "-c", f'exec "$0" -c "{script}" 2>&-', sys.executable]
    done = subprocess.run(closed, capture_output=True, text=True, env={**os.environ, "BIDREC_HOME": str(tmp_path)})
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == os.devnull

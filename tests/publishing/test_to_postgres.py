import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import psycopg
import psycopg.sql
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from bidrec.config import Config, Publish
from bidrec.errors import CannotWrite, ConfigurationError, DependencyDown
from bidrec.publishing import to_postgres
from bidrec.publishing.export import COLUMNS, export_file
from bidrec.publishing.to_postgres import export_table
from jobs.recommend import recommend
from tests import postgres
from tests.publishing.versions import publish

pytestmark = [pytest.mark.postgres, pytest.mark.skipif(bool(postgres.missing()), reason=postgres.missing() or "")]

COMPANIES = [f"c{number}" for number in range(9)]
READER = "kim reads"


@pytest.fixture(scope="module")
def server() -> Iterator[postgres.Server]:
    with postgres.server() as server:
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute(f'CREATE ROLE "{READER}"')
            connection.execute("CREATE ROLE stranger LOGIN PASSWORD 'str4nger'")
        yield server


@pytest.fixture
def config(server, tmp_path) -> Config:
    publish(tmp_path, COMPANIES, ["road", "bridge"], listed=3)
    return Config(home=str(tmp_path), publish=Publish(url=server.url))


def rows(server, sql):
    with psycopg.connect(server.url) as connection:
        return connection.execute(sql).fetchall()


def test_the_table_holds_what_the_file_holds_with_key_and_comments(server, config, tmp_path):
    written = export_table(config, "notice", 2, "listed")
    export_file(config, "notice", 2, "parquet", tmp_path / "all.parquet")
    exported = pq.ParquetFile(tmp_path / "all.parquet").read().to_pylist()
    assert written["rows"] == len(exported) == 4
    assert postgres.PASSWORD not in written["to"]
    columns = ", ".join(COLUMNS).replace("score", "score::float8")
    found = rows(server, f"SELECT {columns} FROM listed ORDER BY notice_id, rank")
    assert found == sorted((tuple(row.values()) for row in exported), key=lambda row: (row[0], row[2]))
    comments = rows(server, "SELECT col_description('listed'::regclass, n) FROM generate_series(1, 14) n")
    assert [comment for (comment,) in comments] == list(COLUMNS.values())


def test_a_name_of_a_table_is_a_name_and_never_sql(server, config):
    hostile = "a\"b'; DROP TABLE kept; --"
    export_table(config, "notice", 2, "kept")
    for _ in range(2):  # made, then replaced
        assert export_table(config, "notice", 2, hostile)["rows"] == 4
    with psycopg.connect(server.url) as connection:
        name = psycopg.sql.Identifier(hostile)
        for table in (name, psycopg.sql.Identifier("kept")):
            assert connection.execute(psycopg.sql.SQL("SELECT count(*) FROM {}").format(table)).fetchone() == (4,)


def test_a_name_may_be_as_long_as_postgresql_takes_it_and_is_not_cut_off(server, config):
    longest = "공고별추천업체목록과업체별추천공고목록전체"
    assert len(longest.encode()) == 63
    for _ in range(2):  # made, then replaced
        assert export_table(config, "notice", 2, longest)["rows"] == 4
    with pytest.raises(ConfigurationError, match="too long"):
        export_table(config, "notice", 2, f"{longest}들")
    assert rows(server, f"SELECT count(*) FROM {longest}") == [(4,)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_an_export_that_waits_for_a_reader(server, config, tmp_path, number):
    table = f"waited_for_{number:d}"
    export_table(config, "notice", 1, table)
    words = ["recommend", "--all", "--direction", "notice", "--format", "postgres", "--to", table]
    environment = {**os.environ, "BIDREC_HOME": str(tmp_path), "BIDREC_EXPORT_URL": server.url}
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    with psycopg.connect(server.url, autocommit=True) as looker, psycopg.connect(server.url) as reader:
        reader.execute(f"SELECT * FROM {table}")
        job = subprocess.Popen([sys.executable, "-m", "jobs.cli", *words], env=environment, stderr=subprocess.PIPE)
        while job.poll() is None and looker.execute(waiting).fetchone() == (0,):
            time.sleep(0.1)
        job.send_signal(number)
        _, said = job.communicate(timeout=30)
        assert job.returncode == 75, said
        assert looker.execute(waiting).fetchone() == (0,)
        assert reader.execute(f"SELECT count(*) FROM {table}").fetchone() == (2,)


def test_readers_see_the_old_rows_or_the_new_ones_and_keep_their_rights(server, config):
    export_table(config, "notice", 3, "swapped")
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(f'GRANT SELECT ON swapped TO "{READER}"')
    seen, done = set(), threading.Event()

    def read() -> None:
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute(f'SET ROLE "{READER}"')
            while not done.is_set():
                seen.add(connection.execute("SELECT count(*) FROM swapped").fetchone()[0])

    reader = threading.Thread(target=read)
    reader.start()
    for top in (1, 3, 1, 3):
        export_table(config, "notice", top, "swapped")
    done.set()
    reader.join()
    assert seen <= {2, 6}
    assert 6 in seen
    assert rows(server, "SELECT relname FROM pg_class WHERE relname ~ '^swapped' AND relkind = 'r'") == [("swapped",)]


def test_a_failure_halfway_leaves_the_old_table_and_no_other(server, config, monkeypatch):
    export_table(config, "company", 1, "kept")
    before = rows(server, "SELECT * FROM kept ORDER BY 1, 2")

    def broken(batches, total):
        yield from batches
        raise RuntimeError("power cut")

    monkeypatch.setattr(to_postgres, "counted", broken)
    with pytest.raises(Exception, match="power cut"):
        export_table(config, "company", 2, "kept")
    assert rows(server, "SELECT * FROM kept ORDER BY 1, 2") == before
    assert rows(server, "SELECT count(*) FROM pg_class WHERE relname LIKE 'kept\\_%' AND relkind = 'r'") == [(0,)]


def test_a_table_of_somebody_else_is_not_replaced(server, config):
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE theirs AS SELECT 1 AS precious")
    with pytest.raises(CannotWrite, match="has not made it"):
        export_table(config, "notice", 1, "theirs")
    assert rows(server, "SELECT * FROM theirs") == [(1,)]


def test_a_table_of_an_older_bidrec_has_the_columns_of_today_afterwards(server, config):
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE older AS SELECT 'road' AS notice_id, 1 AS place_in_list")
        connection.execute("COMMENT ON TABLE older IS 'bidrec: published recommendations'")
    assert export_table(config, "notice", 3, "older")["rows"] == 6
    columns = "SELECT column_name FROM information_schema.columns WHERE table_name = 'older' ORDER BY ordinal_position"
    assert [name for (name,) in rows(server, columns)] == [*COLUMNS]


def test_a_table_that_a_view_is_built_on_stays(server, config):
    export_table(config, "notice", 1, "viewed")
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("CREATE VIEW on_it AS SELECT * FROM viewed")
    with pytest.raises(CannotWrite, match="depend"):
        export_table(config, "notice", 3, "viewed")
    assert rows(server, "SELECT count(*) FROM on_it") == [(2,)]


def test_a_reader_who_does_not_let_go_of_the_old_table_is_waited_for_only_so_long(server, config, monkeypatch):
    monkeypatch.setattr(to_postgres, "LOCK_SECONDS", 0.2)
    export_table(config, "notice", 1, "held")
    with psycopg.connect(server.url) as reader:
        reader.execute("SET idle_in_transaction_session_timeout = '20s'")  # who waits without an end would get it then
        reader.execute("SELECT * FROM held")
        with pytest.raises(DependencyDown, match="lock timeout"):
            export_table(config, "notice", 3, "held")
        assert reader.execute("SELECT count(*) FROM held").fetchone() == (2,)


def test_each_refusal_has_its_code_and_none_shows_the_password(server, config, tmp_path):
    def refusal(url, table="listed"):
        words = ["--all", "--direction", "notice", "--format", "postgres", "--to", table, "-v"]
        done = CliRunner().invoke(recommend, words, env={"BIDREC_HOME": str(tmp_path), "BIDREC_EXPORT_URL": url})
        assert postgres.PASSWORD not in done.output
        assert "str4nger" not in done.output
        assert "CREATE TABLE" not in done.output
        assert len([line for line in done.stderr.splitlines() if line.startswith("error: ")]) == 1
        return done.exit_code

    assert refusal("") == ConfigurationError.exit_code
    assert refusal(server.url, "a.b.c") == ConfigurationError.exit_code
    assert refusal(server.url.replace(f":{server.port}", ":1")) == DependencyDown.exit_code
    assert refusal(server.url.replace("bidrec:", "nobody:")) == DependencyDown.exit_code
    assert refusal(server.url, "nowhere.listed") == CannotWrite.exit_code
    stranger = server.url.replace(f"bidrec:{postgres.PASSWORD}", "stranger:str4nger")
    assert refusal(stranger, "forbidden") == CannotWrite.exit_code

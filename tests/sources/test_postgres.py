import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import duckdb
import psycopg
import pytest
from adbc_driver_manager._reader import AdbcRecordBatchReader

from bidrec.config import Config, Source
from bidrec.errors import ContractError, DependencyDown, InputMissing
from bidrec.lake.ingest import ingest
from bidrec.lake.parts import newest_reading
from bidrec.sources import load_definition, reached
from bidrec.sources import postgres as reader
from bidrec.sources.definition import Definition, RawTable
from bidrec.storage.sealed import content_of, read_manifest
from tests import postgres
from tests.sources.koneps_tables import Row, raw_bid, raw_company, raw_notice
from tests.sources.test_koneps import write_dump

needs_server = [pytest.mark.postgres, pytest.mark.skipif(bool(postgres.missing()), reason=postgres.missing() or "")]

KINDS = {
    "TIMESTAMP": ("bidntcedt", "rgstdt", "bidclsedt", "opengdt", "rbidopengdt", "chgdt", "opbizdt", "collected_at"),
    "BIGINT": ("presmptprce", "bdgtamt", "bidprcamt"),
    "INTEGER": ("opengrank", "emplyenum"),
    "DATE": ("bidprcdate",),
    "TIME": ("bidprctm",),
    "CHARACTER(1)": ("intrbidyn",),
}
"""PostgreSQL types of the KONEPS tables; every other column is text."""

NOTICES = [raw_notice(1), raw_notice(1, "001"), raw_notice(2)]
COMPANIES = [raw_company(1), raw_company(2)]
BIDS = [raw_bid(1), raw_bid(1, by=2), raw_bid(1, "001"), raw_bid(2, by=2)]
ROWS = {"notice": NOTICES, "company": COMPANIES, "bid": BIDS}


def create(connection: psycopg.Connection, schema: str, **tables: list[Row]) -> None:
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
    kinds = {column: kind for kind, columns in KINDS.items() for column in columns}
    for name, rows in tables.items():
        columns = list(rows[0])
        declared = ", ".join(f"{column} {kinds.get(column, 'text')}" for column in columns)
        connection.execute(f"CREATE TABLE {schema}.{name} ({declared})")
        with connection.cursor() as cursor:
            cursor.executemany(
                f"INSERT INTO {schema}.{name} VALUES ({', '.join(['%s'] * len(columns))})",
                [[row[column] or None for column in columns] for row in rows],
            )


@pytest.fixture(scope="module")
def server() -> Iterator[postgres.Server]:
    with postgres.server() as server:
        with psycopg.connect(server.url) as connection:
            create(connection, "public", notice=NOTICES, company=COMPANIES, bid=BIDS)
        yield server


def end_connections(server: postgres.Server) -> None:
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
            "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )


def kill(server: postgres.Server) -> None:
    """SIGKILL to what serves the reader: PostgreSQL ends every connection, and recovers."""
    with psycopg.connect(server.url) as connection:
        found = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
        ).fetchall()
    assert found
    for (process,) in found:
        os.kill(process, signal.SIGKILL)


def cut_off(
    monkeypatch, server: postgres.Server, times: int, end: Callable[[postgres.Server], None] = end_connections
) -> list[str]:
    """End the reader's connection after the first batch of a table, so many times; returns a list of them."""
    batches, cut = AdbcRecordBatchReader.__iter__, []

    def interrupted(arrow):
        for batch in batches(arrow):
            yield batch
            if len(cut) < times:
                cut.append(arrow.schema.names[0])
                end(server)

    monkeypatch.setattr(AdbcRecordBatchReader, "__iter__", interrupted)
    return cut


def config_of(home: Path, url: str, schema: str = "public") -> Config:
    return Config(home=str(home), source=Source(name="koneps", url=url, schema=schema))


class TestServer:
    pytestmark = needs_server

    def test_the_tables_give_the_same_lake_as_their_dumps(self, server, tmp_path):
        from_server = ingest(config_of(tmp_path / "server", server.url))
        write_dump(tmp_path / "dump", NOTICES, COMPANIES, BIDS)
        source = Source(name="koneps", path=str(tmp_path / "dump"), url="")
        from_files = ingest(Config(home=str(tmp_path / "files"), source=source))
        assert from_server["tables"]["bid"]["rows"] == 4
        assert content_of(from_server) == content_of(from_files)

    def test_a_database_is_read_again_every_time(self, server, tmp_path):
        first = ingest(config_of(tmp_path, server.url))
        assert ingest(config_of(tmp_path, server.url))["tables"] == first["tables"]

    def test_columns_of_persons_never_leave_the_database(self, server, tmp_path):
        raw = RawTable(name="company", table="company", columns={"bizno": "VARCHAR"}, optional={})
        definition = Definition(name="one", zone="UTC", parameters={}, raw=(raw,), sql={})
        rows = reader.fetch(server.url, "public", definition, tmp_path)["company"]
        assert [column[0] for column in duckdb.sql(f"DESCRIBE FROM {rows}").fetchall()] == ["bizno"]

    def test_rows_written_meanwhile_are_not_seen(self, server, tmp_path, monkeypatch):
        create_late = [raw_notice(7)]
        with psycopg.connect(server.url) as connection:
            create(connection, "moving", notice=NOTICES, company=COMPANIES, bid=BIDS)
        copy = reader._copy

        def slow_copy(cursor, schema, raw, *rest):
            """Between the first table and the others somebody adds a bid on a notice that was not there."""
            found = copy(cursor, schema, raw, *rest)
            if raw.name == "notice":
                with psycopg.connect(server.url) as connection, connection.cursor() as writer:
                    for table, row in (("notice", create_late[0]), ("bid", raw_bid(7))):
                        marks = ", ".join(["%s"] * len(row))
                        writer.execute(
                            f"INSERT INTO moving.{table} VALUES ({marks})", [v or None for v in row.values()]
                        )
            return found

        monkeypatch.setattr(reader, "_copy", slow_copy)
        manifest = ingest(config_of(tmp_path, server.url, "moving"))
        assert manifest["tables"]["bid"]["reasons"] == {}
        assert manifest["tables"]["bid"]["rows"] == len(BIDS)

    def test_what_is_emptied_and_altered_meanwhile_is_read_as_it_was(self, server, tmp_path, monkeypatch):
        """Both rewrite the table: a snapshot alone would find it empty."""
        with psycopg.connect(server.url) as connection:
            create(connection, "loading", notice=NOTICES, company=COMPANIES, bid=BIDS)
        copy, loaders = reader._copy, []

        def load():
            with psycopg.connect(server.url) as connection:
                connection.execute("TRUNCATE loading.bid")
                connection.execute("ALTER TABLE loading.company ALTER COLUMN bizno TYPE varchar(80)")

        def copy_while_loading(cursor, schema, raw, *rest):
            found = copy(cursor, schema, raw, *rest)
            if raw.name == "notice":
                loaders.append(threading.Thread(target=load))
                loaders[0].start()
                loaders[0].join(0.5)
            return found

        monkeypatch.setattr(reader, "_copy", copy_while_loading)
        manifest = ingest(config_of(tmp_path, server.url, "loading"))
        loaders[0].join(60)
        assert {name: table["rows"] for name, table in manifest["tables"].items()} == {
            "notice": len(NOTICES),
            "company": len(COMPANIES),
            "bid": len(BIDS),
        }
        with psycopg.connect(server.url) as connection:
            assert connection.execute("SELECT count(*) FROM loading.bid").fetchone() == (0,)

    def test_a_reading_that_was_cut_off_is_made_again_as_a_whole(self, server, tmp_path, monkeypatch):
        monkeypatch.setattr(reader, "_PAUSES", (0.0,))
        cut = cut_off(monkeypatch, server, times=1)
        manifest = ingest(config_of(tmp_path, server.url))
        assert len(cut) == 1
        assert {name: table["rows"] for name, table in manifest["tables"].items()} == {
            "notice": len(NOTICES),
            "company": len(COMPANIES),
            "bid": len(BIDS),
        }

    @pytest.mark.parametrize(("end", "pauses"), [(end_connections, (0.0,)), (kill, (1.0, 5.0))])
    def test_a_table_that_was_cut_off_in_the_middle_has_every_row_once(
        self, server, tmp_path, monkeypatch, end, pauses
    ):
        with psycopg.connect(server.url) as connection:
            connection.execute("DROP TABLE IF EXISTS large")
            connection.execute(
                "CREATE TABLE large AS SELECT g AS number, repeat('x', 200) AS text FROM generate_series(1, 100000) g"
            )
        monkeypatch.setattr(reader, "_BATCH_BYTES", 1 << 16)
        monkeypatch.setattr(reader, "_PAUSES", pauses)
        columns = {"number": "BIGINT", "text": "VARCHAR"}
        raw = RawTable(name="large", table="large", columns=columns, optional={})
        cut = cut_off(monkeypatch, server, times=1, end=end)
        definition = Definition(name="one", zone="UTC", parameters={}, raw=(raw,), sql={})
        rows = reader.fetch(server.url, "public", definition, tmp_path)["large"]
        assert cut == ["number"]
        assert duckdb.sql(f"SELECT count(*), count(DISTINCT number) FROM {rows}").fetchall() == [(100_000, 100_000)]

    def test_a_server_that_cuts_off_every_reading_is_down_and_the_lake_stays(self, server, tmp_path, monkeypatch):
        before = ingest(config_of(tmp_path, server.url))
        monkeypatch.setattr(reader, "_PAUSES", (0.0, 0.0))
        cut = cut_off(monkeypatch, server, times=9)
        with pytest.raises(DependencyDown, match=r"terminating connection|server closed the connection") as caught:
            ingest(config_of(tmp_path, server.url), force=True)
        assert postgres.PASSWORD not in str(caught.value)
        assert len(cut) == 3
        assert read_manifest(tmp_path / "lake") == before

    def test_a_statement_that_takes_too_long_is_told_and_not_repeated(self, server, tmp_path, monkeypatch):
        with psycopg.connect(server.url) as connection:
            create(connection, "slow", notice=NOTICES, company=COMPANIES, bid=BIDS)
            connection.execute("ALTER TABLE slow.bid RENAME TO all_bids")
            connection.execute("CREATE VIEW slow.bid AS SELECT b.* FROM slow.all_bids b, pg_sleep(5)")
            connection.execute("CREATE ROLE hasty LOGIN SUPERUSER PASSWORD 'hasty'")
            connection.execute("ALTER ROLE hasty SET statement_timeout = '200ms'")
        monkeypatch.setattr(reader, "_PAUSES", ())
        url = server.url.replace(f"bidrec:{postgres.PASSWORD}", "hasty:hasty")
        with pytest.raises(DependencyDown, match="statement timeout"):
            ingest(config_of(tmp_path, url, "slow"))
        assert not (tmp_path / "lake").exists()

    def test_a_statement_that_was_cancelled_in_another_language_is_not_repeated(self, server, tmp_path, monkeypatch):
        """A server speaks Korean where its lc_messages is ko_KR: what it means, it says by its SQLSTATE."""
        with psycopg.connect(server.url) as connection:
            create(connection, "korean", notice=NOTICES, company=COMPANIES, bid=BIDS)
            connection.execute(
                "CREATE FUNCTION korean.meet() RETURNS boolean LANGUAGE plpgsql AS "
                "$$ BEGIN RAISE '명령실행시간 초과로 작업을 취소합니다.' USING ERRCODE = '57014'; END $$"
            )
            connection.execute("ALTER TABLE korean.bid RENAME TO all_bids")
            connection.execute("CREATE VIEW korean.bid AS SELECT * FROM korean.all_bids WHERE korean.meet()")
        monkeypatch.setattr(reader.time, "sleep", lambda seconds: pytest.fail("it was read again"))
        monkeypatch.setattr(reader, "_PAUSES", (0.0,))
        with pytest.raises(DependencyDown, match="명령실행시간 초과"):
            ingest(config_of(tmp_path, server.url, "korean"))

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_a_signal_ends_an_ingest_that_waits_for_a_lock(self, server, tmp_path, number):
        with psycopg.connect(server.url) as connection:
            create(connection, f"locked_{number:d}", notice=NOTICES, company=COMPANIES, bid=BIDS)
        (tmp_path / "bidrec.toml").write_text(f'[source]\nname = "koneps"\nschema = "locked_{number:d}"\n')
        environment = {**os.environ, "BIDREC_SOURCE_URL": server.url, "BIDREC_HOME": str(tmp_path / "home")}
        command = [sys.executable, "-m", "jobs.cli", "ingest", "--config", str(tmp_path / "bidrec.toml")]
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        with psycopg.connect(server.url, autocommit=True) as looker, psycopg.connect(server.url) as loader:
            loader.execute(f"LOCK TABLE locked_{number:d}.bid IN ACCESS EXCLUSIVE MODE")
            job = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
            while job.poll() is None and looker.execute(waiting).fetchone() == (0,):
                time.sleep(0.1)
            job.send_signal(number)
            _, said = job.communicate(timeout=60)
            assert job.returncode == 75, said
            assert b"stopped by a signal" in said
            assert looker.execute(waiting).fetchone() == (0,)
        assert not [*(tmp_path / "home").glob(".ingest.*/")]

    @pytest.mark.parametrize(
        ("schema", "taken", "asked_for"),
        [
            ("altered", "LOCK TABLE altered.bid", "locks of altered.bid, altered.company, altered.notice"),
            # Which cannot be locked.
            ("refreshed", "REFRESH MATERIALIZED VIEW refreshed.notice", "rows of refreshed.notice"),
        ],
    )
    def test_who_is_made_to_wait_says_what_for(self, server, tmp_path, monkeypatch, capsys, schema, taken, asked_for):
        monkeypatch.setattr(reader, "_SILENT_SECONDS", 0.2)
        with psycopg.connect(server.url) as connection:
            create(connection, schema, told=NOTICES, company=COMPANIES, bid=BIDS)
            kind = "MATERIALIZED VIEW" if schema == "refreshed" else "TABLE"
            connection.execute(f"CREATE {kind} {schema}.notice AS SELECT * FROM {schema}.told")
        fetch = partial(reader.fetch, server.url, schema, load_definition("koneps"), tmp_path)
        fetching, said = threading.Thread(target=fetch), ""
        with psycopg.connect(server.url) as loader:
            loader.execute(taken)
            loader.execute("SET idle_in_transaction_session_timeout = '20s'")  # who says nothing would wait without end
            fetching.start()
            while fetching.is_alive() and "has not answered yet" not in said:
                time.sleep(0.05)
                said += capsys.readouterr().err
            loader.rollback()
        fetching.join()
        assert asked_for in said

    def test_who_only_looks_does_not_wait_for_a_lock_for_ever(self, server, monkeypatch):
        monkeypatch.setattr(reader, "_LOOK_SECONDS", 0.2)
        with psycopg.connect(server.url) as connection:
            create(connection, "loaded", notice=NOTICES, company=COMPANIES, bid=BIDS)
        with psycopg.connect(server.url) as loader:
            loader.execute("LOCK TABLE loaded.bid IN ACCESS EXCLUSIVE MODE")
            loader.execute("SET idle_in_transaction_session_timeout = '20s'")  # who waits without an end would get it
            with pytest.raises(DependencyDown, match="lock timeout"):
                reached(Source(name="koneps", url=server.url, schema="loaded"))

    def test_a_conflict_passes_and_the_reading_is_made_again(self, server, tmp_path, monkeypatch):
        """As a standby raises it, whose snapshot is too old for what the primary has done."""
        with psycopg.connect(server.url) as connection:
            create(connection, "standby", notice=NOTICES, company=COMPANIES, bid=BIDS)
            connection.execute("CREATE TABLE standby.conflict AS SELECT true AS there")
            connection.execute(
                "CREATE FUNCTION standby.meet() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN "
                "IF (SELECT there FROM standby.conflict) THEN "
                "RAISE 'conflict with recovery' USING ERRCODE = '40001'; END IF; RETURN true; END $$"
            )
            connection.execute("ALTER TABLE standby.bid RENAME TO all_bids")
            connection.execute("CREATE VIEW standby.bid AS SELECT * FROM standby.all_bids WHERE standby.meet()")

        def pause(seconds):
            with psycopg.connect(server.url) as connection:
                connection.execute("UPDATE standby.conflict SET there = false")

        monkeypatch.setattr(reader.time, "sleep", pause)
        manifest = ingest(config_of(tmp_path, server.url, "standby"))
        assert manifest["tables"]["bid"]["rows"] == len(BIDS)

    def test_a_database_of_another_encoding_is_read_right(self, server, tmp_path):
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute(
                "CREATE DATABASE korean ENCODING 'EUC_KR' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
            )
        url = server.url.replace("/postgres", "/korean")
        with psycopg.connect(url) as connection:
            create(connection, "public", notice=NOTICES, company=COMPANIES, bid=BIDS)
        with psycopg.connect(url) as connection:
            create(connection, "나라장터", notice=NOTICES, company=COMPANIES, bid=BIDS)
        for schema in ("public", "나라장터"):
            ingest(config_of(tmp_path / schema, url, schema))
            titles = duckdb.sql(f"SELECT DISTINCT title FROM '{tmp_path}/{schema}/lake/notice/*.parquet'").fetchall()
            assert titles == [("도로, 포장 공사",)]

    @pytest.mark.parametrize("setting", ["TimeZone TO 'America/New_York'", "DateStyle TO 'German'"])
    def test_views_that_cast_times_give_the_same_rows_whatever_the_role_is_set_to(self, server, tmp_path, setting):
        """A view may make a clock time of a TIMESTAMPTZ, or text of a time: by the session's zone, in its style."""
        with psycopg.connect(server.url) as connection:
            if not connection.execute("SELECT to_regnamespace('casting')").fetchone()[0]:
                create(connection, "casting", company=COMPANIES, bid=BIDS, told=NOTICES)
                connection.execute(
                    "CREATE VIEW casting.notice AS SELECT bidntceno, bidntceord, bidntcenm, ntceinsttcd, ntceinsttnm, "
                    "dminsttcd, dminsttnm, bidmethdnm, cntrctcnclsmthdnm, sucsfbidmthdnm, presmptprce, bidntcedt, "
                    "(rgstdt AT TIME ZONE 'Asia/Seoul')::timestamp AS rgstdt, bidclsedt::text AS bidclsedt, opengdt "
                    "FROM casting.told"
                )
                connection.execute("CREATE ROLE plain LOGIN SUPERUSER PASSWORD 'plain'")
            connection.execute("ALTER ROLE plain RESET ALL")
            connection.execute(f"ALTER ROLE plain SET {setting}")
        manifest = ingest(
            config_of(tmp_path, server.url.replace(f"bidrec:{postgres.PASSWORD}", "plain:plain"), "casting")
        )
        assert manifest["tables"]["notice"]["rows"] == len(NOTICES)
        found = duckdb.sql(f"SELECT published_at, closes_at FROM '{tmp_path}/lake/notice/*.parquet' ORDER BY notice_id")
        ingest(config_of(tmp_path / "tables", server.url))
        expected = f"FROM '{tmp_path}/tables/lake/notice/*.parquet'"
        assert (
            found.fetchall() == duckdb.sql(f"SELECT published_at, closes_at {expected} ORDER BY notice_id").fetchall()
        )

    def test_a_domain_is_read_as_the_type_it_is_made_of(self, server, tmp_path):
        """As text it would be in the style of the session, and the table read whole every night."""
        with psycopg.connect(server.url) as connection:
            create(connection, "domains", notice=NOTICES, company=COMPANIES, bid=BIDS)
            connection.execute("CREATE DOMAIN domains.clock AS timestamp")
            connection.execute("CREATE DOMAIN domains.moment AS domains.clock")
            for column in ("bidntcedt", "rgstdt", "opengdt"):
                connection.execute(f"ALTER TABLE domains.notice ALTER COLUMN {column} TYPE domains.moment")
        first = ingest(config_of(tmp_path, server.url, "domains"))
        assert first["tables"]["notice"]["rows"] == len(NOTICES)
        assert ingest(config_of(tmp_path, server.url, "domains")) == first
        assert newest_reading(tmp_path, first)["given"]["notice"] == 0

    @pytest.mark.parametrize("kind", ["timestamp", "timestamptz", "date"])
    def test_what_ends_at_infinity_ends_after_all_else_and_begins_before_it(self, server, tmp_path, kind):
        with psycopg.connect(server.url) as connection:
            connection.execute(f"CREATE TABLE endless_{kind} (starts {kind}, ends {kind}, other {kind})")
            connection.execute(f"INSERT INTO endless_{kind} VALUES ('-infinity', 'infinity', NULL)")
        columns = {"starts": "TIMESTAMP", "ends": "TIMESTAMP", "other": "TIMESTAMP"}
        raw = RawTable(name="company", table=f"endless_{kind}", columns=columns, optional={})
        definition = Definition(name="one", zone="Asia/Seoul", parameters={}, raw=(raw,), sql={})
        rows = reader.fetch(server.url, "public", definition, tmp_path)["company"]
        (found,) = duckdb.sql(
            f"SELECT starts < DATE '1000-01-01', ends > DATE '9000-01-01', other FROM {rows}"
        ).fetchall()
        assert found == (True, True, None)

    def test_names_from_the_configuration_are_names_and_never_sql(self, server, tmp_path):
        hostile = "a\"b'; DROP TABLE public.notice; --"
        name = '"' + hostile.replace('"', '""') + '"'
        columns = {"bizno": "VARCHAR", hostile: "VARCHAR"}
        with psycopg.connect(server.url) as connection:
            connection.execute(f"CREATE SCHEMA {name}")
            connection.execute(f"CREATE TABLE {name}.{name} (bizno text, {name} text)".encode())
            connection.execute(f"INSERT INTO {name}.{name} VALUES ('1', 'x')".encode())
        raw = RawTable(name="company", table=hostile, columns=columns, optional={}, since=())
        definition = Definition(name="one", zone="UTC", parameters={}, raw=(raw,), sql={})
        assert duckdb.sql(f"FROM {reader.fetch(server.url, hostile, definition, tmp_path)['company']}").fetchall() == [
            ("1", "x")
        ]
        assert hostile in reader.reached(server.url, hostile, definition)
        assert ingest(config_of(tmp_path / "home", server.url))["tables"]["notice"]["rows"] == len(NOTICES)

    @pytest.mark.parametrize("database", ["postgres", "nobody_has_it"])
    def test_the_password_is_in_nothing_that_a_job_writes_prints_or_shows(self, server, tmp_path, database):
        """Also in the list of processes: what is in /proc/PID/cmdline while it works."""
        address = server.url.rpartition("/")[0] + f"/{database}"
        environment = {**os.environ, "BIDREC_SOURCE_URL": address, "BIDREC_HOME": str(tmp_path / "home")}
        environment["BIDREC_METRICS_DIR"] = str(tmp_path)
        (tmp_path / "bidrec.toml").write_text('[source]\nname = "koneps"\n')
        command = [
            sys.executable,
            "-m",
            "jobs.cli",
            "ingest",
            "-v",
            "--json",
            "--config",
            str(tmp_path / "bidrec.toml"),
        ]
        job = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        titles = []
        while job.poll() is None:
            titles.append(Path(f"/proc/{job.pid}/cmdline").read_bytes())
            time.sleep(0.2)
        assert job.stdout is not None
        assert job.stderr is not None
        said = job.stdout.read() + job.stderr.read()
        assert job.returncode == (0 if database == "postgres" else 69), said
        written = [file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()]
        assert database != "postgres" or len(written) > 5
        for text in (said, *titles, *written):
            assert postgres.PASSWORD.encode() not in text

    def test_a_missing_table_is_a_missing_input(self, server, tmp_path):
        with pytest.raises(InputMissing, match=r"no table nowhere\.notice"):
            ingest(config_of(tmp_path, server.url, "nowhere"))

    def test_a_missing_column_breaks_the_contract(self, server, tmp_path):
        notices = [{name: value for name, value in row.items() if name != "opengdt"} for row in NOTICES]
        with psycopg.connect(server.url) as connection:
            create(connection, "short", notice=notices, company=COMPANIES, bid=BIDS)
        with pytest.raises(ContractError, match="no column opengdt"):
            ingest(config_of(tmp_path, server.url, "short"))

    def test_a_user_without_rights_is_told_so_without_the_password(self, server, tmp_path):
        with psycopg.connect(server.url) as connection:
            connection.execute("CREATE ROLE guest LOGIN PASSWORD 'guest-Secret'")
        url = server.url.replace(f"bidrec:{postgres.PASSWORD}", "guest:guest-Secret")
        for asked in (lambda: ingest(config_of(tmp_path, url)), lambda: reached(config_of(tmp_path, url).source)):
            with pytest.raises(DependencyDown, match="permission denied for table") as caught:
                asked()
            assert "guest-Secret" not in str(caught.value)

    def test_a_user_who_may_read_all_tables_but_one_is_told_so_before_an_ingest(self, server):
        with psycopg.connect(server.url) as connection:
            connection.execute("CREATE ROLE half LOGIN PASSWORD 'half'")
            connection.execute("GRANT SELECT ON notice, company TO half")
        url = server.url.replace(f"bidrec:{postgres.PASSWORD}", "half:half")
        with pytest.raises(DependencyDown, match="permission denied for table bid"):
            reached(Source(name="koneps", url=url))

    def test_a_user_who_may_read_the_declared_columns_alone_reads_them(self, server, tmp_path):
        with psycopg.connect(server.url) as connection:
            connection.execute("CREATE ROLE discreet LOGIN PASSWORD 'discreet'")
            for raw in load_definition("koneps").raw:
                columns = ", ".join(column for column in raw.all_columns if column in ROWS[raw.name][0])
                connection.execute(f"GRANT SELECT ({columns}) ON {raw.table} TO discreet")
        url = server.url.replace(f"bidrec:{postgres.PASSWORD}", "discreet:discreet")
        assert "has notice, company, bid" in reached(Source(name="koneps", url=url))
        assert ingest(config_of(tmp_path, url))["tables"]["bid"]["rows"] == 4

    def test_a_wrong_password_is_not_shown(self, server, tmp_path):
        url = server.url.replace(postgres.PASSWORD, "wr%6Fng-Secret")
        with pytest.raises(
            DependencyDown, match=rf"127\.0\.0\.1:{server.port}/postgres .*authentication failed"
        ) as caught:
            ingest(config_of(tmp_path, url))
        assert "ng-Secret" not in str(caught.value)
        assert caught.value.__cause__ is None


def test_an_unreachable_server_is_a_dependency_down_without_the_password(tmp_path):
    url = "postgresql://reader:t0p-Secret@127.0.0.1:1/koneps"
    with pytest.raises(DependencyDown, match=r"127\.0\.0\.1:1/koneps") as caught:
        ingest(config_of(tmp_path, url))
    assert "t0p-Secret" not in str(caught.value)
    assert not [*tmp_path.glob(".ingest.*/")]

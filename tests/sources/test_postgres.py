from collections.abc import Iterator
from pathlib import Path

import duckdb
import psycopg
import pytest

from bidrec.config import Config, Source
from bidrec.errors import ContractError, DependencyDown, InputMissing
from bidrec.ingest import ingest
from bidrec.sources import postgres as reader
from bidrec.sources.definition import Definition, RawTable
from bidrec.storage import content_of
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

    def test_a_database_of_another_encoding_is_read_right(self, server, tmp_path):
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute(
                "CREATE DATABASE korean ENCODING 'EUC_KR' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
            )
        url = server.url.replace("/postgres", "/korean")
        with psycopg.connect(url) as connection:
            create(connection, "public", notice=NOTICES, company=COMPANIES, bid=BIDS)
        ingest(config_of(tmp_path, url))
        titles = duckdb.sql(f"SELECT DISTINCT title FROM '{tmp_path}/lake/notice/*.parquet'").fetchall()
        assert titles == [("도로, 포장 공사",)]

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
        with pytest.raises(DependencyDown, match="permission denied for table notice") as caught:
            ingest(config_of(tmp_path, url))
        assert "guest-Secret" not in str(caught.value)

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
    assert not (tmp_path / ".ingest").exists()

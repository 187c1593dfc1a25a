import pytest

from bidrec.errors import ConfigurationError
from bidrec.sql.postgres import describe, said, with_options


@pytest.mark.parametrize(
    "url",
    [
        "mysql://u:p@h/d",
        "host=h password=p",
        "postgresql://u:12#34@h/d",
        "postgresql://u:1/2@h/d",
        "postgresql://u:12?34@h/d",
        "postgresql://u:12@34p@h/d",
    ],
)
def test_an_address_of_another_kind_is_a_configuration_error_that_does_not_repeat_it(url):
    with pytest.raises(ConfigurationError) as caught:
        describe(url)
    assert "p@h" not in str(caught.value)
    assert "12" not in str(caught.value)


def test_what_the_server_says_is_told_and_not_the_query_before_it():
    error = Exception(
        "CANCELLED: Failed to execute query '\nSELECT 1\n': ERROR:  canceling statement\n. SQLSTATE: 57014"
    )
    assert said(error, "postgresql://u:p@host/db") == "ERROR:  canceling statement"
    assert said(Exception("IO: no\nroute"), "postgresql://u:p@host/db") == "IO: no"


def test_an_address_may_name_several_hosts_and_no_password_is_taken_for_one():
    assert describe("postgresql://u:p@one:5432,[::1]:5433,three/koneps") == "one:5432,[::1]:5433,three/koneps"
    for url in ("postgresql://u:s3,cret/db", "postgresql://u:p@one,two@three/db", "postgresql://u:p@one:x,two/db"):
        with pytest.raises(ConfigurationError):
            describe(url)


def test_what_an_address_leaves_to_libpq_is_told_as_libpq_reads_it(monkeypatch):
    assert describe("postgresql://u@/koneps?host=/run/pg&port=5433") == "/run/pg:5433/koneps"
    assert describe("postgresql:///?service=koneps") == "service koneps/"
    monkeypatch.setenv("PGHOST", "db.example.org")
    monkeypatch.setenv("PGPORT", "5434")
    assert describe("postgresql:///koneps") == "db.example.org:5434/koneps"
    assert describe("postgresql://u:p@one/koneps") == "one:5434/koneps"


def test_a_line_end_behind_an_address_is_not_part_of_it():
    address = "postgresql://u:p@host/koneps"
    assert describe(f"{address}\n") == describe(address)
    assert with_options(f"{address}\n") == with_options(address)


def test_text_passes_in_utf_8_whatever_the_address_says():
    """libpq takes the last of two values."""
    assert with_options("postgresql://h/d?client_encoding=EUC_KR").endswith("&client_encoding=UTF8")

import pytest

from bidrec.database import describe, said
from bidrec.errors import ConfigurationError


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

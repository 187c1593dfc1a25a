import json

import numpy as np
import pytest
from click.testing import CliRunner

from jobs.recommend import recommend
from tests.publishing.versions import publish, units

VECTOR = units(np.random.default_rng(5), rows=1, length=8)[0].tolist()


def run(home, *arguments, stdin=None):
    return CliRunner().invoke(recommend, list(arguments), input=stdin, env={"BIDREC_HOME": str(home)})


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    companies, notices = ([f"{letter}{number}" for number in range(13)] for letter in "cn")
    publish(home, companies, notices, closed=["n12"], listed=12)
    return home


def listed(home, *arguments):
    """Ids of the list that is printed, best first."""
    done = run(home, *arguments, "--json", stdin=json.dumps(VECTOR))
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    rows = found["companies"] if "companies" in found else found["notices"]
    assert [row["rank"] for row in rows] == list(range(1, len(rows) + 1))
    assert [row["score"] for row in rows] == sorted((row["score"] for row in rows), reverse=True)
    return [row["company_id" if "companies" in found else "notice_id"] for row in rows]


@pytest.mark.parametrize(
    ("asked", "called"),
    [
        (["--notice", "n0"], "score"),
        (["--notice", "n12"], "cosine"),  # closed: no list was published of it
        (["--company", "c0"], "score"),
        (["--company", "c0", "--as-of", "2024-12-10"], "cosine"),
        (["--companies-near", "-"], "cosine"),
    ],
)
def test_a_score_that_is_no_probability_is_called_a_cosine_in_the_table_too(published, asked, called):
    done = run(published, *asked, stdin=json.dumps(VECTOR))
    (heading,) = [line for line in done.stdout.splitlines() if "┃ rank " in line]
    assert [word for word in heading.split() if word in ("score", "cosine")] == [called]


ASKED = [["--notice", "n0"], ["--company", "c0"], ["--companies-near", "-"], ["--notices-near", "-"]]


@pytest.mark.parametrize("asked", ASKED, ids=lambda asked: asked[0])
def test_a_list_has_ten_rows_or_as_many_as_are_asked_for(published, asked):
    twelve = listed(published, *asked, "--top", "12")
    assert len(twelve) == 12
    assert listed(published, *asked) == twelve[:10]
    assert listed(published, *asked, "--top", "3") == twelve[:3]


@pytest.mark.parametrize("asked", ASKED[1::2], ids=lambda asked: asked[0])
def test_notices_are_those_open_at_the_moment_that_is_given(published, asked):
    assert "n12" not in listed(published, *asked, "--top", "100")
    assert "n12" in listed(published, *asked, "--top", "100", "--as-of", "2024-12-10")
    assert "n12" not in listed(published, *asked, "--top", "100", "--as-of", "2024-12-20T12:00:00")
    found = listed(published, *asked, "--as-of", "2024-12-10")
    for same in ("2024-12-10T09:00:00+09:00", "2024-12-10T09:00+09:00", "2024-12-10T00:00"):
        assert listed(published, *asked, "--as-of", same) == found


@pytest.mark.parametrize("moment", ["2024-12-10T25:00:00Z", "0001-01-01T00:00:00+09:00", "9999-12-31T23:59:59-09:00"])
def test_a_moment_that_no_calendar_has_is_a_wrong_usage(published, moment):
    assert run(published, "--company", "c0", "--as-of", moment).exit_code == 2


NONE = ["1 2 3", '{"1": 1}', '["a"]', '["1"]', "[true]", "7", '"12345678"', f"[1{'0' * 400}]", "[" * 100_000]


@pytest.mark.parametrize("text", NONE, ids=lambda text: text[:10])
def test_what_is_no_list_of_numbers_is_a_usage_error(published, text):
    refused = run(published, "--companies-near", "-", stdin=text)
    assert refused.exit_code == 2
    assert "JSON list of numbers" in refused.stderr


def test_a_vector_of_another_length_is_65(published):
    refused = run(published, "--notices-near", "-", stdin="[1, 2]")
    assert refused.exit_code == 65
    assert "2 numbers, the published ones have 8" in refused.stderr


@pytest.mark.parametrize("arguments", [["--notice", "n0"], ["--companies-near", "-"]])
def test_a_moment_is_refused_where_it_would_change_nothing(published, arguments):
    refused = run(published, *arguments, "--as-of", "2025-01-01")
    assert refused.exit_code == 2
    assert "--as-of says which notices are open" in refused.stderr


@pytest.mark.parametrize("arguments", [[], ["--notice", "n0", "--company", "c0"]])
def test_one_question_at_a_time(published, arguments):
    assert run(published, *arguments).exit_code == 2

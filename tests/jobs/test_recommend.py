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
    publish(home, ["apex", "bharat", "cobalt"], ["road", "bridge"])
    return home


@pytest.mark.parametrize(
    ("option", "key", "count"), [("--companies-near", "companies", 3), ("--notices-near", "notices", 2)]
)
def test_what_is_near_a_vector_is_listed_by_cosine(published, option, key, count):
    done = run(published, option, "-", "--json", stdin=json.dumps(VECTOR))
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])[key]
    assert [row["rank"] for row in found] == list(range(1, count + 1))
    assert [row["score"] for row in found] == sorted((row["score"] for row in found), reverse=True)


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


@pytest.mark.parametrize("arguments", [["--notice", "road"], ["--companies-near", "-"]])
def test_a_moment_is_refused_where_it_would_change_nothing(published, arguments):
    refused = run(published, *arguments, "--as-of", "2025-01-01")
    assert refused.exit_code == 2
    assert "--as-of says which notices are open" in refused.stderr


@pytest.mark.parametrize("arguments", [[], ["--notice", "road", "--company", "apex"]])
def test_one_question_at_a_time(published, arguments):
    assert run(published, *arguments).exit_code == 2

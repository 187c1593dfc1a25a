import json

import pytest
from click.testing import CliRunner

from bidrec.config import Config
from bidrec.features.registry import apply
from jobs.cli import main


@pytest.fixture
def applied(home):
    apply(Config(home=str(home)))


def test_features_lists_every_field_in_words(applied):
    result = CliRunner().invoke(main, ["features"])
    assert result.exit_code == 0, result.stderr
    rows = [[cell.strip() for cell in line.split("│")[1:4]] for line in result.stdout.splitlines() if "│" in line]
    at = next(number for number, row in enumerate(rows) if row[0] == "bids_90d")
    assert rows[at][2] == "dense, ln(1 + x)"
    assert (rows[at + 1][0], rows[at + 1][2]) == ("Int64", "bids")


def test_features_gives_programs_one_line_of_json(applied):
    result = CliRunner().invoke(main, ["features", "--json"])
    answer = json.loads(result.stdout)
    assert answer["service"] == "bidrec_v1"
    title = answer["fields"][0]
    assert (title["view"], title["name"], title["read"]) == ("notice_features", "title", "text")
    assert (title["known_from"], title["meaning"]) == ("published_at", "title of the notice")


def test_features_of_a_home_with_nothing_applied_exits_66_with_a_hint(home):
    result = CliRunner().invoke(main, ["features"])
    assert result.exit_code == 66
    assert "bidrec feast apply" in result.stderr

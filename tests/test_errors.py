import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from bidrec import errors
from bidrec.errors import BidrecError

KINDS = BidrecError.__subclasses__()
ROOT = Path(__file__).parents[1]


def test_every_way_to_end_has_an_exit_code_of_its_own():
    codes = [kind.exit_code for kind in KINDS]
    assert sorted(codes) == sorted(set(codes))
    assert not {0, 1, 2, 70} & set(codes)  # done, Python's own, Click's usage, a bug


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_the_tree_at_the_top_of_errors_shows_every_class_with_its_code(kind):
    assert re.search(rf"── {kind.__name__} +{kind.exit_code} ", errors.__doc__)


@pytest.mark.parametrize("readme", ["README.md", "README.ko.md"])
def test_a_readme_explains_every_exit_code_and_no_other(readme):
    explained = re.findall(r"^\| (\d+) \| [^|]+ \|", (ROOT / readme).read_text(encoding="utf-8"), re.MULTILINE)
    assert [int(code) for code in explained] == sorted([0, 2, 70, *(kind.exit_code for kind in KINDS)])


def test_it_ends_a_command_of_click_such_as_feasts_with_its_line_and_its_code():
    @click.command()
    def command():
        raise errors.ContractError("no registry", hint="apply")

    ended = CliRunner().invoke(command)
    assert (ended.exit_code, ended.stdout, ended.stderr) == (65, "", "Error: no registry (hint: apply)\n")


def test_an_error_reads_as_message_and_hint():
    assert str(errors.InputMissing("no bids", hint="look again")) == "no bids (hint: look again)"
    assert str(errors.InputMissing("no bids")) == "no bids"

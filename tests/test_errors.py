import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from bidrec import errors
from bidrec.errors import BidrecError

KINDS = BidrecError.__subclasses__()
README = Path(__file__).parents[1] / "README.md"


def test_every_way_to_end_has_an_exit_code_of_its_own():
    codes = [kind.exit_code for kind in KINDS]
    assert sorted(codes) == sorted(set(codes))
    assert not {0, 1, 2, 70} & set(codes)  # done, Python's own, Click's usage, a bug


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_the_tree_at_the_top_of_errors_shows_every_class_with_its_code(kind):
    assert re.search(rf"── {kind.__name__} +{kind.exit_code} ", errors.__doc__)


@pytest.mark.parametrize("code", [0, 2, 70, *(kind.exit_code for kind in KINDS)])
def test_the_readme_explains_every_exit_code(code):
    text = README.read_text(encoding="utf-8") if README.is_file() else ""
    if "xit code" not in text:
        pytest.skip("the README has no table of exit codes")
    assert re.search(rf"^\| *`?{code}`? *\|", text, re.MULTILINE)


def test_it_ends_a_command_of_click_such_as_feasts_with_its_line_and_its_code():
    @click.command()
    def command():
        raise errors.ContractError("no registry", hint="apply")

    ended = CliRunner().invoke(command)
    assert (ended.exit_code, ended.stdout, ended.stderr) == (65, "", "Error: no registry (hint: apply)\n")


def test_an_error_reads_as_message_and_hint():
    assert str(errors.InputMissing("no bids", hint="look again")) == "no bids (hint: look again)"
    assert str(errors.InputMissing("no bids")) == "no bids"

from click.testing import CliRunner

from bidrec.config import Config, Contract
from bidrec.lake.ingest import ingest
from jobs.cli import main
from tests.tables import bid, company, notice, write_source

NOTICES = [notice(number) for number in range(100)]
BIDS = [bid(of) for of in range(100)]
SETTINGS = """
home = "{home}"
[source]
name = "{source.name}"
path = "{source.path}"
[contract]
max_bad_share = 1.0
[split]
test_days = 20
validation_days = 20
"""


def test_of_a_table_without_a_good_row_no_days_are_told(tmp_path):
    source = write_source(tmp_path / "source", notice=NOTICES, company=[company()], bid=BIDS)
    settings = tmp_path / "bidrec.toml"
    settings.write_text(SETTINGS.format(home=tmp_path / "home", source=source), encoding="utf-8")
    ingest(Config(home=str(tmp_path / "home"), source=source, contract=Contract(max_bad_share=1.0)))
    write_source(tmp_path / "source", notice=NOTICES, company=[company(), company(1)], bid=BIDS)
    whole = CliRunner().invoke(main, ["check", "--config", str(settings)])
    assert "company           2 rows, 2020-01-01 to 2020-01-01" in whole.stdout
    bad = [company(number, employees=-1.0) for number in range(2)]
    write_source(tmp_path / "source", notice=NOTICES, company=bad, bid=BIDS)
    spoilt = CliRunner().invoke(main, ["check", "--config", str(settings)])
    assert spoilt.exit_code == 0, spoilt.stderr
    assert "company           2 rows, none of them good" in spoilt.stdout

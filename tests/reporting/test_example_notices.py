from datetime import UTC, datetime

from bidrec.config import Config
from bidrec.features.build import build_features
from bidrec.reporting.example_notices import in_words
from tests import tables
from tests.features.lakes import write_lake

CUTOFF = tables.notice(0)["published_at"]
EXAMPLES = [{"notice_id": "n0", "companies": [{"company_id": "c0"}, {"company_id": "c1"}]}]


def test_a_company_is_what_its_newest_record_before_the_cutoff_says_whole(home):
    records = [
        tables.company(0, name="Apex"),
        tables.company(0, name=None, region="South", known_at=datetime(2021, 1, 1, tzinfo=UTC)),
        tables.company(0, name="Apex again", region=None, known_at=CUTOFF),
        tables.company(1, name="Bharat"),
    ]
    write_lake(home, [tables.notice(0)], records, [tables.bid(0)])
    build_features(Config(home=str(home)))
    (told,) = in_words(home, EXAMPLES, {"split": {"cutoff": int(CUTOFF.timestamp())}})
    shown = [(company["name"], company["company_region"]) for company in told["companies"]]
    assert shown == [(None, "South"), ("Bharat", "North")]

import numpy as np

from bidrec.config import Config
from bidrec.features.build import build_features
from bidrec.publishing.today import Vectors
from bidrec.publishing.write_back import open_notices
from tests import tables
from tests.features.lakes import add_part, write_lake

TOLD = tables.notice(2)["published_at"]


def test_a_notice_is_open_as_long_as_what_was_last_known_of_it_says_so(home):
    """Of four notices, the last three are restated on day 2: prolonged, withdrawn at once, withdrawn from day 5 on."""
    notices = [
        tables.notice(number, published_at=TOLD - tables.DAY, closes_at=TOLD + 9 * tables.DAY) for number in range(4)
    ]
    write_lake(home, notices, read_at=(TOLD - tables.HOUR).isoformat())
    build_features(Config(home=str(home)))
    changes = [
        {"closes_at": TOLD + 20 * tables.DAY},
        {"withdrawn_at": TOLD},
        {"withdrawn_at": TOLD + 3 * tables.DAY},
    ]
    restated = [row | change | {"known_at": TOLD} for row, change in zip(notices[1:], changes, strict=True)]
    add_part(home, {"read_at": (TOLD + tables.HOUR).isoformat()}, notice=restated)
    build_features(Config(home=str(home)))
    assert open_at(home, TOLD - tables.HOUR) == ["n0", "n1", "n2", "n3"]
    assert open_at(home, TOLD) == ["n0", "n1", "n3"]
    assert open_at(home, TOLD + 3 * tables.DAY) == ["n0", "n1"]
    assert open_at(home, TOLD + 9 * tables.DAY) == ["n1"]


def open_at(home, moment):
    ids = ["n0", "n1", "n2", "n3"]
    none = np.zeros((0, 2), np.float32)
    vectors = Vectors(as_of=int(moment.timestamp()), notice_ids=ids, notice_ND=none, company_ids=[], company_CD=none)
    return [ids[row] for row in open_notices(home, vectors)]

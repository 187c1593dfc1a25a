import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bidrec.ranking.counts import KnownBids
from bidrec.ranking.neighbours import BIDDERS_POWER, SHARPNESS, TowerNeighbours
from tests.ranking.sets import DAY, training_set
from tests.ranking.worlds import ASKED, COMPANIES, KNOWN, NOTICE_ND, PUBLISHED, TODAY

pytestmark = pytest.mark.usefixtures("everything_counts")

HALF_LIFE = 3.0


def votes(bids, neighbours, most):
    ts = training_set(PUBLISHED, [(*pair, day) for pair, day in bids.items()], companies=COMPANIES)
    known = KnownBids.of(ts, TODAY * DAY)
    return TowerNeighbours(known, NOTICE_ND, neighbours, most, HALF_LIFE).votes(ASKED).toarray()


@settings(max_examples=25)
@given(KNOWN, st.integers(1, 7), st.integers(1, 7))
def test_the_nearest_of_the_newest_known_notices_vote_for_their_bidders(bids, neighbours, most):
    candidates = sorted({notice for notice, _ in bids})[-most:]
    expected = np.zeros((len(ASKED), COMPANIES))
    for row, asked in enumerate(ASKED):
        cosine = {notice: float(NOTICE_ND[asked] @ NOTICE_ND[notice]) for notice in candidates}
        for notice in sorted(candidates, key=cosine.__getitem__, reverse=True)[:neighbours]:
            bidders = {company: day for (other, company), day in bids.items() if other == notice}
            for company, day in bidders.items():
                ballot = np.exp(SHARPNESS * (cosine[notice] - 1)) / len(bidders) ** BIDDERS_POWER
                expected[row, company] += ballot * 0.5 ** ((TODAY - day) / HALF_LIFE)
    np.testing.assert_allclose(votes(bids, neighbours, most), expected, rtol=1e-4, atol=1e-12)

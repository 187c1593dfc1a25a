import numpy as np
import pytest
from hypothesis import given, settings
from structlog.testing import capture_logs

from bidrec.config import Ranking
from bidrec.ranking.pair_features import LASTING, NEVER, RECENT
from tests.ranking.worlds import ASKED, COMPANIES, FIELDS, KNOWN, LATER, TODAY, evidence

pytestmark = pytest.mark.usefixtures("everything_counts")

EVERYBODY = np.arange(COMPANIES)[None, :]


@settings(max_examples=25)
@given(KNOWN, LATER)
def test_a_bid_opened_at_or_after_the_moment_is_no_evidence(known, later):
    before, after = evidence(known), evidence(known, later)
    assert after.known.tolist() == before.known.tolist()
    assert set(after.counts) == set(before.counts)
    for name, counted in after.counts.items():
        np.testing.assert_array_equal(counted.toarray(), before.counts[name].toarray())
    for name in ("recent_C", "lasting_C", "last_bid_C"):
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name))
    for name in ("alike", "near"):
        votes, other = getattr(after, name).votes(ASKED), getattr(before, name).votes(ASKED)
        np.testing.assert_array_equal(votes.toarray(), other.toarray())
        spread = np.stack(list(after.company_bidders.spread(votes)))
        np.testing.assert_array_equal(spread, np.stack(list(before.company_bidders.spread(other))))


def test_it_tells_how_much_of_it_is_gathered():
    with capture_logs() as told:
        made = evidence({(0, 0): 5})
    steps = len(made.counts) + 3
    assert [event["done"] for event in told] == [f"{step}/{steps}" for step in range(1, steps + 1)]


@settings(max_examples=25)
@given(KNOWN)
def test_a_company_s_bids_are_counted_decayed_and_dated_as_a_plain_loop_does(known):
    made = evidence(known)
    days = {company: [TODAY - day for (_, other), day in known.items() if other == company] for company in EVERYBODY[0]}
    for half_life, found in ((RECENT, made.recent_C), (LASTING, made.lasting_C)):
        decayed = [sum(0.5 ** (age / half_life) for age in days[company]) for company in EVERYBODY[0]]
        np.testing.assert_allclose(found, np.log1p(decayed), rtol=1e-5)
    np.testing.assert_allclose(
        made.last_bid_C, np.log1p([min(days[company], default=NEVER) for company in EVERYBODY[0]]), rtol=1e-5
    )
    assert made.known.tolist() == [company for company in EVERYBODY[0] if days[company]]


def test_as_many_of_the_newest_notices_as_are_set_for_either_kind_of_neighbours_vote():
    """Each of five notices has a bidder of its own; the first and the third are like the one that is asked about."""
    known = {(notice, notice): 5 for notice in range(5)}

    def voted(**chosen):
        made = evidence(known, settings=Ranking(**chosen))
        return [np.flatnonzero(votes.votes(ASKED[:1]).toarray()[0]).tolist() for votes in (made.alike, made.near)]

    alike, near = voted()
    assert ({0, 2} <= set(alike), near) == (True, [0, 1, 2, 3, 4])
    assert voted(neighbours=1) == [[0], near]
    assert (voted(tower_neighbours=2)[0], len(voted(tower_neighbours=2)[1])) == (alike, 2)
    assert voted(known_notices=3) == [[company for company in alike if company >= 2], [2, 3, 4]]


@settings(max_examples=25)
@given(KNOWN)
def test_an_unknown_value_of_a_field_is_counted_for_nobody(known):
    made = evidence(known, settings=Ranking(half_life=1e9))
    for name, counted in made.counts.items():
        assert not counted[[0]].toarray().any()
        said = [pair for pair in known if made.fields.counted[name][pair[0]]]
        assert counted.sum() == np.float32(len(said))


def test_a_field_the_source_lacks_is_not_counted():
    assert set(evidence({(0, 0): 5}).counts) == {"unit", "place", "unit and place"}
    assert set(evidence({(0, 0): 5}, fields={"unit": FIELDS["unit"]}).counts) == {"unit"}
    assert evidence({(0, 0): 5}, fields={}).counts == {}

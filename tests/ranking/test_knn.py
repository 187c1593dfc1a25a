import numpy as np
import pytest
from scipy import sparse

from bidrec.ranking import neighbours
from bidrec.ranking.counts import KnownBids
from bidrec.ranking.neighbours import Neighbours
from tests.ranking.sets import DAY, training_set

EVER = 1e12


@pytest.fixture(autouse=True)
def _everything_counts(monkeypatch):
    """Among three notices every attribute is in more than a fifth."""
    monkeypatch.setattr(neighbours, "COMMON", 1.0)


def ranker(attributes, titles, bids, companies, neighbours=10, half_life=EVER, known_at=1, most=None):
    ts = training_set([0] * len(attributes), [(*bid, known_at) for bid in bids], companies=companies)
    table, text = (sparse.csr_array(np.array(rows, np.float32)) for rows in (attributes, titles))
    return Neighbours(KnownBids.of(ts, 10 * DAY), table, text, neighbours, half_life, most)


def votes(made, *notices):
    return made.votes(np.array(notices)).toarray()


def test_the_nearer_notice_votes_louder_and_one_without_anything_in_common_not_at_all():
    # Notices 0, 1, 2 are known; 3 shares both attributes with 0 and one with 1. IDF of both attributes: ln(4 / 3).
    attributes = [[1, 1, 0], [1, 0, 1], [0, 0, 1], [1, 1, 0]]
    scores = votes(ranker(attributes, np.zeros((4, 1)), [(0, 0), (1, 1), (2, 2)], 4), 3)[0]
    a, b, c = np.log(4 / 3), np.log(4 / 2), np.log(4 / 3)
    cosine = a * a / (np.hypot(a, b) * np.hypot(a, c))
    assert scores == pytest.approx([1, cosine**neighbours.LIKENESS_POWER, 0, 0], rel=1e-4)


def test_the_title_counts_as_much_as_the_attributes():
    attributes, titles = [[1, 0], [0, 1], [1, 0]], [[1, 0], [0, 1], [0, 1]]
    assert votes(ranker(attributes, titles, [(0, 0), (1, 1)], 2), 2)[0] == pytest.approx(
        [(1 / 2) ** neighbours.LIKENESS_POWER] * 2, rel=1e-4
    )


def test_a_vote_is_spread_on_the_bidders_of_the_neighbour():
    scores = ranker([[1], [1]], np.zeros((2, 1)), [(0, 0), (0, 1), (0, 2), (0, 3)], 4)
    # One known notice only: ln(2 / 2) = 0, its attribute tells nothing apart.
    assert votes(scores, 1).max() == 0
    two = ranker([[1, 0], [0, 1], [1, 0]], np.zeros((3, 1)), [(0, 0), (0, 1), (0, 2), (0, 3), (1, 4)], 5)
    assert votes(two, 2, 1)[:, [0, 4]] == pytest.approx(
        np.array([[1 / 4**neighbours.BIDDERS_POWER, 0], [0, 1]]), abs=1e-6
    )


def test_only_the_k_nearest_vote():
    attributes = [[1, 1, 0], [1, 0, 0], [0, 0, 1], [1, 1, 0]]
    made = ranker(attributes, np.zeros((4, 1)), [(0, 0), (1, 1), (2, 2)], 3, neighbours=1)
    assert (votes(made, 3)[0] > 0).tolist() == [True, False, False]


def test_of_the_known_notices_only_the_newest_vote_and_what_is_rare_is_judged_by_them():
    attributes = [[1, 1, 0], [1, 0, 1], [0, 0, 1], [1, 1, 0]]
    bids = [(0, 0), (1, 1), (2, 2)]
    newest = votes(ranker(attributes, np.zeros((4, 1)), bids, 3, most=2), 3)
    alone = votes(ranker(attributes, np.zeros((4, 1)), bids[1:], 3), 3)
    assert newest.tolist() == alone.tolist()
    assert newest[0].argmax() == 1


def test_an_older_vote_has_halved():
    made = ranker([[1, 0], [0, 1], [1, 0]], np.zeros((3, 1)), [(0, 0), (1, 1)], 2, half_life=3.0, known_at=4)
    assert votes(made, 2)[0] == pytest.approx([1 / 4, 0], abs=1e-6)


def test_what_most_notices_have_in_common_is_not_looked_at(monkeypatch):
    monkeypatch.setattr(neighbours, "COMMON", 0.5)
    attributes = [[1, 1, 0], [1, 0, 1], [1, 1, 0]]
    assert votes(ranker(attributes, np.zeros((3, 1)), [(0, 0), (1, 1)], 2), 2)[0, 1] == 0


def test_nothing_known_and_nothing_in_common_give_no_vote():
    assert votes(ranker([[1], [1]], np.zeros((2, 1)), [], 3), 0).max() == 0
    assert votes(ranker(np.zeros((2, 0)), np.zeros((2, 0)), [(0, 2)], 3), 1).max() == 0


def test_of_notices_that_are_equally_alike_the_newest_vote():
    scores = ranker([[1, 0]] * 9 + [[0, 1]] + [[1, 0]], np.zeros((11, 1)), [(n, n) for n in range(10)], 10, 3)
    assert np.flatnonzero(votes(scores, 10)[0]).tolist() == [6, 7, 8]

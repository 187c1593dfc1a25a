import pytest

from bidrec.ranking.slices import newcomers

SEGMENTS = [
    {"segment": "not known at the cutoff", "bids": 50, "recall@100": {"final": 0.0, "oracle": 0.0}},
    {"segment": "known, no bid yet", "bids": 10, "recall@100": {"final": 0.3, "oracle": 0.5}},
    {"segment": "1-4 bids", "bids": 30, "recall@100": {"final": 0.4, "oracle": 0.5}},
    {"segment": "100 bids or more", "bids": 10, "recall@100": {"final": 0.8, "oracle": 0.9}},
]


def test_companies_without_a_bid_stand_apart_and_the_others_together_by_their_bids():
    found = newcomers(SEGMENTS, "final")
    assert found["cold"] == {"bids": 10, "recall@100": {"final": 0.3, "oracle": 0.5}, "of_the_oracle": 0.6}
    assert found["warm"]["bids"] == 40
    assert found["warm"]["recall@100"] == pytest.approx({"final": (30 * 0.4 + 10 * 0.8) / 40, "oracle": 0.6})
    assert found["warm"]["of_the_oracle"] == pytest.approx(0.5 / 0.6)


def test_without_an_oracle_or_without_such_bids_there_is_no_share():
    rows = [{"segment": "1-4 bids", "bids": 3, "recall@100": {"final": 0.4}}]
    found = newcomers(rows, "final")
    assert found["warm"]["of_the_oracle"] is None
    assert found["cold"] == {"bids": 0, "recall@100": {}, "of_the_oracle": None}
    assert newcomers([], "final")["warm"]["bids"] == 0

import tracemalloc
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bidrec.ranking.ground_truth import Truth
from bidrec.ranking.slices import (
    BIDDERS,
    MOST,
    NEWCOMERS,
    OTHERS,
    UNKNOWN,
    VALUES,
    Found,
    _band,
    by_segment,
    labels_of,
)
from tests.ranking.sets import training_set

# Three notices: bidders 0 and 1, bidder 2, bidders 0 and 3. Company 3 was not known.
TRUTH = Truth(
    lo=0,
    hi=86_400,
    notices=np.array([4, 5, 6]),
    published_at=np.array([1, 2, 3]),
    query=np.array([0, 0, 1, 2, 2]),
    company=np.array([0, 1, 2, 0, 3]),
    without_bids=0,
    known_bids=np.array([120, 3, 0, 0]),
)
KNOWN = np.array([True, True, True, True, False])
HIT = np.array([True, False, True, True, False])
MODEL = Found(np.array([1 / 2, 1, 1 / 2]), HIT)
RIVAL = Found(np.array([0, 1, 1 / 2]), np.array([False, False, True, True, False]))


def segments(labels, ahead=MODEL.recall_Q - RIVAL.recall_Q):
    found = {"final": MODEL, "rival": RIVAL}
    return by_segment(TRUTH, {"region": np.array(labels)}, KNOWN, found, ahead, 50, 7)


def test_a_segment_has_the_mean_of_its_notices_for_every_ranker_and_the_models_lead_with_its_interval():
    north, south = segments(["north", "south", "north"])["region"]
    assert (north["segment"], north["notices"]) == ("north", 2)
    assert north["recall@100"] == {"final": 1 / 2, "rival": 1 / 2 * (0 + 1 / 2)}
    assert north["difference"]["mean"] == 1 / 2 * (1 / 2 + 0)
    assert north["difference"]["ci"] == [0, 1 / 2]
    assert south["recall@100"] == {"final": 1, "rival": 1}


def test_without_a_rival_no_lead_is_told():
    assert all("difference" not in row for row in segments(["a", "b", "a"], ahead=None)["region"])


def test_bids_are_told_apart_by_how_many_of_their_companys_bids_were_known():
    rows = {row["segment"]: row for row in segments(["a", "a", "a"])["company"]}
    assert {name: row["bids"] for name, row in rows.items()} == {
        NEWCOMERS: 1,
        "known, no bid yet": 1,
        "1-4 bids": 1,
        "100 bids or more": 2,
    }
    assert rows["100 bids or more"]["recall@100"] == {"final": 2 / 2, "rival": 1 / 2}
    assert rows[NEWCOMERS]["recall@100"]["final"] == 0


EDGES = {
    "known, no bid yet": (0,),
    "1-4 bids": (1, 4),
    "5-19 bids": (5, 19),
    "20-99 bids": (20, 99),
    "100 bids or more": (100,),
}


@pytest.mark.parametrize(("band", "bids"), [(band, bids) for band, edges in EDGES.items() for bids in edges])
def test_a_band_of_known_bids_holds_its_edges(band, bids):
    truth = replace(TRUTH, known_bids=np.full(4, bids))
    rows = by_segment(truth, {}, np.ones(5, bool), {"final": MODEL}, None, 0, 7)["company"]
    assert [(row["segment"], row["bids"]) for row in rows] == [(band, 5)]


def test_a_notices_segments_are_the_words_of_its_own_fields_and_the_number_of_its_bidders(tmp_path):
    words = {"place": {1: "Seoul", 2: "Busan"}, "category": {1: "road"}, "value_band": {1: "zero", 2: "5"}}
    table = [{"field": field, "id": code, "value": word} for field, of in words.items() for code, word in of.items()]
    (tmp_path / "notice").mkdir()
    pq.write_table(pa.Table.from_pylist(table), tmp_path / "notice" / "vocabulary.parquet")
    fields = {"place": [0] * 4 + [1, 2, 0], "category": [1] * 5 + [0, 1], "value_band": [0] * 4 + [1, 2, 0]}
    ts = replace(training_set([0] * 7, [], fields, companies=4), folder=tmp_path)
    found = {kind: labels.tolist() for kind, labels in labels_of(ts, TRUTH).items()}
    assert found == {
        "region": ["Seoul", "Busan", UNKNOWN],
        "category": ["road", UNKNOWN, "road"],
        "value": ["0", "4 to 16", UNKNOWN],
        "bidders": ["2-3", "1", "2-3"],
    }


def test_one_long_word_does_not_make_the_label_of_every_notice_as_wide(tmp_path):
    (tmp_path / "notice").mkdir()
    table = [{"field": "category", "id": 1, "value": "road"}, {"field": "category", "id": 2, "value": "works " * 1000}]
    pq.write_table(pa.Table.from_pylist(table), tmp_path / "notice" / "vocabulary.parquet")
    notices = 2000
    ts = replace(training_set([0] * notices, [], {"category": [2] + [1] * (notices - 1)}, companies=4), folder=tmp_path)
    tracemalloc.start()
    labels = labels_of(ts, replace(TRUTH, notices=np.arange(3)))["category"]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert labels.tolist() == ["works " * 1000, "road", "road"]
    assert peak < 2e6  # 2,000 times 6,000 letters would take 48 MB


def test_rare_segments_are_one_and_no_notice_is_lost():
    many = 3 * MOST
    as_many_as_with_others = np.array([f"region {number:02}" for number in range(MOST + 1)])
    rows = by_segment(TRUTH, {"region": as_many_as_with_others}, KNOWN, {}, None, 0, 7)["region"]
    assert OTHERS not in [row["segment"] for row in rows]
    label = np.repeat([f"region {number:02}" for number in range(many)], np.arange(many, 0, -1))
    recall = np.random.default_rng(1).random(len(label))
    found = {"final": Found(recall, HIT)}
    rows = by_segment(TRUTH, {"region": label}, KNOWN, found, None, 0, 7)["region"]
    assert [row["segment"] for row in rows] == [*(f"region {number:02}" for number in range(MOST)), OTHERS]
    assert sum(row["notices"] for row in rows) == len(label)
    total = sum(row["notices"] * row["recall@100"]["final"] for row in rows)
    assert total / len(label) == pytest.approx(recall.mean())


def test_bands_ascend_however_many_notices_they_have():
    label = np.array([VALUES[9], VALUES[9], VALUES[2], UNKNOWN, VALUES[10]])
    found = {"final": Found(np.ones(5), HIT)}
    rows = by_segment(TRUTH, {"value": label, "bidders": np.array([*BIDDERS][::-1])}, KNOWN, found, None, 0, 7)
    assert [row["segment"] for row in rows["value"]] == [VALUES[2], VALUES[9], VALUES[10], UNKNOWN]
    assert [row["segment"] for row in rows["bidders"]] == list(BIDDERS)


@pytest.mark.parametrize(
    ("value", "band"),
    [(1, "1 to 4"), (3.9, "1 to 4"), (4, "4 to 16"), (5e8, "268 million to 1.07 billion"), (0.2, "1 to 4")],
)
def test_a_band_of_a_factor_of_four_holds_the_value_its_half_octave_is_of(value, band):
    assert _band(str(int(np.floor(2 * np.log2(value))))) == band


def test_a_free_notice_and_one_without_a_value_have_segments_of_their_own():
    assert (_band("zero"), _band(UNKNOWN)) == ("0", UNKNOWN)

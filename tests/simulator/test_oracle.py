"""The oracle against the formula written out, against fresh draws, and against the dumps."""

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from bidrec.errors import InputMissing
from bidrec.simulator.oracle import Oracle, draw_bids, has_oracle
from bidrec.simulator.raw_tables import company_ids
from bidrec.storage import sealed
from tests.simulator.market import dumps, folder, one


def _ids(sql: str) -> list[str]:
    return [ident for (ident,) in dumps().execute(sql).fetchall()]


def _some_notices(number: int) -> list[str]:
    return _ids(f"SELECT notice_id FROM oracle_notice ORDER BY hash(notice_id) LIMIT {number}")


def _intensity_by_hand(notice: dict, company: int, truth: dict) -> float:
    """The formula of the package's docstring, one pair at a time, from the kept Parquet files."""
    process, companies, segments, favourites = (truth[name] for name in ("process", "company", "segment", "favourite"))
    province_of = process["district_province"]
    limits = {notice["limit"], notice["limit_too"]} - {-1}
    if limits and province_of[companies[company]["home"]] not in limits:
        return 0.0

    def weight(row: dict) -> float:
        return companies[row["company"]]["activity"] * row["share"]

    held = [
        {"company": at, "begin": entry["born"], "end": entry["dies"], "share": 1.0}
        for at, entry in enumerate(companies)
        if entry["licences"] >> notice["licence"] & 1
    ]
    topical = [row for row in segments if row["topic"] == notice["topic"]]
    groups = {
        "local": [row for row in topical if row["district"] == notice["district"]],
        "province": [row for row in topical if province_of[row["district"]] == notice["province"]],
        "nation": topical,
        "favourite": [
            row for row in favourites if row["topic"] == notice["topic"] and row["institution"] == notice["institution"]
        ],
        "licence": held,
    }
    total = 0.0
    for name, rows in groups.items():
        size = sum(map(weight, rows)) + process["slack"]
        own = [r for r in rows if r["company"] == company and r["begin"] <= notice["published"] < r["end"]]
        total += process["channels"][name] * sum(map(weight, own)) / size
    distance = (notice["value"] - companies[company]["capacity"]) / process["size_tolerance"]
    return notice["keenness"] * total * math.exp(-0.5 * distance**2)


def test_the_scores_are_the_stated_formula() -> None:
    oracle = folder() / "oracle"
    truth = {
        name: pq.read_table(oracle / f"{name}.parquet").to_pylist() for name in ("company", "segment", "favourite")
    }
    truth["process"] = sealed.read_json(oracle / "process.json")
    notices = _some_notices(12)
    companies = list(range(0, 500, 9))
    idents = company_ids(Oracle(folder()).companies).to_pylist()
    scores = Oracle(folder()).scores(notices, [idents[row] for row in companies])
    latent = {row["notice_id"]: row for row in dumps().execute("FROM oracle_notice").to_arrow_table().to_pylist()}
    by_hand = np.array(
        [[_intensity_by_hand(latent[ident], company, truth) for company in companies] for ident in notices]
    )
    assert (by_hand > 0).mean() > 0.02
    np.testing.assert_allclose(np.exp(scores), by_hand, rtol=1e-4, atol=1e-12)


def test_fresh_draws_come_as_often_as_the_oracle_says() -> None:
    oracle = Oracle(folder())
    notices = oracle.notices(_some_notices(40))
    everybody = np.arange(len(oracle.companies.home))
    chance = 1 - np.exp(-oracle.intensity(notices, everybody))
    draws = 400
    seen = np.zeros_like(chance)
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        pair = draw_bids(notices, oracle.companies, oracle.channels, oracle.district_province, oracle.topics, rng)
        seen[pair] += 1
    assert (seen[chance == 0] == 0).all()
    likely = (chance > 0.02) & (chance < 0.98)
    assert likely.sum() > 200
    score = (seen - draws * chance)[likely] / np.sqrt(draws * chance * (1 - chance))[likely]
    # A standard normal: mean 0, mean square 1, each within five standard errors.
    assert abs(score.mean()) < 5 / math.sqrt(likely.sum())
    assert abs((score**2).mean() - 1) < 5 * math.sqrt(2 / likely.sum())


def test_the_bids_in_the_dumps_come_as_often_as_the_oracle_says() -> None:
    notices = _ids(
        "SELECT notice_id FROM oracle_notice WHERE opened <= epoch(TIMESTAMP '2025-06-30 18:00') ORDER BY ALL"
    )
    companies = _ids("SELECT bizno FROM company ORDER BY bizno")
    chance = 1 - np.exp(-np.exp(Oracle(folder()).scores(notices, companies).astype(float)))
    row, column = ({ident: at for at, ident in enumerate(idents)} for idents in (notices, companies))
    bid = np.zeros(chance.shape, bool)
    for notice, company in (
        dumps().execute("SELECT bidntceno || '-' || bidntceord, bidprccorpbizrno FROM bid").fetchall()
    ):
        bid[row[notice], column[company]] = True
    edges = [0, 1e-9, 0.001, 0.01, 0.03, 0.1, 0.2, 0.4, 0.6, 0.8, 1.01]
    for low, high in pairwise(edges):
        there = (chance >= low) & (chance < high)
        expected, spread = chance[there].sum(), math.sqrt((chance * (1 - chance))[there].sum())
        assert abs(bid[there].sum() - expected) <= 5 * spread + 1e-6, (low, high)


def test_an_ineligible_pair_scores_minus_infinity() -> None:
    notice, company = one(
        """SELECT bidntceno || '-' || bidntceord, bizno FROM notice, company
           WHERE NOT contains(prtcptpsblrgnnm, split_part(rgnnm, ' ', 1)) LIMIT 1"""
    )
    assert Oracle(folder()).scores([notice], [company]).tolist() == [[-math.inf]]


def test_rows_and_columns_come_in_the_order_asked_for() -> None:
    notices = _some_notices(30)
    companies = _ids("SELECT bizno FROM company ORDER BY bizno LIMIT 40")
    forward = Oracle(folder()).scores(notices, companies)
    backward = Oracle(folder()).scores(notices[::-1], companies[::-1])
    assert forward.shape == (30, 40)
    assert forward.dtype == np.float32
    np.testing.assert_array_equal(forward, backward[::-1, ::-1])
    np.testing.assert_array_equal(Oracle(folder()).scores([notices[3]] * 2, companies), forward[[3, 3]])
    assert Oracle(folder()).scores([], companies).shape == (0, 40)


def test_the_oracle_ranks_far_better_than_popularity() -> None:
    notices = _ids("SELECT DISTINCT bidntceno || '-' || bidntceord FROM bid ORDER BY 1 DESC LIMIT 300")
    companies = _ids("SELECT bizno FROM company ORDER BY bizno")
    popular = dict(dumps().execute("SELECT bidprccorpbizrno, count(*) FROM bid GROUP BY 1").fetchall())
    bidders: dict[str, set[str]] = {}
    for notice, company in (
        dumps().execute("SELECT bidntceno || '-' || bidntceord, bidprccorpbizrno FROM bid").fetchall()
    ):
        bidders.setdefault(notice, set()).add(company)

    def recall(scores: np.ndarray) -> float:
        top = np.argsort(-scores, axis=1, kind="stable")[:, :20]
        return float(
            np.mean(
                [
                    len(bidders[notice] & {companies[at] for at in row}) / len(bidders[notice])
                    for notice, row in zip(notices, top, strict=True)
                ]
            )
        )

    popularity = np.tile([popular.get(company, 0) for company in companies], (len(notices), 1))
    assert recall(Oracle(folder()).scores(notices, companies)) > 3 * recall(popularity)


def test_what_the_oracle_does_not_know_it_says(tmp_path: Path) -> None:
    known = _some_notices(1)
    with pytest.raises(InputMissing, match="no notice '20990100001-000'"):
        Oracle(folder()).scores(["20990100001-000"], [])
    with pytest.raises(InputMissing, match="no company '1234567890'"):
        Oracle(folder()).scores(known, ["1234567890"])
    assert has_oracle(folder())
    assert not has_oracle(tmp_path)
    with pytest.raises(InputMissing):
        Oracle(tmp_path)

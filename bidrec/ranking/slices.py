"""Where the ranking is good and where it is not: Recall@100 by slice, cold-start companies, and exposure.

Reads   runs/ID/training_set (notice attributes and their vocabulary), the ground truth of a window
Writes  `slices`, `cold_start` and `exposure` of metrics.json

Dimension letters: Q notices, P bids, C companies.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from bidrec.ranking import metrics
from bidrec.ranking.counts import CATEGORY, NoticeFields
from bidrec.ranking.ground_truth import Truth
from bidrec.ranking.names import CHOSEN_BY, ORACLE
from bidrec.training_set.arrays import TrainingSet

Float64 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.object_ | np.str_]
"""Words that a source has written are objects: numpy's own text is as wide everywhere as the longest word."""

REGION = ("region", "place", "place_code")
MOST = 12
"""Segments of a kind that are told apart, the largest; the others are one."""
OTHERS, UNKNOWN = "others", "unknown"
BIDDERS = {"1": 1, "2-3": 2, "4-7": 4, "8-15": 8, "16 or more": 16}
"""Label and lower edge."""
KNOWN_BIDS = {"known, no bid yet": 0, "1-4 bids": 1, "5-19 bids": 5, "20-99 bids": 20, "100 bids or more": 100}
NEWCOMERS = "not known at the cutoff"
THOUSANDS = ("", " thousand", " million", " billion", " trillion")


def _short(number: int) -> tuple[str, str]:
    power = (len(str(number)) - 1) // 3
    return f"{number / 1000**power:.3g}", THOUSANDS[power]


def _from_to(low: int, high: int) -> str:
    (one, of_one), (other, of_other) = _short(low), _short(high)
    return f"{one}{of_one if of_one != of_other else ''} to {other}{of_other}"


VALUES = ("0", *(_from_to(4**power, 4 ** (power + 1)) for power in range(22)))
"""Bands of a factor of four, up to some trillions."""


@dataclass(frozen=True)
class Found:
    """What one ranker found of what there was."""

    recall_Q: Float64
    """Recall@100 of each notice."""
    hit_P: Bool
    """Whether each bid's company is among the first 100 of its notice."""


def labels_of(ts: TrainingSet, truth: Truth) -> dict[str, Labels]:
    """Kind of segment -> (Q,) the segment each notice of the truth is in; a kind the source does not have is left out.

    `value` is in bands of a factor of four, in the notice's currency, as `value_band` of the features.
    """
    bidders = np.bincount(truth.query, minlength=len(truth.notices))
    rows = truth.notices
    found = {name: _values(ts, fields, rows) for name, fields in (("region", REGION), ("category", CATEGORY))}
    bands = _values(ts, ("value_band",), rows)
    found["value"] = None if bands is None else np.array([_band(band) for band in bands])
    labels = {name: values for name, values in found.items() if values is not None}
    return labels | {"bidders": _banded(bidders, BIDDERS)}


def by_segment(
    truth: Truth,
    labels: Mapping[str, Labels],
    known_P: Bool,
    found: Mapping[str, Found],
    ahead_Q: Float64 | None,
    resamples: int,
    seed: int,
) -> dict[str, list[dict[str, Any]]]:
    """Recall@100 of every ranker in every segment; bands ascend, other segments stand the largest first.

    For a notice's segments the mean over its notices, with `difference`, the mean of `ahead_Q` (the model's lead,
    None without one) and its 95 % interval. For `company` the share of the bids of companies with so many known bids.
    """
    kinds = {name: _by_notice(of, found, ahead_Q, resamples, seed) for name, of in labels.items()}
    band_P = _banded(truth.known_bids[truth.company], KNOWN_BIDS)
    band_P = np.where(known_P, band_P, NEWCOMERS)
    kinds["company"] = [
        {
            "segment": label,
            "bids": int((band_P == label).sum()),
            "recall@100": {name: float(of.hit_P[band_P == label].mean()) for name, of in found.items()},
        }
        for label in (NEWCOMERS, *KNOWN_BIDS)
        if (band_P == label).any()
    ]
    return kinds


def _by_notice(
    label_Q: Labels, found: Mapping[str, Found], ahead_Q: Float64 | None, resamples: int, seed: int
) -> list[dict[str, Any]]:
    label_Q, order = _ordered(label_Q)
    rows = []
    for label in order:
        inside = label_Q == label
        row: dict[str, Any] = {"segment": label, "notices": int(inside.sum())}
        row["recall@100"] = {name: float(of.recall_Q[inside].mean()) for name, of in found.items()}
        if ahead_Q is not None:
            drawn = metrics.resampled_means(ahead_Q[inside][:, None], resamples, seed)
            row["difference"] = {"mean": float(ahead_Q[inside].mean()), "ci": metrics.intervals(drawn)[0]}
        rows.append(row)
    return rows


def _ordered(label_Q: Labels) -> tuple[Labels, list[str]]:
    """The labels, rare ones as OTHERS, and their order."""
    values, count = np.unique(label_Q, return_counts=True)
    by_size = [str(value) for value in values[np.argsort(-count, kind="stable")]]
    banded = [label for label in (*BIDDERS, *VALUES, UNKNOWN) if label in by_size]
    if len(banded) == len(by_size):
        return label_Q, banded
    kept = by_size[:MOST] if len(by_size) > MOST + 1 else by_size
    label_Q = np.where(np.isin(label_Q, kept), label_Q, OTHERS)
    return label_Q, kept + [OTHERS] * (len(kept) < len(by_size))


def _values(ts: TrainingSet, names: tuple[str, ...], rows: npt.NDArray[np.int64]) -> Labels | None:
    """The value, at each of the notices, of the first of these fields that says anything; None where none does."""
    fields = NoticeFields(ts.notice)
    for name in names:
        code_N = fields.codes(name)
        if code_N is not None:
            table = pq.ParquetFile(ts.folder / "notice" / "vocabulary.parquet").read().to_pylist()
            values = {row["id"]: row["value"] for row in table if row["field"] == name}
            words = [values.get(code, UNKNOWN) for code in range(int(code_N.max()) + 1)]
            return np.array(words, object)[code_N[rows]]
    return None


def _banded(number: npt.NDArray[np.integer], edges: Mapping[str, int]) -> Labels:
    return np.array(list(edges))[np.searchsorted(list(edges.values()), number, side="right") - 1]


def _band(half_octave: str) -> str:
    """The one of VALUES that a band of the features (floor of twice the binary logarithm of a value) lies in."""
    if half_octave == UNKNOWN:
        return UNKNOWN
    return VALUES[0] if half_octave == "zero" else VALUES[min(max(int(half_octave) // 4 + 1, 1), len(VALUES) - 1)]


COLD = next(iter(KNOWN_BIDS))
"""The segment of the companies of which a record was known at the cutoff and no bid."""


def newcomers(by_company: Sequence[Mapping[str, Any]], model: str) -> dict[str, Any]:
    """Recall@100 of every ranker over the bids of `cold` companies (no bid known at the cutoff) and of `warm` ones.

    by_company: segments, each with `bids` and `recall@100` by ranker. Bids by companies that were not known at all are
    left out: nobody can list them. Returns, for either, `bids`, `recall@100` and `of_the_oracle`, the model's share of
    what the oracle finds; None where there is no oracle, or no such bid. Without such a bid `recall@100` is empty.
    """
    known = [row for row in by_company if row["segment"] != NEWCOMERS]
    parts = {
        "cold": [row for row in known if row["segment"] == COLD],
        "warm": [row for row in known if row["segment"] != COLD],
    }
    return {name: _together(rows, model) for name, rows in parts.items()}


def _together(rows: Sequence[Mapping[str, Any]], model: str) -> dict[str, Any]:
    bids = sum(row["bids"] for row in rows)
    rankers = rows[0][CHOSEN_BY] if rows else {}
    recall = {name: sum(row["bids"] * row[CHOSEN_BY][name] for row in rows) / bids for name in rankers}
    best = recall.get(ORACLE)
    return {"bids": bids, "recall@100": recall, "of_the_oracle": recall[model] / best if best else None}


Int64 = npt.NDArray[np.int64]
Float32 = npt.NDArray[np.float32]

SHOWN = 10
"""Places of a list that are looked at."""


def at_strengths(
    pairs: tuple[Int64, Int64, Float32],
    lasting_C: Float32,
    truth: Truth,
    candidates_C: Bool,
    strengths: Sequence[float],
) -> list[dict[str, Any]]:
    """The first ten of every notice at each strength of `ranking.exposure`: how good they are and whom they show.

    pairs: query (ascending), company and score of each candidate, (P,); lasting_C: (C,) what a company's score loses at
    strength 1. Returns `exposure` (the strength), recall@10, ndcg@10 and what metrics.of_the_lists says.
    """
    company_QM, score_QM = _by_query(*pairs, len(truth.notices))
    known_P = candidates_C[truth.company]
    found = []
    for strength in strengths:
        held_back_QM = score_QM - np.float32(strength) * np.where(company_QM >= 0, lasting_C[company_QM], 0)
        order = np.argsort(-held_back_QM, axis=1, kind="stable")[:, :SHOWN]
        listed_QK = np.take_along_axis(company_QM, order, axis=1)
        ranks_P = metrics.ranks_of(listed_QK, truth.query, truth.company)
        values = metrics.per_notice(ranks_P, truth.query, known_P, len(truth.notices), (SHOWN,))
        figures = {name: float(values[name].mean()) for name in ("recall@10", "ndcg@10")}
        lists = metrics.of_the_lists(listed_QK, candidates_C, truth.known_bids)
        found.append({"exposure": strength, **figures, **lists})
    return found


def _by_query(query: Int64, company: Int64, score: Float32, queries: int) -> tuple[Int64, Float32]:
    """(Q, M) companies and scores, -1 and -inf where a notice has fewer candidates; M is at least 1."""
    counts = np.bincount(query, minlength=queries)
    company_QM = np.full((queries, max(1, counts.max(initial=0))), -1, np.int64)
    score_QM = np.full(company_QM.shape, -np.inf, np.float32)
    place = np.arange(len(query)) - np.repeat(np.cumsum(counts) - counts, counts)
    company_QM[query, place], score_QM[query, place] = company, score
    return company_QM, score_QM

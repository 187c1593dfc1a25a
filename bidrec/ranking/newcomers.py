"""Companies without a known bid, apart from the others: what the towers know of them is their record alone.

Reads   the segments by known bids (segments.py)
Returns what becomes metrics.json's `newcomers`
"""

from collections.abc import Mapping, Sequence
from typing import Any

from bidrec.ranking.names import CHOSEN_BY, ORACLE
from bidrec.ranking.segments import KNOWN_BIDS, NEWCOMERS

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

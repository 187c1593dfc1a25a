"""Twenty notices of the test window with the first companies of their lists, to be read by people.

Reads   the final ranking as of the cutoff, the truth of the test window
Writes  `examples` of details.json
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from bidrec.ranking.listing import NOBODY, rank_and_read
from bidrec.ranking.metrics import DEPTH, NOT_LISTED, ranks_of
from bidrec.ranking.second_stage.final import FinalRanker, Once
from bidrec.ranking.truth import Truth

NOTICES = 20
LISTED = 5
"""Companies shown of each."""


def examples(
    final: FinalRanker,
    truth: Truth,
    candidates_C: npt.NDArray[np.bool_],
    notice_ids: list[str],
    company_ids: list[str],
) -> list[dict[str, Any]]:
    """Notices evenly spread over the window, whatever their lists are like: `notice_id`, `bidders`, how many of them
    are among the first 10 and 100 (`found@10`, `found@100`), and the first `companies`: id, probability, whether it
    bid."""
    chosen = np.unique(np.linspace(0, len(truth.notices) - 1, NOTICES).astype(np.int64))
    rows = truth.notices[chosen]
    once = Once(final, rows)
    (found,) = rank_and_read([once], rows, candidates_C, DEPTH, NOBODY, final.evidence.eligible)
    listed_QK, probability_of = found.listed_QK, _probabilities(once)
    described = []
    for at, position in enumerate(chosen):
        company = truth.company[truth.query == position]
        place = ranks_of(listed_QK[at : at + 1], np.zeros(len(company), np.int64), company)
        first = listed_QK[at, :LISTED][listed_QK[at, :LISTED] >= 0]
        described.append(
            {
                "notice_id": notice_ids[rows[at]],
                "bidders": len(company),
                "found@10": int((place < 10).sum()),
                "found@100": int((place < NOT_LISTED).sum()),
                "companies": [
                    {
                        "company_id": company_ids[row],
                        "probability": round(probability_of.get((at, int(row)), 0.0), 4),
                        "bid": bool(row in company),
                    }
                    for row in first
                ],
            }
        )
    return described


def _probabilities(final: Once) -> dict[tuple[int, int], float]:
    """(position in its notices, company row) -> the probability of each candidate, which no exposure lowers; who stands
    after the candidates has none that counts."""
    query, company, score = final.pairs
    keys = zip(query.tolist(), company.tolist(), strict=True)
    return dict(zip(keys, final.ranker.blend.probabilities(score).tolist(), strict=True))

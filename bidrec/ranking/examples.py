"""Twenty notices of the test window with the first companies of their lists, to be read by people.

Reads   the final ranking as of the cutoff, the truth of the test window
Writes  `examples` of details.json
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from bidrec.ranking.evaluate import NOBODY, rank_and_read
from bidrec.ranking.metrics import DEPTH, NOT_LISTED, ranks_of
from bidrec.ranking.second_stage.final import FinalRanker
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
    listed_QK = rank_and_read(final, rows, candidates_C, DEPTH, NOBODY, final.evidence.eligible)[0]
    scores_QK = np.take_along_axis(final.scores(rows), np.maximum(listed_QK, 0), axis=1)
    with np.errstate(over="ignore"):  # those after the candidates have a score so low that its probability is 0
        probability_QK = final.blend.probabilities(scores_QK)
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
                        "probability": round(float(probability_QK[at, rank]), 4),
                        "bid": bool(row in company),
                    }
                    for rank, row in enumerate(first)
                ],
            }
        )
    return described

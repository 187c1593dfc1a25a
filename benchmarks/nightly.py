"""What one night of the second stage costs: every open notice ranked against all companies, both ways.

    python -m benchmarks.nightly --notices 10_000 --scale 1 [--json]

An invented market (training_world.py; scale 1: 300 k companies, 20 M bids) with titles and vectors laid over it. Timed,
as `bidrec write-back` does them: the evidence of all known bids, then the lists of both directions. Floor: the dot
product of every notice with every company, once.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from benchmarks.process import peak_mib
from benchmarks.training_world import REGIONS, TRADES, written
from bidrec.config import Ranking
from bidrec.operations import log
from bidrec.publishing.lists import best_of_both
from bidrec.publishing.today import Today, Vectors
from bidrec.ranking.counts import Fields, from_ends
from bidrec.ranking.eligibility import Eligibility
from bidrec.ranking.ground_truth import known_companies
from bidrec.ranking.pair_features import Evidence, names_of
from bidrec.ranking.ranker import VectorRanker
from bidrec.ranking.reranker import PRIOR, Blend, FinalRanker
from bidrec.training_set.arrays import TrainingSet

DIM, TERMS, WORDS = 64, 65_536, 12
TOP = 100
NAMES = ("region", "category", "unit", "department", "place", "work_type", "method", "award_method", "value_band")
"""Of the world's fields, in their order, so that they are counted as a source's are."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--notices", type=int, default=10_000, help="open ones")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--folder", type=Path, help="where the market is kept (default: a temporary folder)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    log.configure()
    with tempfile.TemporaryDirectory(prefix="bidrec-nightly-") as temporary:
        found = measure(TrainingSet.open(written(options.folder or Path(temporary), options.scale)), options.notices)
    print(json.dumps(found) if options.json else table(found))


def measure(ts: TrainingSet, notices: int) -> dict[str, Any]:
    """Rank the last `notices` notices of the market as of the moment before the first of them."""
    for field, name in zip(ts.notice.schema["attributes"], NAMES, strict=False):
        field["name"] = name
    vectors = laid_over(ts, np.random.default_rng(1))
    open_rows = np.arange(ts.notice.rows - min(notices, ts.notice.rows // 2), ts.notice.rows)
    moment, settings = int(ts.notice_published_at[open_rows[0]]), Ranking(eligibility=False)
    seconds: dict[str, float] = {}
    with timed(seconds, "evidence"):
        fields = Fields.of(ts)
        fields = Fields(fields.notice, fields.counted, fields.attributes, titles(ts.notice.rows))
        known_C = known_companies(ts, moment)
        evidence = Evidence(ts, fields, moment, vectors, known_C, Eligibility.of(ts, settings), settings)
    company_row = np.flatnonzero(known_C)
    ranker = FinalRanker(evidence, blend_of(fields), settings)
    today = Today(
        Vectors(moment, [], vectors.notice_ND[open_rows], [], vectors.company_CD[company_row]),
        ranker,
        open_rows,
        company_row,
        evidence.eligible,
    )
    with timed(seconds, "candidates"):
        ranker.pairs(open_rows)
    with timed(seconds, "lists"):
        best_of_both(today, np.arange(len(open_rows)), TOP)
    seconds["lists"] -= seconds["candidates"]  # which it makes again
    with timed(seconds, "floor"):
        for some in np.array_split(today.vectors.notice_ND, max(1, len(open_rows) // 128)):
            some @ today.vectors.company_CD.T
    return {
        "notices": len(open_rows),
        "companies": len(company_row),
        "bids": int((ts.pair_known_at < moment).sum()),
        "seconds": {name: round(value, 1) for name, value in seconds.items()},
        "night_s": round(sum(seconds.values()) - seconds["floor"], 1),
        "peak_mib": peak_mib(),
    }


class timed:
    """Add the block's wall seconds to `seconds[name]`."""

    def __init__(self, seconds: dict[str, float], name: str) -> None:
        self.seconds, self.name = seconds, name

    def __enter__(self) -> None:
        self.began = time.perf_counter()

    def __exit__(self, *error: object) -> None:
        self.seconds[self.name] = time.perf_counter() - self.began


def laid_over(ts: TrainingSet, rng: np.random.Generator) -> VectorRanker:
    """Vectors as towers give them: those of a region and trade lie together, each a little apart."""
    centre_KD = rng.standard_normal((REGIONS * TRADES, DIM), dtype=np.float32)
    values = ts.notice.attribute_values.reshape(ts.notice.rows, -1)
    kind_N = (values[:, 0] % REGIONS) * TRADES + values[:, 1] % TRADES
    kind_C = np.zeros(ts.companies, np.int64)
    kind_C[ts.pair_company] = kind_N[ts.pair_notice]
    return VectorRanker(around(centre_KD, kind_N, rng), around(centre_KD, kind_C, rng))


def around(centre_KD: npt.NDArray[np.float32], kind: npt.NDArray[Any], rng: np.random.Generator) -> np.ndarray:
    vectors = rng.standard_normal((len(kind), DIM), dtype=np.float32)
    vectors += centre_KD[kind]
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def titles(rows: int) -> sparse.csr_array:
    """(rows, TERMS) some words each, few of them common."""
    words = np.random.default_rng(2).zipf(1.2, rows * WORDS) % TERMS
    weights = np.full(len(words), WORDS**-0.5, np.float32)
    return from_ends(weights, words, np.arange(rows + 1) * WORDS, (rows, TERMS))


def blend_of(fields: Fields) -> Blend:
    names = names_of(list(fields.counted))
    weight = tuple(PRIOR.get(name, 0.1) for name in names)
    ones = tuple(1.0 for _ in names)
    return Blend(names, tuple(0.0 for _ in names), ones, weight, notices=0, slope=1.0, offset=0.0, level=0.5)


def table(found: dict[str, Any]) -> str:
    parts = ", ".join(f"{name} {value:.1f} s" for name, value in found["seconds"].items())
    return (
        f"{found['notices']:,} notices x {found['companies']:,} companies, {found['bids']:,} bids known: "
        f"{found['night_s']:.1f} s, {found['peak_mib']:,} MiB ({parts})"
    )


if __name__ == "__main__":
    main()

"""Everything as it stands today, in a run's vectors and final ranking: those that appeared after training included.

Reads   features/, runs/ID/training_set (its vocabularies and scalers), runs/ID/model, runs/ID/second_stage
Yields  vectors of all notices and all known companies as of a moment, and a ranker over them
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bidrec.config import Config
from bidrec.publishing.closing import known_notices, status_files
from bidrec.runs.run import Run
from bidrec.sql.workspace import workspace
from bidrec.storage.whole import working_folder
from bidrec.training_set.arrays import TrainingSet, seconds
from bidrec.training_set.build import build_training_set
from bidrec.training_set.drift import Figures

if TYPE_CHECKING:
    from bidrec.features.schema import Schema
    from bidrec.ranking.eligibility import Eligible
    from bidrec.ranking.reranker import FinalRanker


@dataclass(frozen=True)
class Vectors:
    """N notices and C companies, unit vectors of length D; `as_of` in epoch seconds (UTC)."""

    as_of: int
    notice_ids: list[str]
    notice_ND: np.ndarray
    company_ids: list[str]
    company_CD: np.ndarray
    statistics: Figures = field(default_factory=dict)
    """The newest rows' figures (bidrec.training_set.drift)."""


@dataclass(frozen=True)
class Today:
    """The vectors, and the final ranking, which speaks in rows of today's training set."""

    vectors: Vectors
    ranker: "FinalRanker"
    notice_row: np.ndarray
    """(N,) the training set's row of each notice of `vectors`."""
    company_row: np.ndarray
    """(C,) likewise, ascending."""
    eligible: "Eligible"
    """Who may bid on what, in the training set's rows."""


@contextmanager
def embedded_today(config: Config, schema: "Schema", run: Run, as_of: int | None = None) -> Iterator[Today]:
    """Encode today's features with the run's fit, embed them with its weights and gather what is known.

    `as_of` None means the newest moment at which anything in the features became known. What is yielded may lie in
    files that are gone afterwards. Raises ContractError (65) where the newest features have shifted beyond [drift].
    """
    from bidrec.ranking.counts import Fields
    from bidrec.ranking.eligibility import Eligibility
    from bidrec.ranking.ground_truth import known_companies
    from bidrec.ranking.pair_features import Evidence, Towers
    from bidrec.ranking.reranker import Blend, FinalRanker

    with working_folder(config.home_path, "today") as temporary:
        folder = temporary / "training_set"
        manifest = build_training_set(config, schema, folder, fitted=run.training_set, as_of=as_of)
        ts = TrainingSet.open(folder)
        as_of = as_of if as_of is not None else newest_known_at(config, ts)
        known_before = as_of + 1  # what became known at the moment itself is known
        vectors, known_C = Towers(ts, run.model).as_of(known_before), known_companies(ts, known_before)
        eligibility = Eligibility.of(ts, config.ranking)
        evidence = Evidence(ts, Fields.of(ts), known_before, vectors, known_C, eligibility, config.ranking)
        ids = ts.notice_ids()
        notice_row = np.flatnonzero(pc.is_in(pa.array(ids, pa.string()), known_notices(config, as_of)))
        company_row = np.flatnonzero(known_C)
        yield Today(
            vectors=Vectors(
                as_of=as_of,
                notice_ids=_chosen(ids, notice_row),
                notice_ND=vectors.notice_ND[notice_row],
                company_ids=_chosen(ts.company_ids(), company_row),
                company_CD=vectors.company_CD[company_row],
                statistics=manifest["statistics"],
            ),
            ranker=FinalRanker(evidence, Blend.load(run.second_stage), config.ranking),
            notice_row=notice_row,
            company_row=company_row,
            eligible=evidence.eligible,
        )


def newest_known_at(config: Config, ts: TrainingSet) -> int:
    """The newest publication, opening, profile or word on a notice's dates in the data, in epoch seconds (UTC).

    The last kind is in no training set: a withdrawal or a prolongation may be all that came since the last write-back.
    """
    with workspace(config, "today") as (connection, _):
        (told,) = connection.execute(
            f"SELECT max({seconds('known_at')}) FROM read_parquet($status)", {"status": status_files(config)}
        ).fetchall()[0]
    return max(told, *(int(column.max()) for column in (ts.notice_published_at, ts.version_known_at) if len(column)))


def _chosen(ids: list[str], rows: np.ndarray) -> list[str]:
    return [ids[row] for row in rows]

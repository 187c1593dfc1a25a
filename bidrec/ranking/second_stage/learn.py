"""Learn the blend on the validation window, with the weights that have not seen it.

Reads   runs/ID/training_set, runs/ID/validated (or runs/ID/model where nothing was trained anew)
Writes  runs/ID/second_stage/
"""

import numpy as np
import numpy.typing as npt

from bidrec.config import Config
from bidrec.errors import InputMissing
from bidrec.operations import log
from bidrec.ranking.baselines.fields import Fields
from bidrec.ranking.eligibility import Eligibility
from bidrec.ranking.second_stage.blend import Blend, learn
from bidrec.ranking.second_stage.evidence import Evidence
from bidrec.ranking.second_stage.final import BLOCK
from bidrec.ranking.second_stage.signals import candidates_of, names_of
from bidrec.ranking.towers import Towers
from bidrec.ranking.truth import Truth, known_companies, refreshes
from bidrec.runs.run import Run
from bidrec.storage.sealed import read_manifest
from bidrec.training_set.load import TrainingSet

Int64 = npt.NDArray[np.int64]
Float32 = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]

NOTICES = 3000
"""At most this many notices of the window, evenly spread, are learned from."""
REFRESH_DAYS = 7
"""What is known is brought up to date this often in the window: as a nightly write-back would, within a few days."""


def learn_blend(config: Config, run: Run, ts: TrainingSet) -> Blend:
    """Bids opened before the cutoff on notices of the validation window, each ranked with what was known before it."""
    fields = Fields.of(ts)
    blend = learn(names_of(list(fields.counted)), *_gathered(config, run, ts, fields))
    weights = {name: round(weight, 3) for name, weight in zip(blend.signals, blend.weight, strict=True)}
    log.get("second stage").info("blend learned", notices=blend.notices, weights=weights)
    return blend


def _gathered(config: Config, run: Run, ts: TrainingSet, fields: Fields) -> tuple[Float32, Bool, Bool]:
    """The window's Q notices in the order of _stretches: (Q, M, S) signals of their candidates, (Q, M) which places
    hold one, and which of these bid. Whatever a stretch's signals say was known before its moment."""
    counted, eligibility = list(fields.counted), Eligibility.of(ts, config.ranking)
    towers = Towers(ts, run.validated if read_manifest(run.validated) else run.model)
    parts, stretches, done = [], _stretches(ts), 0
    whole = sum(len(notices) for notices, *_ in stretches)
    for notices, moment, bids in stretches:
        vectors, known_C = towers.as_of(moment), known_companies(ts, moment)
        evidence = Evidence(ts, fields, moment, vectors, known_C, eligibility, config.ranking)
        for start in range(0, len(notices), BLOCK):
            rows = notices[start : start + BLOCK]
            found = candidates_of(evidence, rows, config.ranking.candidates, counted)
            asked = rows[:, None] * ts.companies + found.company_BM
            bidder_BM = np.isin(asked, bids) & (found.company_BM >= 0)
            parts.append((found.signal_BMS, found.company_BM >= 0, bidder_BM))
            done += len(rows)
            log.get("second stage").info("gathering signals", done=f"{done}/{whole}")
    if not parts:
        return np.zeros((0, 1, len(names_of(counted))), np.float32), *np.zeros((2, 0, 1), bool)
    width = max(part[1].shape[1] for part in parts)
    signals, present, bidder = (np.concatenate([_padded(part[at], width) for part in parts]) for at in range(3))
    return signals, present, bidder


def _stretches(ts: TrainingSet) -> list[tuple[Int64, int, Int64]]:
    """(notice rows, moment, keys of the known bids) of the window, a stretch at a time."""
    try:
        truth = Truth.of(ts, ts.validation_from, ts.cutoff, known_before=ts.cutoff)
    except InputMissing:
        return []
    stride = max(1, -(-len(truth.notices) // NOTICES))
    keys = np.sort(truth.notices[truth.query] * ts.companies + truth.company)
    return [(truth.notices[queries][::stride], moment, keys) for queries, moment in refreshes(truth, REFRESH_DAYS)]


def _padded(block: np.ndarray, width: int) -> np.ndarray:
    """Blocks of few companies are narrower than others."""
    missing = width - block.shape[1]
    return np.pad(block, [(0, 0), (0, missing), *[(0, 0)] * (block.ndim - 2)])

"""How much of the validation Recall@100 hangs on each field: the drop when its values are dealt out anew.

Reads   runs/ID/training_set, a run's model
Returns what becomes runs/ID/importance.json

Permutation importance (Breiman, Random Forests, 2001). A notice's field is permuted among the validation notices that
are asked for, a company's among the versions that answer; all else, histories and weights included, stays. The weights
of a run have seen the validation window as well (it trains anew on everything before the cutoff): the drop says what
the model leans on, not how well it does.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from bidrec.errors import InputMissing
from bidrec.model.history import Vectors
from bidrec.model.members import vectors_of
from bidrec.model.towers import StaticTower
from bidrec.model.two_tower import TwoTower
from bidrec.operations import log
from bidrec.training.embed import BLOCK, gathered_companies, notice_vectors
from bidrec.training.exchange import Part, exchanged, parts_of
from bidrec.training.resident import Companies, Resident
from bidrec.training.validation import recall, window
from bidrec.training_set.arrays import SIDES, TrainingSet

NOTICES, COMPANIES = 1_000, 20_000
"""At most this many notices and candidate companies, evenly thinned (their bidders stay): it bounds the time."""
HISTORY = "history"
"""A company's bids, permuted as a whole: what the position fields point at."""

Exchange = Callable[[Companies, Companies], Companies]


def importance(model: TwoTower, ts: TrainingSet, *, repeats: int, seed: int) -> dict[str, Any]:
    """Recall@100 as it is, and how far it falls, on average over `repeats` permutations of each field.

    Returns `recall@100`, `notices`, `candidates`, `repeats`, `seed`, and `drop[side][field]` with `mean` and `std`;
    HISTORY is a field of the side `version`, which is empty where the model reads records alone. In a repeat, every
    field of a side meets the same permutation. Raises InputMissing (66) where the validation window holds no bid or no
    company is known at its start.
    """
    stage = Stage.of(model, Resident.of(ts, torch.device("cpu")), ts)
    whole = stage.recall_of(stage.notice_QD, stage.company_KD)
    trials = list(_trials(stage, ts.schema))
    drops: dict[tuple[str, str], list[float]] = {}
    for repeat in range(repeats):
        random = torch.Generator().manual_seed(seed + repeat)
        query_Q, version_K = torch.randperm(stage.queries, generator=random), stage.permutation(random)
        for side, name, trial in trials:
            drops.setdefault((side, name), []).append(whole - trial(query_Q if side == "notice" else version_K))
            done = sum(map(len, drops.values()))
            log.get("importance").info("permuting", done=f"{done}/{repeats * len(trials)}")
    table: dict[str, dict[str, Any]] = {side: {} for side in SIDES}
    for (side, name), values in drops.items():
        drop = torch.tensor(values, dtype=torch.float64)
        table[side][name] = {"mean": float(drop.mean()), "std": float(drop.std(correction=0))}
    return {
        "recall@100": whole,
        "notices": stage.queries,
        "candidates": len(stage.company_K),
        "repeats": repeats,
        "seed": seed,
        "drop": table,
    }


def _trials(stage: "Stage", schema: dict[str, Any]) -> Iterator[tuple[str, str, Callable[[Tensor], float]]]:
    """(side, field, permutation -> Recall@100) of everything the model reads."""
    for part in parts_of(schema["notice"]):
        yield "notice", part.name, partial(stage.with_notices, part)
    for part in parts_of(schema["profile"]):
        yield "profile", part.name, partial(stage.with_companies, partial(_profile, part))
    if isinstance(stage.model.company, StaticTower):
        return  # it reads the record alone
    for part in parts_of(schema["version"]):
        yield "version", part.name, partial(stage.with_companies, partial(_version, part))
    yield "version", HISTORY, partial(stage.with_companies, _history)


def _profile(part: Part, own: Companies, other: Companies) -> Companies:
    return replace(own, profile=exchanged(own.profile, other.profile, part))


def _version(part: Part, own: Companies, other: Companies) -> Companies:
    return replace(own, version=exchanged(own.version, other.version, part))


def _history(own: Companies, other: Companies) -> Companies:
    return replace(own, history=other.history)


def _as_they_are(own: Companies, _: Companies) -> Companies:
    return own


@dataclass(frozen=True)
class Stage:
    """Q validation notices and K companies as known at the window's start, and their vectors as they are."""

    model: TwoTower
    data: Resident
    as_of: int
    notice_Q: Tensor
    bidders_QC: list[Tensor]
    company_K: Tensor
    version_K: Tensor
    notices: list[Vectors]
    notice_QD: Tensor
    company_KD: Tensor

    @classmethod
    @torch.no_grad()
    def of(cls, model: TwoTower, data: Resident, ts: TrainingSet) -> "Stage":
        """Choose notices and candidates, and embed them."""
        model.eval()
        notice_Q, bidders_QC = window(data, ts.validation_from, ts.cutoff, NOTICES)
        version_C = data.versions_as_of(ts.validation_from)
        company_K = _candidates(version_C, bidders_QC)
        if not len(company_K):
            raise InputMissing(
                "no bid of a known company in the validation window", hint="raise split.validation_days and train again"
            )
        notice_ND = notice_vectors(model, data)
        empty = torch.empty(0)
        bare = cls(
            model, data, ts.validation_from, notice_Q, bidders_QC, company_K, version_C[company_K],
            vectors_of(notice_ND, model.members), notice_ND[notice_Q], empty,
        )  # fmt: skip
        return replace(bare, company_KD=bare.companies(_as_they_are, torch.arange(len(company_K))))

    @property
    def queries(self) -> int:
        return len(self.notice_Q)

    def recall_of(self, notice_QD: Tensor, company_KD: Tensor) -> float:
        return recall(notice_QD, self.bidders_QC, company_KD, self.company_K)

    def permutation(self, random: torch.Generator) -> Tensor:
        """(K,) of the candidates, those with a profile among themselves: a record that is not there is no value."""
        order_K = torch.arange(len(self.company_K))
        has_profile_K = self.data.version_profile[self.version_K] >= 0
        for group in (has_profile_K, ~has_profile_K):
            rows = group.nonzero().flatten()
            order_K[rows] = rows[torch.randperm(len(rows), generator=random)]
        return order_K

    @torch.no_grad()
    def with_notices(self, part: Part, order_Q: Tensor) -> float:
        """Recall@100 with one field of the notices permuted."""
        own, other = (
            self.data.notice.take(rows, self.data.published_at[rows])
            for rows in (self.notice_Q, self.notice_Q[order_Q])
        )
        return self.recall_of(self.model.notice(exchanged(own, other, part)), self.company_KD)

    def with_companies(self, exchange: Exchange, order_K: Tensor) -> float:
        """Recall@100 with one field of the companies permuted."""
        return self.recall_of(self.notice_QD, self.companies(exchange, order_K))

    @torch.no_grad()
    def companies(self, exchange: Exchange, order_K: Tensor) -> Tensor:
        """(K, D) vectors of the candidates, each after an exchange with the one that `order_K` names."""
        blocks = []
        for own_B, other_B in zip(self.version_K.split(BLOCK), self.version_K[order_K].split(BLOCK), strict=True):
            own, other = (
                self.data.company_batch(rows, self.as_of, self.model.history_length) for rows in (own_B, other_B)
            )
            blocks.append(gathered_companies(self.model, self.notices, exchange(own, other)))
        return torch.cat(blocks)


def _candidates(version_C: Tensor, bidders_QC: list[Tensor]) -> Tensor:
    """Rows of the known companies; beyond COMPANIES, the notices' bidders and an even sample of the others."""
    known_C = version_C >= 0
    bids_C = torch.zeros_like(known_C)
    if bidders_QC:
        bids_C[torch.cat(bidders_QC)] = True
    bidders, others = (known_C & bids_C).nonzero().flatten(), (known_C & ~bids_C).nonzero().flatten()
    if not len(bidders):
        return bidders
    stride = max(1, -(-len(others) // max(1, COMPANIES - len(bidders))))
    return torch.cat([bidders, others[::stride]]).sort().values

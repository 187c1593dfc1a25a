"""What one step learns from: a stretch of time and all companies known at its start, or a draw of pairs.

NoticeSteps (default): a batch is `batch_size` notices that follow each other in time. The companies' histories are
    taken as of its first notice, so that one snapshot serves the batch and nothing later is seen.
PairSteps (the seed's way): a batch is `batch_size` random pairs; a company is its version as of the pair's notice.
"""

import math
from typing import Protocol

import torch
from torch import Tensor

from bidrec.config import Config
from bidrec.errors import InputMissing
from bidrec.model.loss import all_bidders_softmax, in_batch_softmax
from bidrec.model.two_tower import TwoTower
from bidrec.training.embed import company_block, notice_vectors
from bidrec.training.resident import Resident

FEWEST_STEPS = 40
"""Steps an epoch of notices has at least: a small market takes shorter stretches, or it would hardly move."""


class Steps(Protocol):
    """An epoch's batches in a seeded order, and the loss of one."""

    def batches(self, epoch: int) -> list[Tensor]: ...

    def start_epoch(self, model: TwoTower) -> None: ...

    def loss(self, model: TwoTower, batch: Tensor) -> Tensor: ...

    def state(self) -> dict[str, Tensor]: ...

    def restore(self, state: dict[str, Tensor]) -> None: ...


def steps_for(config: Config, data: Resident, known_before: int) -> Steps:
    """The steps that suit the model's kind; only bids known before `known_before` (epoch seconds) are learned from."""
    kind = NoticeSteps if config.model.kind == "history" else PairSteps
    return kind(config, data, known_before)


def shuffled(count: int, seed: int, epoch: int) -> Tensor:
    """A permutation that depends on nothing but the seed and the epoch, so that a resumed run goes on in order."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed * 1_000_003 + epoch))


class NoticeSteps:
    def __init__(self, config: Config, data: Resident, known_before: int) -> None:
        self.data, self.known_before = data, known_before
        self.settings = config.training
        self.cache_ND = torch.zeros(0)
        learned = data.pair_known_at < known_before
        bidders = torch.bincount(data.pair_notice[learned].long(), minlength=len(data.notice))
        # A notice published before the first opening has nobody to choose from.
        first_known = data.log_known_at.min() if len(data.log_known_at) else torch.tensor(known_before)
        usable = (bidders > 0) & (data.published_at > first_known.to(data.device))
        self.notices = usable.nonzero().flatten()
        if not len(self.notices):
            raise InputMissing(
                "no notice to train on: none with a bid known before the validation window was published after the "
                "first opening",
                hint="move split.train_before later or shorten split.validation_days",
            )

    def batches(self, epoch: int) -> list[Tensor]:
        size = min(self.settings.batch_size, max(1, len(self.notices) // FEWEST_STEPS))
        stretches = self.notices.split(size)
        return [stretches[i] for i in shuffled(len(stretches), self.settings.seed, epoch).tolist()]

    def start_epoch(self, model: TwoTower) -> None:
        """Renew the cache of notice vectors through which the histories are read."""
        self.cache_ND = notice_vectors(model, self.data)

    def loss(self, model: TwoTower, batch: Tensor) -> Tensor:
        data, as_of = self.data, int(self.data.published_at[batch[0]])
        version_C = data.versions_as_of(as_of)
        notice_of_P, bidder_P = self._bids(batch, version_C)
        candidates_K, log_weight_K = self._candidates((version_C >= 0).nonzero().flatten(), bidder_P)
        vectors_ND, batch_BD = self._notices(model, batch, version_C[candidates_K], as_of)
        company_KD = company_block(model, data, vectors_ND, version_C[candidates_K], as_of)
        place = torch.full((data.companies,), -1, device=data.device)
        place[candidates_K] = torch.arange(len(candidates_K), device=data.device)
        return all_bidders_softmax(batch_BD, company_KD, model.scale, notice_of_P, place[bidder_P], log_weight_K)

    def state(self) -> dict[str, Tensor]:
        return {"cache": self.cache_ND}

    def restore(self, state: dict[str, Tensor]) -> None:
        self.cache_ND = state["cache"].to(self.data.device)

    def _bids(self, batch: Tensor, version_C: Tensor) -> tuple[Tensor, Tensor]:
        """The bids to learn: (position in the batch (P,), company (P,)), of companies known at the batch's start."""
        data = self.data
        begin, lengths = data.pair_offsets[batch], data.pair_offsets[batch + 1] - data.pair_offsets[batch]
        position = torch.repeat_interleave(torch.arange(len(batch), device=data.device), lengths)
        first = torch.repeat_interleave(begin - lengths.cumsum(0) + lengths, lengths)
        pair = first + torch.arange(len(first), device=data.device)
        company = data.pair_company[pair].long()
        keep = (data.pair_known_at[pair] < self.known_before) & (version_C[company] >= 0)
        return position[keep], company[keep]

    def _candidates(self, known: Tensor, bidders: Tensor) -> tuple[Tensor, Tensor]:
        """All known companies, or the bidders and a uniform sample of the others, with the logs of their weights."""
        limit = self.settings.candidates
        if len(known) <= limit:
            return known, torch.zeros(len(known), device=known.device)
        is_bidder = torch.zeros(self.data.companies, dtype=torch.bool, device=known.device)
        is_bidder[bidders] = True
        certain, others = known[is_bidder[known]], known[~is_bidder[known]]
        drawn = others[torch.randperm(len(others), device=known.device)[: max(1, limit - len(certain))]]
        weight = math.log(len(others) / len(drawn))
        log_weight = torch.cat([torch.zeros(len(certain)), torch.full((len(drawn),), weight)])
        return torch.cat([certain, drawn]), log_weight.to(known.device)

    def _notices(self, model: TwoTower, batch: Tensor, version_K: Tensor, as_of: int) -> tuple[Tensor, Tensor]:
        """All notices' vectors (N, D), fresh and with gradients for the batch and a draw of the histories, and the
        batch's own (B, D). The draw goes by how often a notice stands in the histories, where the gradient is."""
        data = self.data
        history = data.histories(version_K, as_of, model.bids_read)
        reads_N = torch.bincount(history.notice_BL[history.known_BL], minlength=len(data.notice)).float()
        reads_N[batch] = 0
        draw = min(self.settings.history_gradients, int((reads_N > 0).sum()))
        rows = torch.cat([batch, torch.multinomial(reads_N, draw)]) if draw else batch
        fresh = model.notice(data.notice.take(rows, data.published_at[rows]))
        vectors_ND = self.cache_ND.index_copy(0, rows, fresh)
        self.cache_ND[rows] = fresh.detach()
        return vectors_ND, fresh[: len(batch)]


class PairSteps:
    def __init__(self, config: Config, data: Resident, known_before: int) -> None:
        self.data, self.settings = data, config.training
        learned = (data.pair_known_at < known_before) & (data.pair_version >= 0)
        self.pairs = learned.nonzero().flatten()
        if not len(self.pairs):
            raise InputMissing(
                "no pair to train on: no bid before the validation window by a company known at the time",
                hint="move split.train_before later or shorten split.validation_days",
            )

    def batches(self, epoch: int) -> list[Tensor]:
        order = shuffled(len(self.pairs), self.settings.seed, epoch).to(self.data.device)
        return list(self.pairs[order].split(self.settings.batch_size))

    def start_epoch(self, model: TwoTower) -> None:
        """Nothing is cached."""

    def loss(self, model: TwoTower, batch: Tensor) -> Tensor:
        data = self.data
        notice = data.pair_notice[batch].long()
        profile = data.version_profile[data.pair_version[batch].long()]
        as_of = data.published_at[notice]
        company_BD = model.company(data.profiles(profile, as_of))
        return in_batch_softmax(model.notice(data.notice.take(notice, as_of)), company_BD, model.scale)

    def state(self) -> dict[str, Tensor]:
        return {}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Nothing is cached."""

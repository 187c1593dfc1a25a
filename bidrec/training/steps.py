"""What one step learns from: a stretch of time and all companies known at its start, or a draw of pairs.

NoticeSteps (default): a batch is `batch_size` notices that follow each other in time. The companies' histories are
    taken as of its first notice, so that one snapshot serves the batch and nothing later is seen. The loss is over all
    companies known then, or (loss.kind `in_batch`) over those of a draw of the stretch's bids.
PairSteps (the seed's way): a batch is `batch_size` random pairs, or all bids of some random notices (whole_notices); a
    company is its version as of the pair's notice. The loss is over the batch's own companies.
"""

from collections import deque
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor

from bidrec.config import Config, Loss
from bidrec.errors import ConfigurationError, InputMissing
from bidrec.model.history import History
from bidrec.model.loss.hits import true_bids
from bidrec.model.loss.in_batch import Bids, InBatchLoss
from bidrec.model.loss.negatives import sampled_candidates, uniform_negatives
from bidrec.model.loss.softmax import all_bidders_softmax, distinct_softmax
from bidrec.model.members import apart
from bidrec.model.rows import RowBatch
from bidrec.model.two_tower import TwoTower
from bidrec.training import distributed
from bidrec.training.copy_stream import CopyStream
from bidrec.training.embed import gathered_companies, notice_vectors
from bidrec.training.pair_batches import AHEAD_PAIRS, PairBatch, Pieces, gather
from bidrec.training.resident import Companies, Resident

FEWEST_STEPS = 40
"""Steps an epoch of notices has at least: a small market takes shorter stretches, or it would hardly move."""


class Steps(Protocol):
    """An epoch's batches in a seeded order, and the loss of one: what `learn` makes of what is `gathered`."""

    def batches(self, epoch: int) -> list[Tensor]: ...

    def start_epoch(self, model: TwoTower) -> None: ...

    def loss(self, model: TwoTower, batch: Tensor) -> Tensor: ...

    def gathered(self, batch: Tensor) -> Any: ...

    def learn(self, model: TwoTower, batch: Any) -> Tensor: ...

    def state(self) -> dict[str, Tensor]: ...

    def restore(self, state: dict[str, Tensor]) -> None: ...


def steps_for(config: Config, data: Resident, known_before: int, device: torch.device) -> Steps:
    """The steps that suit the model and the loss; only bids known before `known_before` (epoch seconds) are learned, on
    `device`, which is the data's own unless that is streamed from the host.

    Raises ConfigurationError (64) where the loss reads more of streamed data than its batches.
    """
    if config.model.kind == "static":
        return PairSteps(config, data, known_before, device)
    kind = InBatchNoticeSteps if config.loss_kind == "in_batch" else NoticeSteps
    return kind(config, data, known_before)


def in_batch_loss(config: Config, data: Resident) -> InBatchLoss:
    return InBatchLoss(config.loss, notices=len(data.notice), companies=data.companies, device=data.device)


def shuffled(count: int, seed: int, epoch: int) -> Tensor:
    """A permutation that depends on nothing but the seed and the epoch, so that a resumed run goes on in order."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(_order(seed, epoch)))


def _order(seed: int, epoch: int) -> int:
    return seed * 1_000_003 + epoch


@dataclass(frozen=True)
class Stretch:
    """A batch of notices (B,) and what is known as of its start: the companies (K,) with a version; and the E bids to
    learn, (position in the batch, company), of companies known then."""

    notice_B: Tensor
    as_of: int
    known: Tensor
    position_E: Tensor
    company_E: Tensor


@dataclass(frozen=True)
class NoticeBatch:
    """All that a step over a stretch reads: K candidates, their histories, and the T notices that these touch."""

    stretch: Stretch
    company_K: Tensor
    drawn: Any
    """What the loss has to know of how the candidates were drawn."""
    companies: Companies
    """Of the candidates; their histories name notices by their place in `fresh`, then `cached`."""
    fresh: Tensor
    """(F,) notices that pass gradients: the stretch's own, then a draw of the histories'."""
    cached: Tensor
    """(T - F,) the histories' other notices, read from the cache."""
    rows: RowBatch
    """Those of `fresh`."""


class NoticeSteps:
    """The softmax over all companies known at the stretch's start, or a sample of them, all bidders as targets."""

    def __init__(self, config: Config, data: Resident, known_before: int) -> None:
        self.data, self.known_before = data, known_before
        self.settings, self.losses = config.training, config.loss
        self.history_length = min(config.model.training_history, config.model.history_length)
        self.cache_ND = torch.zeros(0)
        self.place_N = torch.zeros(len(data.notice), dtype=torch.int64, device=data.device)
        learned = data.pair_known_at < known_before
        bidders = torch.bincount(data.pair_notice[learned], minlength=len(data.notice))
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
        """Renew the cache of notice vectors through which the histories are read; the old one's memory is given up
        first."""
        self.cache_ND = torch.zeros(0)
        self.cache_ND = notice_vectors(model, self.data)

    def loss(self, model: TwoTower, batch: Tensor) -> Tensor:
        return self.learn(model, self.gathered(batch))

    def gathered(self, batch: Tensor) -> NoticeBatch:
        """All that the step over the notices reads; draws the candidates and the notices that pass gradients."""
        data, as_of = self.data, int(self.data.published_at[batch[0]])
        known_C = data.first_known_C <= as_of
        position_E, company_E = data.bids_of(batch, self.known_before)
        known_E = known_C[company_E]
        stretch = Stretch(batch, as_of, known_C.nonzero().flatten(), position_E[known_E], company_E[known_E])
        company_K, drawn = self._candidates(stretch)
        companies = data.company_batch(data.newest_versions(company_K, as_of), as_of, self.history_length)
        fresh, cached = self._read(batch, companies.history)
        self.place_N[torch.cat([fresh, cached])] = torch.arange(len(fresh) + len(cached), device=data.device)
        history = replace(companies.history, notice_E=self.place_N[companies.history.notice_E])
        companies = replace(companies, history=history)
        rows = data.notice.take(fresh, data.published_at[fresh])
        return NoticeBatch(stretch, company_K, drawn, companies, fresh, cached, rows)

    def learn(self, model: TwoTower, batch: NoticeBatch) -> Tensor:
        """The loss of a batch that is gathered already."""
        notice_BD, company_KD = self._vectors(model, batch)
        place = torch.full((self.data.companies,), -1, device=self.data.device)
        place[batch.company_K] = torch.arange(len(batch.company_K), device=self.data.device)
        position_E, place_E = batch.stretch.position_E, place[batch.stretch.company_E]
        own, share = slice(None), 1.0
        if distributed.size() > 1:
            own, share = _own_notices(position_E, len(notice_BD))
            mine_E = (position_E >= own.start) & (position_E < own.stop)
            position_E, place_E = position_E[mine_E] - own.start, place_E[mine_E]
        bids = position_E, place_E
        # Each member learns for itself: were their cosines summed first, they would come to depend on each other.
        pairs = zip(apart(notice_BD[own], model.members), apart(company_KD, model.members), strict=True)
        losses = [
            all_bidders_softmax(notices, companies, model.scale, *bids, batch.drawn, self.losses.block)
            for notices, companies in pairs
        ]
        return share * sum(losses[1:], losses[0]) / model.members

    def state(self) -> dict[str, Tensor]:
        return {"cache": self.cache_ND}

    def restore(self, state: dict[str, Tensor]) -> None:
        self.cache_ND = state["cache"].to(self.data.device)

    def _candidates(self, stretch: Stretch) -> tuple[Tensor, Any]:
        """The candidates (K,), distinct, and the log of how many companies each stands for."""
        return sampled_candidates(stretch.known, stretch.company_E, self.settings.candidates)

    def _read(self, batch: Tensor, history: History) -> tuple[Tensor, Tensor]:
        """The notices that pass gradients, the batch's own first, and the histories' others. The draw of those goes by
        how often a notice stands in the histories, where the gradient is."""
        reads_N = torch.bincount(history.notice_E, minlength=len(self.data.notice))
        reads_N[batch] = 0
        touched = reads_N.nonzero().flatten()
        draw = min(self.settings.history_gradients, len(touched))
        if not draw:
            return batch, touched
        drawn = torch.multinomial(reads_N[touched].float(), draw)
        left = torch.ones(len(touched), dtype=torch.bool, device=touched.device)
        left[drawn] = False
        return torch.cat([batch, touched[drawn]]), touched[left]

    def _vectors(self, model: TwoTower, batch: NoticeBatch) -> tuple[Tensor, Tensor]:
        """The vectors of the stretch's notices (B, D) and of the candidates as of its start (K, D)."""
        fresh_FD = distributed.gathered(model.notice, batch.rows)
        notice_TD = torch.cat([fresh_FD, self.cache_ND.index_select(0, batch.cached)])
        self.cache_ND[batch.fresh] = fresh_FD.detach()
        company_KD = distributed.gathered(partial(gathered_companies, model, notice_TD), batch.companies)
        return fresh_FD[: len(batch.stretch.notice_B)], company_KD


def _own_notices(position_E: Tensor, notices: int) -> tuple[slice, float]:
    """Which of the batch's notices this process scores, and the share that their mean loss has in that of all."""
    own = distributed.part(notices)
    has_bids = torch.bincount(position_E, minlength=notices) > 0
    return own, int(has_bids[own].sum()) / max(1, int(has_bids.sum()))


class InBatchNoticeSteps(NoticeSteps):
    """The softmax over the companies of a draw of the stretch's bids, and uniform ones where configured; of the mean of
    all members' cosines."""

    def __init__(self, config: Config, data: Resident, known_before: int) -> None:
        super().__init__(config, data, known_before)
        self.in_batch = in_batch_loss(config, data)

    def _candidates(self, stretch: Stretch) -> tuple[Tensor, Any]:
        """The candidates, the bids drawn (P,), and their companies and the uniform ones (P + U,), repeated or not."""
        drawn_P = torch.randperm(len(stretch.company_E), device=self.data.device)[: self.losses.bids]
        if not len(drawn_P):  # the first openings' companies need not be those that bid next
            return drawn_P, (drawn_P, drawn_P)
        uniform = uniform_negatives(stretch.known, self.losses.uniform_negatives)
        company_K = torch.cat([stretch.company_E[drawn_P], uniform])
        return company_K.unique(), (drawn_P, company_K)

    def learn(self, model: TwoTower, batch: NoticeBatch) -> Tensor:
        drawn_P, company_K = batch.drawn
        if not len(drawn_P):
            return 0 * distributed.gathered(model.notice, batch.rows).sum()
        stretch = batch.stretch
        notice_BD, company_CD = self._vectors(model, batch)
        position_P, place_K = stretch.position_E[drawn_P], torch.searchsorted(batch.company_K, company_K)
        hit_BK = true_bids(stretch.position_E, stretch.company_E, len(stretch.notice_B), company_K)
        rate = self.losses.uniform_negatives / len(stretch.known)
        bids = Bids(stretch.notice_B[position_P], company_K, hit_BK[position_P], rate)
        return self.in_batch(notice_BD[position_P], company_CD[place_K], model.scale, bids) / distributed.size()

    def state(self) -> dict[str, Tensor]:
        return super().state() | self.in_batch.state()

    def restore(self, state: dict[str, Tensor]) -> None:
        super().restore(state)
        self.in_batch.restore(state)


class PairSteps:
    """The softmax over the companies of a batch of bids, and uniform ones where configured."""

    def __init__(self, config: Config, data: Resident, known_before: int, device: torch.device | None = None) -> None:
        self.data, self.settings, self.known_before = data, config.training, known_before
        self.copies = CopyStream(device) if device and device.type != data.device.type else None
        self.uniform, self.in_batch = config.loss.uniform_negatives, in_batch_loss(config, data)
        self.plain = config.loss == Loss(kind=config.loss.kind)
        learned = (data.pair_known_at < known_before) & (data.pair_version >= 0)
        self.pieces = Pieces(learned, data.pair_notice, self.settings.batch_size, self.settings.whole_notices)
        self.epoch: list[Tensor] = []
        self.ahead: deque[tuple[Tensor, PairBatch]] = deque()
        self.following = 0
        if self.copies and not self.plain:
            raise ConfigurationError(
                "training.stream_notices on a GPU goes with the plain loss only: other settings of [loss] read more",
                hint="leave [loss] at its defaults, stream_notices at 0, or set training.device to 'cpu'",
            )
        if not len(self.pieces):
            raise InputMissing(
                "no pair to train on: no bid before the validation window by a company known at the time",
                hint="move split.train_before later or shorten split.validation_days",
            )

    def batches(self, epoch: int) -> list[Tensor]:
        generator = torch.Generator().manual_seed(_order(self.settings.seed, epoch))
        self.epoch, windows = self.pieces.batches(generator, self._window())
        self.ahead.clear()
        self.following = 0
        if self.copies:
            self.copies.forget()
        if self.data.stream:
            self.data.stream.start(windows)
        return self.epoch

    def _window(self) -> int:
        """How many pieces are as many as the notices that are shuffled together; 0: all."""
        notices = self.settings.stream_notices
        return notices and max(1, notices * len(self.pieces) // len(self.data.notice))

    def start_epoch(self, model: TwoTower) -> None:
        """Nothing is cached."""

    def loss(self, model: TwoTower, batch: Tensor) -> Tensor:
        return self.learn(model, self.gathered(batch))

    def learn(self, model: TwoTower, batch: PairBatch) -> Tensor:
        """The loss of a batch that is gathered already."""
        notice_UD = distributed.gathered(model.notice, batch.notice)
        company_VD = distributed.gathered(model.company, batch.company)
        if self.plain:
            places = batch.notice_of_P, batch.company_of_P, batch.log_count_V
            return distinct_softmax(notice_UD, company_VD, model.scale, *places) / distributed.size()
        return self._in_batch(model, batch, notice_UD[batch.notice_of_P], company_VD[batch.company_of_P])

    def gathered(self, batch: Tensor) -> PairBatch:
        """The batch of this epoch, gathered together with those that follow it."""
        if not self.ahead or self.ahead[0][0] is not batch:
            at = self._place_of(batch)
            self.following = at + len(self._group(at))
            if self.copies:
                ready = self.copies.take(at, self.following % len(self.epoch) or None, self._gathered_from)
            else:
                ready = self._gathered_from(at)
            self.ahead = deque(zip(self._group(at), ready, strict=True))
        return self.ahead.popleft()[1]

    def _place_of(self, batch: Tensor) -> int:
        """Which of the epoch's it is: mostly the one behind those gathered last, which is not searched for."""
        if self.following < len(self.epoch) and self.epoch[self.following] is batch:
            return self.following
        return next(i for i, other in enumerate(self.epoch) if other is batch)

    def _group(self, at: int) -> list[Tensor]:
        """Batches that are gathered together, from the epoch's batch `at` on."""
        return self.epoch[at : at + max(1, AHEAD_PAIRS // self.settings.batch_size)]

    def _gathered_from(self, at: int) -> list[PairBatch]:
        if self.data.stream:
            self.data.stream.reach(at)
        return gather(self.data, self._group(at))

    def _in_batch(self, model: TwoTower, batch: PairBatch, notice_PD: Tensor, company_PD: Tensor) -> Tensor:
        data, notice_P = self.data, batch.notice_U[batch.notice_of_P]
        company_U, version_U, as_of_U = self._uniform(data.published_at[notice_P])
        company_K = torch.cat([data.pair_company[batch.pair_P].long(), company_U])
        if len(company_U):
            drawn = data.profiles(data.profiles_of(version_U), as_of_U)
            company_PD = torch.cat([company_PD, distributed.gathered(model.company, drawn)])
        hit_UK = true_bids(*data.bids_of(batch.notice_U, self.known_before), len(batch.notice_U), company_K)
        bids = Bids(notice_P, company_K, hit_UK[batch.notice_of_P], self.uniform / data.companies)
        return self.in_batch(notice_PD, company_PD, model.scale, bids) / distributed.size()

    def _uniform(self, as_of_P: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Uniform negatives: companies, their versions and as-of times. Each is taken as of one of the batch's notices
        and dropped where nothing was known of it then."""
        device = self.data.device
        company_U = uniform_negatives(torch.arange(self.data.companies, device=device), self.uniform)
        as_of_U = as_of_P[torch.randint(len(as_of_P), (self.uniform,), device=device)]
        version_U = self.data.newest_versions(company_U, as_of_U)
        known_U = version_U >= 0
        return company_U[known_U], version_U[known_U], as_of_U[known_U]

    def state(self) -> dict[str, Tensor]:
        return self.in_batch.state()

    def restore(self, state: dict[str, Tensor]) -> None:
        self.in_batch.restore(state)

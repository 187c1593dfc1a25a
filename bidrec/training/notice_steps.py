"""Steps of the default model: a stretch of time, and the companies known at its start.

Serves  bidrec.training.steps, which says what the kinds of steps are
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from bidrec.config import Config
from bidrec.errors import InputMissing
from bidrec.model.distinct import counts
from bidrec.model.history import History
from bidrec.model.loss.hits import true_bids
from bidrec.model.loss.in_batch import Bids
from bidrec.model.loss.negatives import sampled_candidates, uniform_negatives
from bidrec.model.loss.softmax import all_bidders_softmax
from bidrec.model.members import apart, vectors_through
from bidrec.model.rows import RowBatch
from bidrec.model.two_tower import TwoTower
from bidrec.training import distributed, processes
from bidrec.training.drawing import in_batch_loss, order_of
from bidrec.training.embed import gathered_companies, notice_vectors
from bidrec.training.resident import Companies, Resident

FEWEST_STEPS = 40
"""Steps an epoch of notices has at least: a small market takes shorter stretches, or it would hardly move."""


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
        self.training_history = min(config.model.training_history, config.model.history_length)
        self.cache_ND = torch.zeros(0)
        self.epoch: list[Tensor] = []
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

    def batches(self, epoch: int) -> int:
        size = min(self.settings.batch_size, max(1, len(self.notices) // FEWEST_STEPS))
        stretches = self.notices.split(size)
        order = torch.randperm(len(stretches), generator=order_of(self.settings.seed, epoch))
        self.epoch = [stretches[i] for i in order.tolist()]
        return len(self.epoch)

    def rows(self, at: int) -> Tensor:
        return self.epoch[at]

    def start_epoch(self, model: TwoTower) -> None:
        """Renew the cache of notice vectors through which the histories are read; the old one's memory is given up
        first."""
        self.cache_ND = torch.zeros(0)
        self.cache_ND = notice_vectors(model, self.data)

    def gathered(self, at: int) -> NoticeBatch:
        """All that the step over the notices reads; draws the candidates and the notices that pass gradients."""
        data, batch = self.data, self.rows(at)
        as_of = int(data.published_at[batch[:1]])
        known_C = data.first_known_C <= as_of
        position_E, company_E = data.bids_of(batch, self.known_before)
        known_E = known_C[company_E].nonzero().flatten()
        stretch = Stretch(batch, as_of, known_C.nonzero().flatten(), position_E[known_E], company_E[known_E])
        company_K, drawn = self._candidates(stretch)
        companies = data.company_batch(data.newest_versions(company_K, as_of), as_of, self.training_history)
        fresh, cached = self._read(batch, companies.history)
        self.place_N[torch.cat([fresh, cached])] = torch.arange(len(fresh) + len(cached), device=data.device)
        history = replace(companies.history, notice_E=self.place_N[companies.history.notice_E])
        companies = replace(companies, history=history)
        if data.device.type == "cuda" and processes.size() == 1:
            history.on_first(len(fresh))  # the backward pass asks, and would wait in its middle
        rows = data.notice.take(fresh, data.published_at[fresh])
        return NoticeBatch(stretch, company_K, drawn, companies, fresh, cached, rows)

    def learn(self, model: TwoTower, batch: NoticeBatch) -> Tensor:
        """The loss of a batch that is gathered already."""
        notice_BD, company_KD = self._vectors(model, batch)
        place = torch.full((self.data.companies,), -1, device=self.data.device)
        place[batch.company_K] = torch.arange(len(batch.company_K), device=self.data.device)
        position_E, place_E = batch.stretch.position_E, place[batch.stretch.company_E]
        own, share = slice(None), 1.0
        if processes.size() > 1:
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
        reads_N = counts(history.notice_E, len(self.data.notice))
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
        notices = vectors_through(fresh_FD, self.cache_ND, batch.cached, model.members)
        self.cache_ND[batch.fresh] = fresh_FD.detach()
        company_KD = distributed.gathered(partial(gathered_companies, model, notices), batch.companies)
        return fresh_FD[: len(batch.stretch.notice_B)], company_KD


def _own_notices(position_E: Tensor, notices: int) -> tuple[slice, float]:
    """Which of the batch's notices this process scores, and the share that their mean loss has in that of all."""
    own = distributed.part(notices)
    has_bids = counts(position_E, notices) > 0
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
        stretch = batch.stretch
        notice_BD, company_CD = self._vectors(model, batch)
        if not len(drawn_P):
            return 0 * (notice_BD.sum() + company_CD.sum() + model.scale)
        position_P, place_K = stretch.position_E[drawn_P], torch.searchsorted(batch.company_K, company_K)

        def hits() -> Tensor:
            return true_bids(stretch.position_E, stretch.company_E, len(stretch.notice_B), company_K)[position_P]

        rate = self.losses.uniform_negatives / len(stretch.known)
        bids = Bids(stretch.notice_B[position_P], company_K, hits, rate)
        return self.in_batch(notice_BD[position_P], company_CD[place_K], model.scale, bids) / processes.size()

    def state(self) -> dict[str, Tensor]:
        return super().state() | self.in_batch.state()

    def restore(self, state: dict[str, Tensor]) -> None:
        super().restore(state)
        self.in_batch.restore(state)

"""The in-batch loss of a batch of bids, from the units that [loss] of the configuration names."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from bidrec.config import Loss
from bidrec.model.loss.frequency import Frequency, corrected
from bidrec.model.loss.hits import without_hits
from bidrec.model.loss.softmax import diagonal_softmax, distinct_softmax, multi_positive_softmax


@dataclass(frozen=True)
class Bids:
    """P bids that happened, and the K >= P candidates: the bids' own companies in their order, then uniform draws."""

    notice_P: Tensor
    """Ids of the notices, repeated where several bids on one are in the batch."""
    company_K: Tensor
    hits: Callable[[], Tensor]
    """(P, K) bool, whether the candidate bid on the row's notice: asked where other bidders are no plain negatives."""
    uniform_rate: float
    """How often a company of the catalogue is expected among the uniform draws."""


class InBatchLoss:
    """Scores, temperature, logQ, mask, softmax; from notices to companies and, with `two_way`, back.

    With `logq` it holds the running frequencies of companies, with `two_way` of notices too, which are part of a
    training's state.
    """

    def __init__(self, settings: Loss, *, notices: int, companies: int, device: torch.device) -> None:
        self.settings = settings
        self.frequencies: dict[str, Frequency] = {}
        if settings.logq:
            learned_from = {"company": companies} | ({"notice": notices} if settings.two_way else {})
            self.frequencies = {
                side: Frequency(ids, decay=settings.frequency_decay, buckets=settings.frequency_buckets, device=device)
                for side, ids in learned_from.items()
            }

    @property
    def of_rows(self) -> bool:
        """Whether `by_rows` gives the loss: nothing in it is about a single pair of a notice and a company."""
        settings = self.settings
        return not (settings.two_way or settings.uniform_negatives) and settings.other_bidders == "negative"

    def __call__(self, notice_PD: Tensor, company_KD: Tensor, scale: Tensor, bids: Bids) -> Tensor:
        """The mean over the P bids (of both directions). notice_PD (P, D), company_KD (K, D): unit vectors."""
        own = len(bids.notice_P)
        logit_PK = notice_PD @ company_KD.T * scale
        company_rate_K, notice_rate_P = self._rates(bids) if self.frequencies else (None, None)
        hit_PK = None if self.settings.other_bidders == "negative" else bids.hits()
        loss = self._one_way(logit_PK, company_rate_K, hit_PK)
        if not self.settings.two_way:
            return loss
        back_PP = None if hit_PK is None else hit_PK[:, :own].T
        return (loss + self._one_way(logit_PK[:, :own].T, notice_rate_P, back_PP)) / 2

    def by_rows(
        self,
        notice_UD: Tensor,
        company_VD: Tensor,
        scale: Tensor,
        notice_of_P: Tensor,
        company_of_P: Tensor,
        log_count_V: Tensor,
        company_P: Tensor | None = None,
        own: slice | None = None,
    ) -> Tensor:
        """The same, no notice or company row scored twice: the arguments are those of `distinct_softmax`, and with
        `logq` the bids' companies (P,): several that nothing is known of stand behind one row.

        own: which of the batch's notices `notice_UD` has. Their bids' part of the mean over all P is then returned;
        frequencies and weights stay those of all.
        """
        bids, log_weight_V = len(notice_of_P), log_count_V
        rate_P = None if company_P is None else self._rate("company", company_P, bids)
        if rate_P is not None:
            log_weight_V = torch.zeros_like(log_count_V).index_add_(0, company_of_P, 1 / rate_P).log()
        if own is not None:
            is_own_P = (notice_of_P >= own.start) & (notice_of_P < own.stop)
            notice_of_P, company_of_P = notice_of_P[is_own_P] - own.start, company_of_P[is_own_P]
            rate_P = None if rate_P is None else rate_P[is_own_P]
        loss = distinct_softmax(notice_UD, company_VD, scale, notice_of_P, company_of_P, log_weight_V, bids)
        # What the bids' own scores are corrected by.
        return loss if rate_P is None else loss + rate_P.log().sum() / bids

    def _rates(self, bids: Bids) -> tuple[Tensor | None, Tensor | None]:
        """Expected draws a step of the candidates, uniform ones included, and of the notices; counts this step too."""
        own = len(bids.notice_P)
        company_rate_K = self._rate("company", bids.company_K, own) + bids.uniform_rate
        return company_rate_K, self._rate("notice", bids.notice_P, own) if self.settings.two_way else None

    def _rate(self, side: str, id_K: Tensor, own: int) -> Tensor:
        """(K,) expected draws a step of these ids, of which the first `own` are drawn in this one."""
        frequency = self.frequencies[side]
        frequency.observe(id_K[:own])
        return frequency.rate(id_K)

    def _one_way(self, logit_RK: Tensor, rate_K: Tensor | None, hit_RK: Tensor | None) -> Tensor:
        if rate_K is not None:
            logit_RK = corrected(logit_RK, rate_K)
        if hit_RK is None:
            return diagonal_softmax(logit_RK)
        if self.settings.other_bidders == "positive":
            return multi_positive_softmax(logit_RK, hit_RK)
        return diagonal_softmax(without_hits(logit_RK, hit_RK))

    def state(self) -> dict[str, Tensor]:
        return {
            f"frequency.{side}.{name}": value
            for side, frequency in self.frequencies.items()
            for name, value in frequency.state().items()
        }

    def restore(self, state: dict[str, Tensor]) -> None:
        for side, frequency in self.frequencies.items():
            frequency.restore({name: state[f"frequency.{side}.{name}"] for name in frequency.state()})

"""What one step learns from, by the model and the loss.

NoticeSteps (default, notice_steps.py): a batch is `batch_size` notices that follow each other in time. The companies'
    histories are taken as of its first notice, so that one snapshot serves the batch and nothing later is seen. The
    loss is over all companies known then, or (loss.kind `in_batch`) over those of a draw of the stretch's bids.
PairSteps (the seed's way, pair_steps.py): a batch is `batch_size` random pairs, or all bids of some random notices
    (whole_notices); a company is its version as of the pair's notice. The loss is over the batch's own companies.
"""

from typing import Any, Protocol

import torch
from torch import Tensor

from bidrec.config import Config
from bidrec.model.two_tower import TwoTower
from bidrec.training.notice_steps import InBatchNoticeSteps, NoticeSteps
from bidrec.training.pair_steps import PairSteps
from bidrec.training.resident import Resident


class Steps(Protocol):
    """An epoch's batches, by their places in it, and the loss of one: what `learn` makes of what is `gathered`."""

    def batches(self, epoch: int) -> int:
        """Put the epoch's batches in their seeded order; how many they are."""

    def rows(self, at: int) -> Tensor:
        """The numbers of the pairs, or of the notices, that the epoch's batch `at` learns from."""

    def start_epoch(self, model: TwoTower) -> None:
        """After `batches`, before its first step: renew what steps read of the model."""

    def gathered(self, at: int) -> Any:
        """All that the step over the epoch's batch `at` reads; what it draws is drawn here."""

    def learn(self, model: TwoTower, batch: Any) -> Tensor:
        """The loss () of what was gathered; of many processes this one's part, which add up to it."""

    def state(self) -> dict[str, Tensor]:
        """What a checkpoint keeps for `restore`."""

    def restore(self, state: dict[str, Tensor]) -> None: ...


def steps_for(config: Config, data: Resident, known_before: int, device: torch.device) -> Steps:
    """The steps that suit the model and the loss; only bids known before `known_before` (epoch seconds) are learned, on
    `device`, which is the data's own unless that is streamed from the host.

    Raises ConfigurationError (64) where the loss reads more of streamed data than its batches.
    """
    match config.model.kind, config.loss_kind:
        case "history", "all_bidders":
            return NoticeSteps(config, data, known_before)
        case "history", "in_batch":
            return InBatchNoticeSteps(config, data, known_before)
        case "static", "in_batch":
            return PairSteps(config, data, known_before, device)
        case kinds:
            raise NotImplementedError(f"no steps for (model.kind, loss.kind) = {kinds}")

"""What steps of both kinds draw by: an epoch's order, and the loss over the companies drawn."""

import torch

from bidrec.config import Config
from bidrec.model.loss.in_batch import InBatchLoss
from bidrec.training.resident import Resident


def order_of(seed: int, epoch: int) -> torch.Generator:
    """Depends on nothing but the seed and the epoch, so that a resumed run goes on in order."""
    return torch.Generator().manual_seed(seed * 1_000_003 + epoch)


def in_batch_loss(config: Config, data: Resident) -> InBatchLoss:
    return InBatchLoss(config.loss, notices=len(data.notice), companies=data.companies, device=data.device)

"""How often an id is drawn in a step, learned from the stream of batches, and the correction by its log.

In a batch of bids, busy companies stand among the negatives more often than others and would be pushed down for it.
Taking the log of the expected number of draws off each score makes the batch's softmax an estimate of the catalogue's.
The estimate follows Yi et al., "Sampling-Bias-Corrected Neural Modeling for Large Corpus Item Recommendations",
RecSys 2019: a decayed mean of the gaps between the steps in which an id occurs; decayed, so that it follows a market
that changes. An id that occurs several times in a step is there counted too, which their version leaves out.
"""

import torch
from torch import Tensor

from bidrec.model.distinct import distinct, repeats

_SPREAD = 2_654_435_761  # Knuth's multiplier: neighbouring ids land in buckets far apart


class Frequency:
    """Expected draws of an id in a step, of ids below `ids`; exact, or hashed into `buckets` that share an estimate.

    `decay` in (0, 1] is the weight of the newest gap. The state is three numbers an id (or bucket) and the step.
    """

    def __init__(self, ids: int, *, decay: float, buckets: int = 0, device: torch.device | None = None) -> None:
        self.decay, self.buckets = decay, buckets
        size = buckets or ids
        self.step = torch.zeros((), dtype=torch.int64, device=device)
        self.last = torch.zeros(size, dtype=torch.int64, device=device)
        """The step in which the id occurred last, counted from 1; 0: not yet."""
        self.gap = torch.zeros(size, device=device)
        self.count = torch.zeros(size, device=device)
        """Decayed means of the steps from one occurrence to the next, and of the draws in a step with one."""

    def observe(self, id_K: Tensor) -> None:
        """Count the ids (K,) drawn in the next step. A first occurrence counts as one since the beginning."""
        self.step += 1
        at = self._bucket(id_K).long()
        if at.device.type == "cpu":
            at, _, drawn = distinct(at)
        else:  # not waited for: one that is there twice is given the same numbers twice
            drawn = repeats(at)
        gap, count = (self.step - self.last[at]).float(), drawn.float()
        weight = torch.where(self.last[at] == 0, 1.0, self.decay)
        self.gap[at] = torch.lerp(self.gap[at], gap, weight)
        self.count[at] = torch.lerp(self.count[at], count, weight)
        self.last[at] = self.step

    def rate(self, id_K: Tensor) -> Tensor:
        """(K,) expected draws in a step; 0 for an id that never occurred."""
        at = self._bucket(id_K)
        return self.count[at] / self.gap[at].clamp(min=1)

    def state(self) -> dict[str, Tensor]:
        return {"step": self.step, "last": self.last, "gap": self.gap, "count": self.count}

    def restore(self, state: dict[str, Tensor]) -> None:
        for name, value in state.items():
            setattr(self, name, value.to(self.last.device))

    def _bucket(self, id_K: Tensor) -> Tensor:
        return (id_K * _SPREAD & 0xFFFFFFFF) % self.buckets if self.buckets else id_K


def corrected(logit_RK: Tensor, rate_K: Tensor) -> Tensor:
    """The logits (R, K) less the log of how often a candidate is expected among the K; one never expected is none."""
    return (logit_RK - rate_K.log()).masked_fill(rate_K == 0, -torch.inf)

"""The numbers of a training, step by step: loss, gradient norm, whether they and the weights are finite.

They stay on the device and are looked at every LOOK_EVERY steps, at each checkpoint and at an epoch's end: looking
makes a GPU's host wait for it. What is wrong is therefore known some steps late, and still blamed on the right step.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

LOOK_EVERY = 50
"""Steps from one look to the next, and from one gradient norm to the next where nothing is clipped."""


@dataclass(frozen=True)
class NotFinite:
    """The first step since the last look that something was wrong at: how many steps ago, and what."""

    steps_ago: int
    what: str


class Watch:
    """`gradients` and `loss` take what a step gave, and clip the former; `look` reads what has come together.

    `clip_norm`: gradients are scaled down to this norm where they are longer; 0: as they are.
    """

    def __init__(self, device: torch.device, clip_norm: float) -> None:
        self.clip_norm = clip_norm
        self.unseen = torch.zeros(LOOK_EVERY, device=device)
        self.count = 0
        """Steps since the last look; their losses are the first in `unseen`."""
        self.start_epoch()

    def start_epoch(self) -> None:
        device = self.unseen.device
        self.loss_sum = torch.zeros((), dtype=torch.float64, device=device)
        self.norm, self.largest_norm = torch.zeros((), device=device), torch.zeros((), device=device)

    def gradients(self, parameters: Iterable[nn.Parameter], step: int, first: bool = False) -> None:
        """After the backward pass of `step`: measure the gradients where it is their turn, and clip them.

        `first`: of its epoch, which may be too short for another turn."""
        if not self.clip_norm and step % LOOK_EVERY and not first:
            return
        values = [parameter.grad for parameter in parameters if parameter.grad is not None]
        self.norm = torch.nn.utils.get_total_norm(values)
        self.largest_norm = torch.maximum(self.largest_norm, self.norm)
        if self.clip_norm:
            torch._foreach_mul_(values, (self.clip_norm / self.norm).clamp(max=1.0))

    def loss(self, loss: Tensor) -> None:
        """The loss () of a step that was taken. Not after LOOK_EVERY steps without a look (`due`)."""
        self.unseen[self.count] = loss.detach()
        self.loss_sum += loss.detach()
        self.count += 1

    @property
    def due(self) -> bool:
        return self.count == LOOK_EVERY

    def look(self) -> NotFinite | None:
        """The first step since the last look whose loss is not finite; None where all are."""
        unseen, self.count = self.unseen[: self.count], 0
        wrong = (~torch.isfinite(unseen)).nonzero().flatten().tolist()
        return NotFinite(len(unseen) - wrong[0], f"the loss is {unseen[wrong[0]].item()}") if wrong else None

    def state(self) -> dict[str, Tensor]:
        """What a checkpoint keeps, so that a resumed epoch ends with the same figures."""
        return {name: getattr(self, name) for name in _STATE}

    def restore(self, state: dict[str, Tensor]) -> None:
        for name in _STATE:
            setattr(self, name, state[name].to(self.unseen.device))


_STATE = ("loss_sum", "norm", "largest_norm")


@torch.no_grad()
def finite(weights: Iterable[Tensor]) -> bool:
    """Whether all of them are. By their sums, which take a tenth of the time of a copy; waits for a GPU once."""
    return bool(torch.stack([weight.sum(dtype=torch.float32) for weight in weights]).isfinite().all())

"""The optimiser: Adam over the network, and over the embedding tables what training.table_optimiser says.

`rowwise_adagrad` and `sparse_adam` move the rows that a batch touches, inside the backward pass (bidrec.model.tables);
`adam` moves all rows of all tables in every step. Either way there is one optimiser to save, to load and to give a
learning rate to.
"""

from typing import Any

import torch
from torch import Tensor

from bidrec.config import Training
from bidrec.model.adam import adam
from bidrec.model.row_rules import new_state
from bidrec.model.tables import Rate, Table, row_update
from bidrec.model.two_tower import TwoTower


def optimiser_for(model: TwoTower, settings: Training) -> "Optimiser":
    """Build it for a model that stands on its device already: the tables' updates work on the weights' own memory."""
    tables = [module for module in model.modules() if isinstance(module, Table)]
    if settings.table_optimiser == "adam":
        tables = []
    aside = {id(table.weight) for table in tables}
    learned = [p for p in model.parameters() if p.requires_grad and id(p) not in aside]
    return Optimiser(learned, tables, settings)


class Optimiser(torch.optim.Adam):
    """Adam over the first group of parameters; the second group are tables that learn by a rule of their own.

    torch.optim.Adam saves and loads it; its step is bidrec.model.adam's, which gives the same numbers.
    """

    def __init__(self, learned: list[Tensor], tables: list[Table], settings: Training) -> None:
        self.settings, self.learned, self.tables = settings, learned, tables
        self.param_groups: list[dict[str, Any]]
        adagrad = settings.table_optimiser == "rowwise_adagrad"
        self.table_learning_rate = settings.table_learning_rate if adagrad else settings.learning_rate
        self.rate = Rate(self.table_learning_rate)
        super().__init__(learned, lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True)
        if tables:
            self.add_param_group({"params": [table.weight for table in tables]})
            for table in tables:
                table.weight.requires_grad_(False)  # the rule moves them: nobody is to wait for a gradient
                self.state[table.weight] = new_state(settings.table_optimiser, table.weight.detach())
        self._attach()

    def set_share(self, share: float) -> None:
        """Set the step's learning rates: this share of the configured ones. Before the loss is computed."""
        for group in self.param_groups:
            group["lr"] = self.settings.learning_rate * share
        self.rate.learning_rate = self.table_learning_rate * share

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        for weight in self.learned:
            weight.grad = None

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Adam's step over the weights that have a gradient. The tables have moved in the backward pass."""
        gradients = {index: weight.grad for index, weight in enumerate(self.learned) if weight.grad is not None}
        at = list(gradients)
        if len(at) == len(self.learned):
            self.steps += 1
        else:
            self.steps[at] += 1
        adam(
            [self.learned[index] for index in at],
            list(gradients.values()),
            [self.means[index] for index in at],
            [self.squares[index] for index in at],
            [self.step_of[index] for index in at],
            self.param_groups[0]["lr"],
            weight_decay=self.settings.weight_decay,
        )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self._keep_own(state_dict["state"])
        self._attach()

    def _keep_own(self, state: dict[int, dict[str, Tensor]]) -> None:
        """Own, aligned float32 copies of the state: safetensors may load a tensor at any byte, and the row rules
        write four numbers at once. The count of steps stays on the host, where a rule reads it."""
        for index, table in enumerate(self.tables, start=len(self.param_groups[0]["params"])):
            found = {name: value.to(table.weight.device, copy=True) for name, value in state[index].items()}
            self.state[table.weight] = found | {"step": state[index]["step"].cpu().clone()}

    def _attach(self) -> None:
        """Take the state as it is now: that of a new or of a loaded optimiser."""
        states = [self.state[weight] or _new_moments(weight) for weight in self.learned]
        self.steps = torch.stack([state["step"] for state in states])
        """(N,) of all weights, one addition a step; each weight's state has its own part of it."""
        self.step_of = list(self.steps.unbind())
        self.means = [state["exp_avg"] for state in states]
        self.squares = [state["exp_avg_sq"] for state in states]
        for weight, state, step in zip(self.learned, states, self.step_of, strict=True):
            self.state[weight] = state | {"step": step}
        for table in self.tables:
            state = self.state[table.weight]
            if table.sharded:
                table.sharded.remember(state, self.rate)
            else:
                table.update = row_update(self.settings.table_optimiser, table.weight.detach(), state, self.rate)


def _new_moments(weight: Tensor) -> dict[str, Tensor]:
    step = torch.zeros((), device=weight.device)
    return {"step": step, "exp_avg": torch.zeros_like(weight), "exp_avg_sq": torch.zeros_like(weight)}


def rate_share(step: int, total: int, warmup_share: float) -> float:
    """Linear warm-up, then linear decay to zero; the share of the configured learning rate at `step` (from 0)."""
    warmup = max(1, round(total * warmup_share))
    return min((step + 1) / warmup, max(0.0, (total - step) / max(1, total - warmup)))

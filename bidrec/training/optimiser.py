"""The optimiser: Adam over the network, and over the embedding tables what training.table_optimiser says.

`rowwise_adagrad` and `sparse_adam` move the rows that a batch touches, inside the backward pass (bidrec.model.tables);
`adam` moves all rows of all tables in every step. Either way there is one optimiser to save, to load and to give a
learning rate to.
"""

from typing import Any

import torch
from torch import Tensor

from bidrec.config import Training
from bidrec.model.tables import Rate, Table, new_state, row_update
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
    """Adam over the first group of parameters; the second group are tables that learn by a rule of their own."""

    def __init__(self, learned: list[Tensor], tables: list[Table], settings: Training) -> None:
        self.settings, self.tables = settings, tables
        self.param_groups: list[dict[str, Any]]
        adagrad = settings.table_optimiser == "rowwise_adagrad"
        self.table_learning_rate = settings.table_learning_rate if adagrad else settings.learning_rate
        self.rate = Rate(self.table_learning_rate)
        # Fused: one pass over the moments instead of seven, a sixth of the time on a CPU.
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

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:  # type: ignore[override]
        """Adam's step. The tables have moved in the backward pass."""
        groups, self.param_groups = self.param_groups, self.param_groups[:1]
        try:
            return super().step(closure)
        finally:
            self.param_groups = groups

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self._keep_own(state_dict["state"])
        self._attach()

    def _keep_own(self, state: dict[int, dict[str, Tensor]]) -> None:
        """torch gave the tables' state the weights' number format, which may have half the digits, and put the number
        of steps on their device, where a rule would wait for it."""
        for index, table in enumerate(self.tables, start=len(self.param_groups[0]["params"])):
            if table.weight.dtype != torch.float32:
                found = {name: value.to(table.weight.device, copy=True) for name, value in state[index].items()}
                self.state[table.weight] = found
            self.state[table.weight]["step"] = state[index]["step"].cpu().clone()

    def _attach(self) -> None:
        for table in self.tables:
            state = self.state[table.weight]
            if table.sharded:
                table.sharded.remember(state, self.rate)
            else:
                table.update = row_update(self.settings.table_optimiser, table.weight.detach(), state, self.rate)


def rate_share(step: int, total: int, warmup_share: float) -> float:
    """Linear warm-up, then linear decay to zero; the share of the configured learning rate at `step` (from 0)."""
    warmup = max(1, round(total * warmup_share))
    return min((step + 1) / warmup, max(0.0, (total - step) / max(1, total - warmup)))

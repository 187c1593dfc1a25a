"""A training on a GPU that draws what one on a CPU draws: its candidates, orders and negatives are the host's."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map_only

DRAWS = ("rand", "randint", "randperm", "multinomial")


def draw_on_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on DRAWS come from the host's generator, and are then put where they were asked for. Masks of dropout,
    and the rounding by chance, stay the GPU's."""
    for name in DRAWS:
        monkeypatch.setattr(torch, name, _on_the_host(getattr(torch, name)))


def _on_the_host(draw: Callable[..., Tensor]) -> Callable[..., Tensor]:
    @wraps(draw)  # the compiler asks torch's functions for their names
    def drawn(*args: Any, device: torch.device | None = None, **kwargs: Any) -> Tensor:
        given = [each.device for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)]
        args, kwargs = tree_map_only(Tensor, Tensor.cpu, (args, kwargs))
        return draw(*args, **kwargs).to(device or next(iter(given), torch.device("cpu")))

    return drawn

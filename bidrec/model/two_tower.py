"""The model: two towers and a temperature, built from the training set's schema and the configuration."""

import math
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from bidrec.config import Model
from bidrec.model.loss.temperature import bounded_scale
from bidrec.model.members import HistoryTowers, NoticeTowers, turned
from bidrec.model.rows import Shape
from bidrec.model.towers import HistoryTower, NoticeTower, StaticTower

OfRows = TypeVar("OfRows", NoticeTower, StaticTower)
"""A tower over rows alone."""


class TwoTower(nn.Module):
    """`notice` maps notice rows, `company` maps companies to (B, W) unit vectors, of all members side by side; their
    product is the mean of the members' cosines. `published` turns them into what others see."""

    def __init__(
        self,
        notice: nn.Module,
        company: nn.Module,
        *,
        temperature: float,
        learn_temperature: bool,
        temperature_range: tuple[float, ...],
        history_length: int,
        members: int,
        embedding_dim: int,
    ) -> None:
        super().__init__()
        self.members = members
        self.axes: Tensor
        # Set at a training's end; until then the first member's own.
        self.register_buffer("axes", torch.eye(members * embedding_dim, embedding_dim))
        self.history_length = history_length
        """Bids of a company's history that are read, newest first; a training step reads fewer."""
        self.coldest, self.hottest = temperature_range
        self.notice = notice
        self.company = company
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / temperature)), requires_grad=learn_temperature)

    def published(self, vector_BW: Tensor) -> Tensor:
        """(B, W) either tower's vectors -> (B, D) unit vectors, whose products rank nearly as theirs do."""
        return turned(vector_BW, self.axes) if self.members > 1 else vector_BW

    @property
    def device(self) -> torch.device:
        return self.log_scale.device

    @property
    def width(self) -> int:
        """W, of the towers' own vectors."""
        return self.axes.shape[0]

    @property
    def scale(self) -> Tensor:
        """1 / temperature, kept within its bounds."""
        return bounded_scale(self.log_scale, self.coldest, self.hottest)


def build(config: Model, schema: dict[str, Any]) -> TwoTower:
    """The model that `config` asks for, over the sides of the training set's schema.json."""
    notice, version, profile = (Shape.of(schema[side]) for side in ("notice", "version", "profile"))
    towers: tuple[nn.Module, nn.Module]
    members = 1
    match config.kind:
        case "history":
            members = config.members
            pairs = [
                (_tower(NoticeTower, config, notice), _history_tower(config, version, profile)) for _ in range(members)
            ]
            notices, companies = [list(side) for side in zip(*pairs, strict=True)]
            towers = (NoticeTowers(notices), HistoryTowers(companies)) if members > 1 else pairs[0]
        case "static":
            towers = _tower(StaticTower, config, notice), _tower(StaticTower, config, profile)
        case kind:
            raise NotImplementedError(f"no towers for model.kind {kind!r}")
    return TwoTower(
        *towers,
        temperature=config.temperature,
        learn_temperature=config.learn_temperature,
        temperature_range=config.temperature_range,
        history_length=config.history_length,
        members=members,
        embedding_dim=config.embedding_dim,
    )


def _tower(kind: type[OfRows], config: Model, shape: Shape) -> OfRows:
    return kind(
        shape,
        table_dim=config.table_dim,
        hidden=config.hidden,
        embedding_dim=config.embedding_dim,
        dropout=config.dropout,
    )


def _history_tower(config: Model, version: Shape, profile: Shape) -> HistoryTower:
    return HistoryTower(
        version,
        profile,
        half_lives=config.half_lives,
        table_dim=config.table_dim // 4,
        hidden=config.company_hidden,
        embedding_dim=config.embedding_dim,
        fact_dropout=config.fact_dropout,
    )

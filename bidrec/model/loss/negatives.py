"""Who bidders are compared with: all known companies, a uniform sample, or some uniform ones beside a batch's."""

import math

import torch
from torch import Tensor


def sampled_candidates(known_K: Tensor, bidder_P: Tensor, limit: int) -> tuple[Tensor, Tensor]:
    """Sampled softmax: the bidders and a uniform sample of the other known companies (K,) ascending, `limit` together.

    Where all known companies fit, they are the candidates. Returns the candidates, and the log of how many companies
    each stands for: 0 for one that is there for itself.
    """
    if len(known_K) <= limit:
        return known_K, torch.zeros(len(known_K), device=known_K.device)
    # Marks and not isin, which sorts all of a large catalogue.
    is_bidder = torch.zeros(len(known_K), dtype=torch.bool, device=known_K.device)
    is_bidder[torch.searchsorted(known_K, bidder_P)] = True
    certain, others = known_K[is_bidder], known_K[~is_bidder]
    drawn = others[torch.randperm(len(others), device=known_K.device)[: max(1, limit - len(certain))]]
    weight = math.log(len(others) / len(drawn)) if len(drawn) else 0.0
    log_weight = torch.full((len(certain) + len(drawn),), weight, device=known_K.device)
    log_weight[: len(certain)] = 0
    return torch.cat([certain, drawn]), log_weight


def uniform_negatives(known_C: Tensor, count: int) -> Tensor:
    """Mixed negatives (Yang et al., 2020): `count` draws from the catalogue, with replacement, to join a batch's own.

    Companies that hardly ever bid are in no batch, and nothing else would teach that they are not wanted.
    """
    return known_C[torch.randint(len(known_C), (count,), device=known_C.device)]

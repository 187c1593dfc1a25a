"""Every notice and every company to its vector, in blocks: for the history cache, validation, test and write-back.

Vectors are the towers' own, of all members side by side: the company tower reads such ones. `TwoTower.published` makes
of them what others see. They lie where the data does: on the host, where that is streamed to a model on a GPU.
"""

import torch
from torch import Tensor

from bidrec.model.history import Vectors
from bidrec.model.members import vectors_of
from bidrec.model.towers import StaticTower
from bidrec.model.two_tower import TwoTower
from bidrec.operations import log
from bidrec.operations.progress import Counted
from bidrec.training.resident import Companies, Resident

_logger = log.get("towers")
BLOCK = 8192


@torch.no_grad()
def notice_vectors(model: TwoTower, data: Resident, rows: Tensor | None = None) -> Tensor:
    """(N, D) unit vectors of the notices `rows` (N,), or of all, without dropout."""
    training = model.training
    model.eval()
    rows = torch.arange(len(data.notice), device=data.device) if rows is None else rows
    vectors = torch.empty(len(rows), model.width, device=data.device)
    embedded = Counted(_logger, "embedding notices", len(rows))
    for block, into in zip(rows.split(BLOCK), vectors.split(BLOCK), strict=True):
        if len(block):  # torchrec cannot look up nothing
            batch = data.notice.take(block, data.published_at[block])
            into.copy_(model.notice(batch.to(model.device)))
            embedded(len(block))
    model.train(training)
    return vectors


@torch.no_grad()
def company_vectors(model: TwoTower, data: Resident, notice_ND: Tensor, as_of: int) -> tuple[Tensor, Tensor]:
    """Vectors (C, D) of the companies as known at `as_of` (epoch seconds UTC), and which are known (C,) bool.

    `notice_ND` are all notices' vectors, through which histories are read; a static tower reads none, and takes those
    of any. An unknown company's vector is zero.
    """
    training = model.training
    model.eval()
    version_C = data.versions_as_of(as_of)
    known_C = version_C >= 0
    vectors = torch.zeros(data.companies, notice_ND.shape[1], device=data.device)
    notices = vectors_of(notice_ND, model.members)
    known = known_C.nonzero().flatten()
    embedded = Counted(_logger, "embedding companies", len(known))
    for block in known.split(BLOCK):
        if len(block):
            vectors[block] = _company_block(model, data, notices, version_C[block], as_of)
            embedded(len(block))
    model.train(training)
    return vectors, known_C


def _company_block(model: TwoTower, data: Resident, notices: list[Vectors], version_B: Tensor, as_of: int) -> Tensor:
    """(B, D) unit vectors of the companies with these version rows."""
    if isinstance(model.company, StaticTower):
        profiles = data.profiles(data.profiles_of(version_B), as_of)
        return model.company(profiles.to(model.device)).to(data.device)
    return gathered_companies(model, notices, data.company_batch(version_B, as_of, model.history_length))


def gathered_companies(model: TwoTower, notices: list[Vectors], companies: Companies) -> Tensor:
    """(B, D) unit vectors of companies that were gathered already; each member has its own vectors of the notices."""
    if isinstance(model.company, StaticTower):
        return model.company(companies.profile)
    own = notices if model.members > 1 else notices[0]
    return model.company(own, companies.history, companies.version, companies.profile, companies.has_profile_B)

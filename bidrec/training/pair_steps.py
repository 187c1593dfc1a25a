"""Steps of the `static` model: a draw of pairs, or of whole notices.

Serves  bidrec.training.steps, which says what the kinds of steps are
"""

from collections import deque

import torch
from torch import Tensor

from bidrec.config import Config, Loss
from bidrec.errors import ConfigurationError, InputMissing
from bidrec.model.loss.hits import true_bids
from bidrec.model.loss.in_batch import Bids
from bidrec.model.loss.negatives import uniform_negatives
from bidrec.model.two_tower import TwoTower
from bidrec.operations.machine import cores
from bidrec.training import distributed, processes
from bidrec.training.copy_stream import CopyStream
from bidrec.training.drawing import in_batch_loss, order_of
from bidrec.training.pair_batches import AHEAD_ON_A_GPU, AHEAD_PAIRS, PairBatch, Shared, gather
from bidrec.training.pair_order import Epoch, Pieces
from bidrec.training.prefetch import Prefetch
from bidrec.training.resident import Resident


class PairSteps:
    """The softmax over the companies of a batch of bids, and uniform ones where configured."""

    epoch: Epoch
    """That of the last call of `batches`."""

    def __init__(self, config: Config, data: Resident, known_before: int, device: torch.device | None = None) -> None:
        self.data, self.settings, self.known_before = data, config.training, known_before
        self.prefetch = self._prefetched_by(device or data.device)
        self.uniform, self.in_batch = config.loss.uniform_negatives, in_batch_loss(config, data)
        learned = (data.pair_known_at < known_before) & (data.pair_version >= 0)
        self.pieces = Pieces(learned, data.pair_notice, self.settings.batch_size, self.settings.whole_notices)
        self.ahead: deque[tuple[int, PairBatch]] = deque()
        if isinstance(self.prefetch, CopyStream) and config.loss != Loss(kind=config.loss.kind):
            raise ConfigurationError(
                "training.stream_notices on a GPU goes with the plain loss only: other settings of [loss] read more",
                hint="leave [loss] at its defaults, stream_notices at 0, or set training.device to 'cpu'",
            )
        if not len(self.pieces):
            raise InputMissing(
                "no pair to train on: no bid before the validation window by a company known at the time",
                hint="move split.train_before later or shorten split.validation_days",
            )
        self.shared = self._shared()

    def batches(self, epoch: int) -> int:
        if self.prefetch:
            self.prefetch.forget()  # before: a gather under way reads the epoch
        self.ahead.clear()
        self.epoch = self.pieces.epoch(order_of(self.settings.seed, epoch), self._window())
        if self.data.stream:
            self.data.stream.start(self.epoch.windows())
        return len(self.epoch)

    def _prefetched_by(self, device: torch.device) -> CopyStream | Prefetch | None:
        """What makes the next batches while steps over these are computed on `device`, where something can."""
        if device.type != self.data.device.type:
            return CopyStream(device)
        idle = processes.size() == 1 and torch.get_num_threads() < cores()
        return Prefetch() if device.type == "cpu" and idle else None

    def _shared(self) -> Shared:
        """By the first batch of all: it is the same one in all processes, and after a restart."""
        if self.settings.whole_notices:
            return Shared(notice=True, company=True)
        first = self.pieces.epoch(order_of(self.settings.seed, 0), self._window())
        return Shared.among(self.data, first.batches(0)[0])

    def rows(self, at: int) -> Tensor:
        return self.epoch.batches(at)[0]

    def _window(self) -> int:
        """How many pieces are as many as the notices that are shuffled together; 0: all."""
        notices = self.settings.stream_notices
        return notices and max(1, notices * len(self.pieces) // len(self.data.notice))

    def start_epoch(self, model: TwoTower) -> None:
        """Nothing is cached."""

    def learn(self, model: TwoTower, batch: PairBatch) -> Tensor:
        """The loss of a batch that is gathered already."""
        if self.in_batch.of_rows:
            return self._by_rows(model, batch)
        notice_UD = distributed.gathered(model.notice, batch.notice)
        company_VD = distributed.gathered(model.company, batch.company)
        return self._in_batch(model, batch, notice_UD[batch.notice_of_P], company_VD[batch.company_of_P])

    def gathered(self, at: int) -> PairBatch:
        """The epoch's batch `at`, gathered together with those that follow it."""
        if not self.ahead or self.ahead[0][0] != at:
            self.ahead = deque(enumerate(self._group(at), at))
        return self.ahead.popleft()[1]

    def _group(self, at: int) -> list[PairBatch]:
        if not self.prefetch:
            return self._gathered_from(at)
        following = at + self._ahead()
        return self.prefetch.take(at, following if following < len(self.epoch) else None, self._gathered_from)

    def _ahead(self) -> int:
        """How many batches are gathered together."""
        least = AHEAD_ON_A_GPU if self.data.device.type == "cuda" else 1
        return max(least, AHEAD_PAIRS // self.settings.batch_size)

    def _gathered_from(self, at: int) -> list[PairBatch]:
        if self.data.stream:
            self.data.stream.reach(at)
        return gather(self.data, self.epoch.batches(at, self._ahead()), self.shared)

    def _by_rows(self, model: TwoTower, batch: PairBatch) -> Tensor:
        """Of many processes each one scores its own part of the notices."""
        notice_UD = distributed.own(model.notice, batch.notice)
        company_VD = distributed.gathered(model.company, batch.company)
        places = batch.notice_of_P, batch.company_of_P, batch.log_count_V
        company_P = self.data.pair_company.index_select(0, batch.pair_P) if self.in_batch.frequencies else None
        own = distributed.part(len(batch.notice)) if processes.size() > 1 else None
        return self.in_batch.by_rows(notice_UD, company_VD, model.scale, *places, company_P, own)

    def _in_batch(self, model: TwoTower, batch: PairBatch, notice_PD: Tensor, company_PD: Tensor) -> Tensor:
        data, notice_P = self.data, batch.notice_U[batch.notice_of_P]
        company_U, version_U, as_of_U = self._uniform(data.published_at[notice_P])
        company_K = torch.cat([data.pair_company[batch.pair_P].long(), company_U])
        if len(company_U):
            drawn = data.profiles(data.profiles_of(version_U), as_of_U)
            company_PD = torch.cat([company_PD, distributed.gathered(model.company, drawn)])

        def hits() -> Tensor:
            of_notices = data.bids_of(batch.notice_U, self.known_before)
            return true_bids(*of_notices, len(batch.notice_U), company_K)[batch.notice_of_P]

        bids = Bids(notice_P, company_K, hits, self.uniform / data.companies)
        return self.in_batch(notice_PD, company_PD, model.scale, bids) / processes.size()

    def _uniform(self, as_of_P: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Uniform negatives: companies, their versions and as-of times. Each is taken as of one of the batch's notices
        and dropped where nothing was known of it then."""
        device = self.data.device
        company_U = uniform_negatives(torch.arange(self.data.companies, device=device), self.uniform)
        as_of_U = as_of_P[torch.randint(len(as_of_P), (self.uniform,), device=device)]
        version_U = self.data.newest_versions(company_U, as_of_U)
        known_U = version_U >= 0
        return company_U[known_U], version_U[known_U], as_of_U[known_U]

    def state(self) -> dict[str, Tensor]:
        return self.in_batch.state()

    def restore(self, state: dict[str, Tensor]) -> None:
        self.in_batch.restore(state)

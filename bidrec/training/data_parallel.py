"""The networks in many processes: a step's forward pass inside torch's DistributedDataParallel (DDP).

Serves  the loop; tables with a rule of their own are bidrec.model.shared_rows' and bidrec.training.sharding's

DDP adds up the gradients of some layers while the backward pass computes those of others. It wants one module whose
call gives the loss: with both towers and the exchange of their vectors inside, for the loss is over all processes'.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed import GradBucket
from torch.nn.parallel import DistributedDataParallel

from bidrec.model.two_tower import TwoTower
from bidrec.training import processes

Learn = Callable[[TwoTower, Any], Tensor]
"""(model, batch) -> this process's part of the loss (), as Steps.learn."""


def data_parallel(model: TwoTower, learn: Learn) -> Callable[[Any], Tensor]:
    """`learn` with its model, of a batch; in its backward pass the gradients become their sums over the processes.

    The model's optimiser is there before: it says which tables get no gradient.
    """
    if processes.size() == 1:
        return partial(learn, model)
    # Nothing is sent around at first: all drew the same weights, and of a sharded table each has its own rows. Which
    # parameters get no gradient, a text's where there is none, is the same in every step.
    parallel = DistributedDataParallel(
        _Whole(model, learn), init_sync=False, forward_sync_buffers=False, static_graph=True
    )
    parallel.register_comm_hook(None, _summed)
    return parallel


class _Whole(nn.Module):
    def __init__(self, model: TwoTower, learn: Learn) -> None:
        super().__init__()
        self.model, self.learn = model, learn

    def forward(self, batch: Any) -> Tensor:
        return self.learn(self.model, batch)


def _summed(_: None, bucket: GradBucket) -> torch.futures.Future[Tensor]:
    """Some layers' gradients, of all processes: not DDP's mean, for the losses add up to the batch's mean already."""
    work = torch.distributed.all_reduce(bucket.buffer(), async_op=True)
    return work.get_future().then(lambda done: done.value()[0])

"""A GPU that is not there: the CPU computes, and each tensor has a place, host or GPU, that every operation respects.

What only a GPU shows otherwise, and only at the step that does it: an operation over tensors of two places, a tensor of
the GPU read as numpy, an operation that deterministic mode refuses there, one of fbgemm's, whose build for GPUs may be
missing. Kernels, streams and speed are not tested.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

from bidrec.training.pair_batches import _places

GPU, HOST = torch.device("cuda", 0), torch.device("cpu")
UUID = "8f1c1f4e-52a4-11ef-9d3c-0242ac120002"
"""As torch spells a GPU's; nvidia-smi says GPU- before it."""
BETWEEN = {"aten.copy_", "aten._to_copy"}
"""Operations from one place to the other."""
INDEXED = {"aten.index", "aten.index_put", "aten.index_put_", "aten._index_put_impl_"}
"""Operations whose indices may lie on the host, which waits until they are copied."""
WAITED_FOR = {
    *("aten._local_scalar_dense", "aten.nonzero", "aten._unique2", "aten.masked_select"),
    *("aten.bincount", "aten.multinomial"),  # look at their input's least and greatest
}
"""Operations whose result, or its size, the host waits for."""
FROM_THE_HOST = {"tensor", "as_tensor"}
"""Calls that make a tensor on the host and copy it, for which the host waits as for all memory that is not pinned."""
REFUSED = {"aten.put_", "aten.histc", "aten.kthvalue", "aten.median"}
"""Operations that deterministic mode refuses on a GPU, whatever their inputs."""


class PretendGpu:
    """Which tensors are on it, and which operations the host has waited for (`waits`)."""

    def __init__(self) -> None:
        self.waits: Counter[str] = Counter()
        self.storages: dict[int, StorageWeakRef] = {}

    def has(self, tensor: Tensor) -> bool:
        """Whether the tensor's memory is the GPU's."""
        return self._key(tensor) in self.storages

    def put(self, tensor: Tensor) -> Tensor:
        """From here on its memory is the GPU's. The reference keeps the memory's number from being given again."""
        self.storages[self._key(tensor)] = StorageWeakRef(tensor.untyped_storage())
        return tensor

    def moved(self, tensor: Tensor, to_gpu: bool, waited_for: bool = True) -> Tensor:
        """The tensor itself where it is there already, or a copy."""
        if self.has(tensor) == to_gpu:
            return tensor
        if waited_for:
            self.waits["cuda" if to_gpu else "cpu"] += 1
        copy = tensor.detach().clone()  # the copy of a tensor of the GPU is one too
        self.storages.pop(self._key(copy), None)
        return self.put(copy) if to_gpu else copy

    def computed(self, name: str, inputs: list[Any], output: Any) -> None:
        """Check where an operation's inputs were; what it made is where they are."""
        tensors = [each for each in inputs if isinstance(each, Tensor)]
        there = [each for each in tensors if self.has(each)]
        here = [each for each in tensors if not self.has(each) and each.dim()]
        if name in INDEXED and self.has(tensors[0]):
            indices = here if name == "aten.index" else [each for each in here if each is not tensors[-1]]
            self.waits.update(["index from the host"] * len(indices))
            here = []
        if not there:
            return
        if name.startswith("fbgemm."):
            raise RuntimeError(f"{name}: fbgemm's build for the CPU has no such operation for a GPU")
        if here and name not in BETWEEN:
            raise RuntimeError(f"{name}: tensors on two devices: {[(self.has(t), tuple(t.shape)) for t in tensors]}")
        if name == "aten._fused_adam_" and not _as_one_kernel_reads(inputs):
            raise RuntimeError(
                f"{name}: params, grads, exp_avgs, and exp_avg_sqs must have same dtype, device, and layout"
            )
        if torch.are_deterministic_algorithms_enabled() and _refused(name, tensors):
            raise RuntimeError(f"{name} does not have a deterministic implementation")
        places = tensors[1:] if name == "aten.index" else tensors[1:-1]  # what is put there is no index
        by_mask = name in INDEXED and any(each.dtype == torch.bool for each in places)
        if name in WAITED_FOR or by_mask or (name == "aten.repeat_interleave" and inputs[-1] is None):
            self.waits[name] += 1
        if name not in {"aten._local_scalar_dense", "aten.copy_"}:
            tree_map_only(Tensor, self.put, output)

    @staticmethod
    def _key(tensor: Tensor) -> int:
        return tensor.untyped_storage()._cdata


def _as_one_kernel_reads(inputs: list[Any]) -> bool:
    """Whether weights, gradients and moments lie in memory alike, each list as long as the others, the steps' last."""
    given = [each for each in inputs if isinstance(each, Tensor)]
    lists = [given[at : at + len(given) // 5] for at in range(0, len(given) // 5 * 4, len(given) // 5)]
    return all(len({(each.dtype, each.stride()) for each in of_one}) == 1 for of_one in zip(*lists, strict=True))


def _refused(name: str, tensors: list[Tensor]) -> bool:
    floats = tensors[0].is_floating_point()
    return name in REFUSED or (name == "aten.cumsum" and floats) or (name == "aten.bincount" and len(tensors) > 1)


class _Operations(TorchDispatchMode):
    """All that is computed, backward passes included."""

    def __init__(self, gpu: PretendGpu) -> None:
        super().__init__()
        self.gpu = gpu

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        output = func(*args, **kwargs)
        name = ".".join(str(func).split(".")[:2])
        self.gpu.computed(name, [*tree_leaves((args, kwargs)), kwargs.get("output_size")], output)
        return output


class _Calls(TorchFunctionMode):
    """All that is said about devices."""

    def __init__(self, gpu: PretendGpu) -> None:
        super().__init__()
        self.gpu = gpu

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        gpu, kwargs, name = self.gpu, dict(kwargs or {}), getattr(func, "__name__", "")
        own = args[0] if args and isinstance(args[0], Tensor) else None
        if func == torch.Tensor.device.__get__:
            return GPU if gpu.has(args[0]) else HOST
        if func == torch.Tensor.is_cuda.__get__:  # type: ignore[attr-defined]
            return gpu.has(args[0])
        if own is not None and name in {"numpy", "__array__", "data_ptr", "pin_memory"} and gpu.has(own):
            raise TypeError(f"{name} of a tensor on a GPU")
        if own is not None and name == "pin_memory":
            return own.clone()
        if own is not None and name in {"cpu", "cuda"}:
            return gpu.moved(own, name == "cuda")
        if own is not None and name == "to":
            return self._to(func, own, args[1:], kwargs)
        wanted = kwargs.get("device")
        if wanted is None or torch.device(wanted).type != "cuda":
            return func(*args, **kwargs)
        if name in FROM_THE_HOST:
            gpu.waits[name] += 1
        return tree_map_only(Tensor, gpu.put, func(*args, **kwargs | {"device": HOST}))

    def _to(self, func: Any, own: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
        """Tensor.to, whose device may stand anywhere."""
        places = [each for each in (*args, kwargs.pop("device", None)) if isinstance(each, str | torch.device)]
        rest = [each for each in args if isinstance(each, torch.dtype)]
        to_gpu = bool(places) and torch.device(places[0]).type == "cuda"
        there = self.gpu.moved(own, to_gpu, not kwargs.pop("non_blocking", False)) if places else own
        return func(there, *rest, **kwargs) if rest or kwargs else there


class _Event:
    def __init__(self, enable_timing: bool = False) -> None: ...

    def record(self, stream: "_Stream") -> None:
        self.at = time.perf_counter()

    def synchronize(self) -> None: ...

    def elapsed_time(self, end: "_Event") -> float:
        return (end.at - self.at) * 1e3


class _Stream:
    device = GPU

    def __init__(self, device: torch.device | None = None) -> None: ...

    def record_event(self) -> "_Stream":
        return self

    def wait_event(self, event: "_Stream") -> None: ...

    def wait_stream(self, stream: "_Stream") -> None: ...

    def synchronize(self) -> None: ...


@contextmanager
def pretend_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[PretendGpu]:
    """torch finds a GPU during the block. Half precision, and dropout, are the CPU's."""
    gpu = PretendGpu()
    calls, backward = _Calls(gpu), torch.autograd._engine_run_backward  # type: ignore[attr-defined]
    autocast, fork_rng = torch.autocast, torch.random.fork_rng

    def run_backward(*args: Any, **kwargs: Any) -> Any:
        with calls:  # torch leaves it aside while it runs Tensor.backward
            return backward(*args, **kwargs)

    instead: dict[Any, dict[str, Callable[..., Any]]] = {
        torch.cuda: {
            "is_available": lambda: True,
            "device_count": lambda: 1,
            "current_device": lambda: 0,
            "get_device_properties": lambda _: SimpleNamespace(uuid=UUID),
            "is_bf16_supported": lambda *_: True,
            "is_current_stream_capturing": lambda: False,
            "synchronize": lambda *_: None,
            "Event": _Event,
            "Stream": _Stream,
            "current_stream": _Stream,
            "stream": lambda _: nullcontext(),
        },
        torch.Tensor: {"record_stream": lambda *_: None},
        torch.autograd: {"_engine_run_backward": run_backward},
        torch: {"autocast": lambda _, **kwargs: autocast("cpu", **kwargs)},
        torch.random: {"fork_rng": lambda devices=(): fork_rng([])},
    }
    with monkeypatch.context() as patched, _Operations(gpu), calls:
        for place, functions in instead.items():
            for name, function in functions.items():
                patched.setattr(place, name, function)
        yield gpu
    _places.cache_clear()  # what it keeps for this GPU lies on no other

"""The machine a training runs on: its device, its number formats, and how the towers are run on it.

Serves  the training loop; every switch is a key of [training], and at its default nothing is changed
"""

import ctypes
import os
import shutil
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FunctionType, MethodType

import torch
from torch import Tensor, nn

from bidrec.config import Config, Training
from bidrec.errors import DependencyDown
from bidrec.model.two_tower import TwoTower
from bidrec.operations import log

PAIRS_A_THREAD = 256
"""Of a batch: with fewer a second thread gives a step a tenth at most, and takes as much of another core."""
COMPILERS = {"cpu": ("CXX", "C++", ("g++", "clang++", "c++")), "cuda": ("CC", "C", ("gcc", "clang"))}
"""Of torch.compile: the variable that names one, its language, and those looked for. A GPU's kernels need none, what
launches them does: a module for Python, which Triton compiles at a training's start."""


def choose_device(wanted: str) -> torch.device:
    """`auto` takes a GPU where there is one. Raises DependencyDown (69) for a GPU that is not there."""
    there = torch.cuda.is_available()
    if wanted == "cuda" and not there:
        raise DependencyDown("training.device is 'cuda' and no GPU is here", hint=f"use 'auto' or 'cpu'{_driver()}")
    if wanted == "auto" and torch.version.cuda and not there:
        text = "no GPU is here, though PyTorch is built for one: the CPU trains"
        log.get("train").warning(text, device=wanted, hint=f"set training.device to 'cpu'{_driver()}")
    return torch.device("cuda" if wanted != "cpu" and there else "cpu")


def _driver() -> str:
    """What else may be the matter."""
    cuda = torch.version.cuda
    return f"; or NVIDIA's driver is older than CUDA {cuda}, for which PyTorch is built" if cuda else ""


def threads(config: Config) -> int:
    """How many the training computes with: no more than torch would take, and of the `static` model's small batches
    fewer, because each of a step's many short operations ends when its last thread does."""
    usual = torch.get_num_threads()
    return usual if config.model.kind == "history" else max(1, min(usual, config.training.batch_size // PAIRS_A_THREAD))


@contextmanager
def arithmetic(config: Config) -> Iterator[None]:
    """How this thread computes during the block; afterwards as before, for others count on it."""
    settings, usual = config.training, torch.get_num_threads()
    deterministic, matmul = torch.are_deterministic_algorithms_enabled(), torch.get_float32_matmul_precision()
    torch.set_num_threads(threads(config))
    torch.set_flush_denormal(True)  # late in training, tiny moments would slow a CPU step several times
    if settings.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when cuBLAS starts; without it, it varies
        torch.use_deterministic_algorithms(True)
    if settings.precision == "bfloat16":
        torch.set_float32_matmul_precision("high")  # scores in TF32 where the GPU has it: finer than bfloat16
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
        torch.set_num_threads(usual)
        torch.use_deterministic_algorithms(deterministic)
        torch.set_float32_matmul_precision(matmul)


def fit_to(model: TwoTower, settings: Training, device: torch.device) -> TwoTower:
    """The model on the device, its towers in the configured precision, their layers compiled where that is asked for.

    The weights, all names, the vectors that the towers return and the loss stay float32.
    Raises DependencyDown (69) where compiling needs a compiler or headers that are not there.
    """
    model.to(device)
    towers = [tower for side in (model.notice, model.company) for tower in getattr(side, "members", [side])]
    for tower in towers:
        if settings.precision == "bfloat16":
            tower.forward = torch.autocast(device.type, dtype=torch.bfloat16)(tower.forward)
    if settings.compile:
        _need_compiler(device)
        for tower in towers:  # the layers alone: a table's backward pass moves weights, which must not be reordered
            tower.network.forward = compiled(tower.network)
    return model


def compiled(network: nn.Module) -> Callable[..., Tensor]:
    """The layers' forward pass, compiled once for any number of rows.

    It compiles a copy of the code object: torch keeps at most eight compilations of one, which all networks share, and
    does not compile its own modules (nn.Sequential) as such.
    """
    shared = type(network).forward
    own = FunctionType(shared.__code__.replace(co_filename=__file__), shared.__globals__, closure=shared.__closure__)
    return torch.compile(MethodType(own, network), dynamic=True)


def _need_compiler(device: torch.device) -> None:
    variable, language, usual = COMPILERS[device.type]
    wanted = os.environ.get(variable)
    if not any(map(shutil.which, [wanted] if wanted else usual)):
        raise DependencyDown(
            f"training.compile needs a {language} compiler, and none is on the PATH",
            hint=f"apt-get install {usual[0]}, or leave training.compile off",
        )
    if device.type == "cuda" and not Path(sysconfig.get_path("include"), "Python.h").exists():
        raise DependencyDown(
            f"training.compile needs Python's headers, and {sysconfig.get_path('include')} has no Python.h",
            hint="apt-get install python3-dev, of the same Python, or leave training.compile off",
        )


def keep_freed_memory() -> None:
    """Stop glibc from returning freed blocks to the system, for the rest of the process.

    Otherwise the kernel clears the same hundreds of megabytes in every step, a third of the default model's step.
    Without glibc nothing changes.
    """
    trim_threshold, mmap_max = -1, -4  # mallopt's parameter numbers
    with suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(mmap_max, 0)
        mallopt(trim_threshold, 2**31 - 1)

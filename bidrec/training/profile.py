"""Where the time of a step goes: `bidrec train --profile`.

Writes  runs/ID/profile/trace.json, a Chrome trace of some steps (chrome://tracing, ui.perfetto.dev), and summary.json
The parts of a step are named in bidrec.training.learner, by torch.profiler.record_function.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch.autograd import DeviceType
from torch.autograd.profiler_util import FunctionEvent
from torch.profiler import ProfilerActivity, profile, schedule

from bidrec.operations import log
from bidrec.storage.sealed import write_json, write_manifest
from bidrec.storage.whole import whole_folder

WARM_UP, STEPS = 10, 20
PARTS = ("gather", "forward", "backward", "optimiser")
STEP = "step"


@contextmanager
def profiled(folder: Path, cuda: bool) -> Iterator[Callable[[], None]]:
    """Yield what is to be called after each step: the first WARM_UP are left out, the next STEPS recorded and written.

    Where the block ends before, what was recorded by then is written.
    """
    written = False

    def write(profiler: profile) -> None:
        nonlocal written
        written = True
        found = summary(list(profiler.events()), cuda)
        with whole_folder(folder) as staging:
            profiler.export_chrome_trace(str(staging / "trace.json"))
            write_json(staging / "summary.json", found)
            write_manifest(staging, kind="profile", steps=found["steps"])
        log.get("train").info("profile", **found, trace=str(folder / "trace.json"))

    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda else [])]
    plan = schedule(wait=WARM_UP - 1, warmup=1, active=STEPS, repeat=1)
    with profile(activities=activities, schedule=plan, on_trace_ready=write) as profiler:
        yield lambda: None if written else profiler.step()
    if not written:
        log.get("train").warning("too few steps to profile", needed=WARM_UP + 1)


def summary(events: list[FunctionEvent], cuda: bool) -> dict[str, Any]:
    """Mean milliseconds of a step and of its parts on the host; with a GPU, also how long that was busy in a step.

    `other` is what no part accounts for: the losses kept, a checkpoint's copy. On a GPU the host's times are those of
    launching: the trace shows when the device ran what was launched.
    """
    # Of a part that launched something, a GPU's own timeline has an entry of the same name.
    steps = max(1, sum(event.name == STEP and event.device_type == DeviceType.CPU for event in events))
    micros = {name: sum(e.cpu_time_total for e in events if e.name == name) for name in (*PARTS, STEP)}
    micros["other"] = micros[STEP] - sum(micros[name] for name in PARTS)
    if cuda:
        kernels = [e for e in events if e.device_type == DeviceType.CUDA and not e.is_user_annotation]
        micros["device_busy"] = sum(e.self_device_time_total for e in kernels)
    return {"steps": steps, **{f"{name}_ms": round(total / 1000 / steps, 3) for name, total in micros.items()}}
